"""Runs git, DVC and other commands, and reports a failure as one line."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from fashion_mnist.errors import InputError

# Inherited from a git hook, these would make git act on the user's repository instead of `cwd`.
GIT_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)

# Our commits, tags and clones depend on nobody's signing key, hooks, editor, templates or ignore
# list.
GIT_SETTINGS = {
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "tag.forceSignAnnotated": "false",
    "push.gpgSign": "false",
    "core.hooksPath": os.devnull,
    "core.excludesFile": os.devnull,
    "commit.cleanup": "whitespace",
    "commit.template": "",
    "commit.verbose": "false",
}
GIT_ENVIRONMENT = {"GIT_EDITOR": "true", "GIT_TEMPLATE_DIR": ""}

# The DVC of the Python that runs this, wherever PATH leads.
DVC = (sys.executable, "-m", "dvc")


def run(*command: str, cwd: Path) -> None:
    """Run a command whose output is for the user.

    It goes to standard error, since standard output is for answers.

    Raises:
        InputError: The command failed or does not exist.
    """
    if _start(command, cwd, stdout=sys.stderr).returncode:
        raise InputError(f"`{_shown(command)}` failed, its output is above")


def output(*command: str, cwd: Path, text: str = "") -> str:
    """Return what a command prints to standard output.

    Args:
        command: Program and arguments.
        cwd: Folder to run it in.
        text: Its standard input.

    Raises:
        InputError: The command failed or does not exist; the message has what it printed to
            standard error.
        UnicodeDecodeError: The output is not UTF-8.
    """
    done = _start(command, cwd, input=text.encode(), capture_output=True)
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise InputError(f"`{_shown(command)}`: {reason or 'failed'}")
    return str(done.stdout.decode())


def succeeds(*command: str, cwd: Path) -> bool:
    """Return whether a command succeeds; its output is discarded.

    Raises:
        InputError: The command does not exist.
    """
    return _start(command, cwd, capture_output=True).returncode == 0


def git(*arguments: str, cwd: Path, text: str = "") -> str:
    """Return what git prints; see `output`."""
    return output("git", *arguments, cwd=cwd, text=text)


def dvc(*arguments: str, cwd: Path) -> None:
    """Run DVC and show its output; see `run`."""
    run(*DVC, *arguments, cwd=cwd)


def dvc_output(*arguments: str, cwd: Path) -> str:
    """Return what DVC prints; see `output`."""
    return output(*DVC, *arguments, cwd=cwd)


def _start(
    command: tuple[str, ...], cwd: Path, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, cwd=cwd, env=_environment(), check=False, **options)
    except OSError as error:  # no such program, or no such folder
        raise InputError(f"`{_shown(command)}`: {error.filename}: {error.strerror}") from error


def _shown(command: tuple[str, ...]) -> str:
    """Return a command as a person would type it."""
    if command[: len(DVC)] == DVC:
        command = ("dvc", *command[len(DVC) :])
    return " ".join(command)


def _environment() -> dict[str, str]:
    # The commands of stages begin with `python`: it must be the Python that runs this.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    inherited = {name: os.environ[name] for name in os.environ if name not in GIT_VARIABLES}
    return inherited | GIT_ENVIRONMENT | _git_settings() | {"PATH": path}


def _git_settings() -> dict[str, str]:
    """Return GIT_SETTINGS as variables that git reads, after those of the environment."""
    first = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    variables = {"GIT_CONFIG_COUNT": str(first + len(GIT_SETTINGS))}
    for number, (key, value) in enumerate(GIT_SETTINGS.items(), first):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
