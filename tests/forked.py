"""Runs `python -m <module>` in a process forked from one that has loaded the libraries.

A stage imports TensorFlow for seconds and then works for a moment. Forked, it is a process of its
own all the same, with its own folder, arguments, output and end, and gives the same bytes.
"""

import json
import multiprocessing
import os
import runpy
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

ROOT = Path(__file__).parent.parent
LIBRARIES = [
    "keras",
    "tensorflow",
    "matplotlib.pyplot",
    "pandas",
    "scipy.stats",
    "sklearn.metrics",
    "statsmodels.stats.multitest",
    "aiohttp",
    "altair",
    "fsspec",
    "jinja2",
    "pydantic",
    "rich.console",
    "ruamel.yaml",
    "pytest",  # the main module of this process, which multiprocessing loads in the new one
]
CONTEXT = multiprocessing.get_context("forkserver")
THAT_FORKS = "PYTHON_THAT_FORKS"  # variable with the path of the program below


def _run(
    name: str,
    arguments: tuple[str, ...],
    folder: Path,
    environment: dict[str, str],
    output: tuple[Path, Path],
    around: Callable[[], AbstractContextManager[object]],
) -> None:
    """Run the module; in the new process."""
    for number, path in enumerate(output, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    # Commands of ours put the folder of this Python first in PATH.
    sys.executable = environment.get(THAT_FORKS, sys.executable)
    os.chdir(folder)
    sys.path.insert(0, str(folder))

    from fashion_mnist import determinism

    # It refuses to work if TensorFlow was loaded without its environment; here it had that.
    determinism.sys = SimpleNamespace(modules={}, stderr=sys.stderr)  # type: ignore[attr-defined]
    sys.argv = [name, *arguments]
    with around():
        runpy.run_module(name, run_name="__main__", alter_sys=True)


def _started(name: str, *arguments: Any) -> BaseProcess:
    """Start `_run` in a process of its own."""
    from fashion_mnist import determinism

    CONTEXT.set_forkserver_preload(LIBRARIES)
    with mock.patch.dict(os.environ, determinism.ENVIRONMENT):
        forkserver.ensure_running()
    process = CONTEXT.Process(target=_run, args=(name, *arguments))
    process.start()
    return process


def run_module(
    name: str,
    *arguments: str | Path,
    cwd: Path,
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m name` in a folder, which comes before this repository on its path.

    Args:
        name: The module.
        *arguments: Its command line.
        cwd: The folder.
        around: Entered in the new process before the module runs. It must be importable.
    """
    words = tuple(str(argument) for argument in arguments)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "stdout"), Path(folder, "stderr")
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = _started(name, words, cwd, environment, output, around)
        process.join()
        texts = [path.read_text() if path.exists() else "" for path in output]
    assert process.exitcode is not None
    return subprocess.CompletedProcess([name, *words], process.exitcode, *texts)


# Asks the test process for a stage, and ends as the stage does. All else runs as usual.
CLIENT = """\
#!{python} -IS
import json, os, socket, sys
if sys.argv[1:2] != ["-m"] or not sys.argv[2].startswith("stages."):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    order = [sys.argv[2:], os.getcwd(), os.getpid(), dict(os.environ)]
    server.sendall(json.dumps(order).encode() + b"\\n")
    code = int(server.makefile().readline())
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


def python_that_forks(folder: Path) -> dict[str, str]:
    """Write a `python` that forks `python -m stages.<name>`, as in dvc.yaml, from this process.

    A stage ends with the process that asked for it.

    Returns:
        Variables with which this `python` is used.
    """
    # A path of a socket has at most 107 bytes.
    address = str(Path(tempfile.mkdtemp(prefix="forked-")) / "socket")
    program = folder / "python"
    program.write_text(CLIENT.format(python=sys.executable, address=address))
    program.chmod(0o755)
    server = socketserver.ThreadingUnixStreamServer(address, _Order)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, THAT_FORKS: str(program)}


class _Order(socketserver.StreamRequestHandler):
    """Runs a stage for a client."""

    def handle(self) -> None:
        (name, *words), folder, number, environment = json.loads(self.rfile.readline())
        output = Path(f"/proc/{number}/fd/1"), Path(f"/proc/{number}/fd/2")
        process = _started(name, words, Path(folder), environment, output, nullcontext)
        if self.connection in connection.wait([process.sentinel, self.connection]):
            process.kill()
        process.join()
        self.wfile.write(f"{process.exitcode}\n".encode())
