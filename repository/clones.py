"""A commit in a folder of its own, where the pipeline can run away from the user's files."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fashion_mnist.errors import InputError


@contextmanager
def clone(root: Path, commit: str, folder: Path) -> Iterator[None]:
    """Check a commit out into a new clone at `folder`, and remove that when the block ends.

    Raises:
        InputError: git failed; its output was printed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        run(
            "git", "clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder), cwd=root
        )
        run("git", "checkout", "--quiet", "--detach", commit, cwd=folder)
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def restore(root: Path, folder: Path) -> None:
    """Let a clone use DVC's cache of the repository at `root`, and take from it what is there.

    Raises:
        InputError: DVC failed.
    """
    cache = output(sys.executable, "-m", "dvc", "cache", "dir", cwd=root).strip()
    dvc("config", "--local", "cache.dir", cache, cwd=folder)
    # DVC would run a stage with an output that persists rather than restore it.
    dvc("checkout", "--quiet", "--allow-missing", "dvc.yaml", cwd=folder)


def dvc(*arguments: str, cwd: Path) -> None:
    """Run DVC with the Python that runs this.

    Raises:
        InputError: It failed; its output was printed.
    """
    run(sys.executable, "-m", "dvc", *arguments, cwd=cwd)


def run(*command: str, cwd: Path) -> None:
    """Run a command; what it prints goes to standard error, since answers go to standard output.

    Raises:
        InputError: It failed.
    """
    # The stages say `python` and mean the one that runs this.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"PATH": path}
    done = subprocess.run(command, cwd=cwd, env=environment, stdout=sys.stderr, check=False)
    if done.returncode:
        raise InputError(f"`{' '.join(command)}` failed, its output is above")


def output(*command: str, cwd: Path) -> str:
    """Run a command and return what it prints to standard output.

    Raises:
        InputError: It failed; the error has what it printed to standard error.
    """
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"`{' '.join(command)}`: {' '.join(done.stderr.split())}")
    return done.stdout
