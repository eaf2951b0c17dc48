"""Runs `python -m <module>` in a process forked from one that has loaded the libraries.

A stage imports TensorFlow for seconds and then works for a moment. Forked, it is a process of its
own all the same, with its own folder, arguments, output and end, and gives the same bytes.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
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
    os.chdir(folder)
    sys.path.insert(0, str(folder))

    from fashion_mnist import determinism

    # It refuses to work if TensorFlow was loaded without its environment; here it had that.
    determinism.sys = SimpleNamespace(modules={}, stderr=sys.stderr)  # type: ignore[attr-defined]
    sys.argv = [name, *arguments]
    with around():
        runpy.run_module(name, run_name="__main__", alter_sys=True)


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
    from fashion_mnist import determinism

    CONTEXT.set_forkserver_preload(LIBRARIES)
    with mock.patch.dict(os.environ, determinism.ENVIRONMENT):
        forkserver.ensure_running()
    words = tuple(str(argument) for argument in arguments)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "stdout"), Path(folder, "stderr")
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = CONTEXT.Process(target=_run, args=(name, words, cwd, environment, output, around))
        process.start()
        process.join()
        texts = [path.read_text() if path.exists() else "" for path in output]
    assert process.exitcode is not None
    return subprocess.CompletedProcess([name, *words], process.exitcode, *texts)
