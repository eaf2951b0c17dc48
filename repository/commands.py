"""Runs git, DVC and other commands, and reports a failure as one line."""

import os
import subprocess
import sys
from pathlib import Path

from fashion_mnist.errors import InputError

# Inherited from a git hook, these would make git act on the user's repository instead of `cwd`.
GIT_VARIABLES = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_WORK_TREE")


def run(*command: str, cwd: Path) -> None:
    """Run a command whose output is for the user.

    It goes to standard error, since standard output is for answers.

    Raises:
        InputError: The command failed.
    """
    done = subprocess.run(command, cwd=cwd, env=_environment(), stdout=sys.stderr, check=False)
    if done.returncode:
        raise InputError(f"`{' '.join(command)}` failed, its output is above")


def output(*command: str, cwd: Path, text: str = "") -> str:
    """Return what a command prints to standard output.

    Args:
        command: Program and arguments.
        cwd: Folder to run it in.
        text: Its standard input.

    Raises:
        InputError: The command failed; the message is what it printed to standard error.
        UnicodeDecodeError: The output is not UTF-8.
    """
    done = subprocess.run(
        command, cwd=cwd, env=_environment(), input=text.encode(), capture_output=True, check=False
    )
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise InputError(f"`{' '.join(command[:2])}`: {reason or 'failed'}")
    return done.stdout.decode()


def git(*arguments: str, cwd: Path, text: str = "") -> str:
    """Return what git prints; as `output`."""
    return output("git", *arguments, cwd=cwd, text=text)


def succeeds(*command: str, cwd: Path) -> bool:
    """Return whether a command succeeds; what it prints is dropped."""
    done = subprocess.run(command, cwd=cwd, env=_environment(), capture_output=True, check=False)
    return done.returncode == 0


def dvc(*arguments: str, cwd: Path) -> None:
    """Run DVC, with the Python that runs this, and show its output; as `run`."""
    run(sys.executable, "-m", "dvc", *arguments, cwd=cwd)


def _environment() -> dict[str, str]:
    # Stages say `python` and mean the one that runs this.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    inherited = {name: os.environ[name] for name in os.environ if name not in GIT_VARIABLES}
    return inherited | {"PATH": path}
