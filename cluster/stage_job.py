"""Runs the command of a DVC stage on any machine of a cluster, in a scratch folder.

The folder holds what the stage depends on and nothing else. A worker that died leaves its folder
with the checkpoint in it, so that a worker on the same machine, or on the same file system,
resumes.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NamedTuple

from fashion_mnist import determinism, machine
from fashion_mnist.errors import InputError
from fashion_mnist.files import new_file

# Variable with the folder of the scratch folders: one that all machines see lets a stage resume on
# another machine.
SCRATCH = "PIPELINE_SCRATCH"
INTERVAL = 0.5  # seconds

LOCK = Path(__file__).parents[1] / "requirements.lock"

Files = Mapping[str, bytes]  # content by path
Stop = Callable[[Path], bool]  # says of a scratch folder whether its stage shall end


class Job(NamedTuple):
    """What to run, and with what. Paths are relative to the top folder of the repository.

    name:
        Name of the stage.
    command:
        A command of the shell.
    folder:
        Where it runs.
    hashes:
        SHA-256 of each file that it depends on, by path.
    outputs:
        Files and folders that it writes.
    checkpoint:
        File from which it resumes; empty if there is none.
    """

    name: str
    command: str
    folder: str
    hashes: Mapping[str, str]
    outputs: tuple[str, ...]
    checkpoint: str = ""

    def key(self) -> str:
        """Return a hash of all that decides what the command does."""
        text = repr((self.command, self.folder, sorted(self.hashes.items())))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Result(NamedTuple):
    """The files that a job wrote; or an error, which names what failed, and no files."""

    files: Files
    error: str = ""


def describe() -> dict[str, Any]:
    """Return what decides about bytes here: kind of machine, Python, versions of locked packages.

    The code itself is sent, so it is the same everywhere.
    """
    locked = re.findall(r"(?m)^([\w.-]+)==", LOCK.read_text(encoding="utf-8"))
    installed = {
        re.sub("[-_.]+", "-", one.metadata["Name"]).lower(): one.version for one in distributions()
    }
    libraries = {name: installed[name] for name in sorted(locked) if name in installed}
    python = ".".join(map(str, sys.version_info[:2]))
    return machine.here().model_dump() | {"python": python, "libraries": libraries}


def run(job: Job, contents: list[Any], cores: int, stop: Stop | None) -> Result:
    """Run a job; what it prints goes to standard error.

    Args:
        job: The job.
        contents: Reference to the content of each of its files.
        cores: Number of cores to work with.
        stop: See `Cluster.run`.
    """
    import ray

    place = _scratch() / job.key()
    with _alone(place) as lock:
        place.mkdir(exist_ok=True)
        for left in [path for path in place.rglob("*") if path.is_file()]:
            if left.relative_to(place).as_posix() != job.checkpoint:
                left.unlink()
        for path, content in zip(job.hashes, ray.get(contents), strict=True):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content)
        environment = os.environ | {
            "DVC_STAGE": job.name,  # ends a stage when its parent ends
            determinism.CORES: str(cores),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        for name in ("PYTHONPATH", "RAY_ADDRESS"):
            environment.pop(name, None)
        # Unlike other shells, bash becomes the stage, so that this process is the stage's parent.
        process = subprocess.Popen(
            [shutil.which("bash") or "/bin/sh", "-c", job.command],
            cwd=place / job.folder,
            env=environment,
            stdout=sys.stderr,
            pass_fds=(lock,),  # held until the command ends too
        )
        while process.poll() is None:
            time.sleep(INTERVAL)
            if stop and stop(place):
                process.terminate()
        missing = [path for path in job.outputs if not (place / path).exists()]
        result = Result({path: (place / path).read_bytes() for path in _files(place, job.outputs)})
        shutil.rmtree(place, ignore_errors=True)
    if process.returncode:
        why = f"failed with exit code {process.returncode}, its output is above"
        return Result({}, f"stage '{job.name}' {why}")
    if missing:
        return Result({}, f"stage '{job.name}' did not write {', '.join(missing)}")
    return result


def write(root: Path, files: Files, outputs: tuple[str, ...]) -> None:
    """Write the files of a result; they replace all that its outputs held."""
    for path in outputs:
        if (root / path).is_dir() and not (root / path).is_symlink():
            shutil.rmtree(root / path)
        else:
            (root / path).unlink(missing_ok=True)
    for path, content in files.items():
        with new_file(root / path) as temporary:
            temporary.write_bytes(content)


def _files(root: Path, outputs: tuple[str, ...]) -> Iterator[str]:
    for output in outputs:
        whole = root / output
        for path in sorted(whole.rglob("*")) if whole.is_dir() else [whole]:
            if path.is_file():
                yield path.relative_to(root).as_posix()


def _scratch() -> Path:
    """Return the folder for scratch folders.

    Raises:
        InputError: It belongs to someone else, who could change what runs there.
    """
    given = os.environ.get(SCRATCH)
    place = Path(given or f"{tempfile.gettempdir()}/pipeline-stages-{os.getuid()}")
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not given and (place.is_symlink() or place.stat().st_uid != os.getuid()):
        raise InputError(f"{place} belongs to someone else: set {SCRATCH} to a folder of yours")
    return place


@contextmanager
def _alone(place: Path) -> Iterator[int]:
    """Wait until nothing else works in a folder, such as the command of a worker that died."""
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
