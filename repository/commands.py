"""Runs git, DVC and other commands, and reports a failure as one line."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fashion_mnist.errors import InputError

# The only variables of git that its commands inherit: how to reach other repositories, and which
# files configure it. All others, such as GIT_DIR in a hook, would make a command act on the user's
# repository instead of `cwd`, or depend on the user's editor, templates and identity.
INHERITED = (
    "GIT_ALLOW_PROTOCOL",
    "GIT_ASKPASS",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_KEY_",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_VALUE_",
    "GIT_CURL_VERBOSE",
    "GIT_EXEC_PATH",
    "GIT_HTTP_",
    "GIT_PROTOCOL",
    "GIT_PROXY_",
    "GIT_SSH",
    "GIT_SSL_",
    "GIT_TERMINAL_PROMPT",
    "GIT_TRACE",
)

# What the user configures for commits by hand must neither stop nor change those of a program.
SETTINGS = {
    "commit.cleanup": "whitespace",
    "commit.gpgSign": "false",
    "core.hooksPath": os.devnull,
    "push.followTags": "false",
    "push.gpgSign": "false",
    "submodule.recurse": "false",
    "tag.forceSignAnnotated": "false",
    "tag.gpgSign": "false",
}

# Author of our own commits; the account that pushes them may be another.
SIGNATURE = ("-c", "user.name=retrain", "-c", "user.email=retrain@localhost")

# The DVC of the Python that runs this, wherever PATH leads.
DVC = (sys.executable, "-m", "dvc")


def run(*command: str, cwd: Path, environment: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run a command whose output is for the user.

    It goes to standard error, since standard output is for answers.

    Args:
        command: Program and arguments.
        cwd: Folder to run it in.
        environment: Variables to set for it.

    Raises:
        InputError: The command failed or does not exist.
    """
    if _start(command, cwd, environment, stdout=sys.stderr).returncode:
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


def dvc(*arguments: str, cwd: Path, environment: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run DVC and show its output; see `run`."""
    run(*DVC, *arguments, cwd=cwd, environment=environment)


def dvc_output(*arguments: str, cwd: Path) -> str:
    """Return what DVC prints; see `output`."""
    return output(*DVC, *arguments, cwd=cwd)


def _start(
    command: tuple[str, ...],
    cwd: Path,
    environment: Mapping[str, str] = MappingProxyType({}),
    **options: Any,
) -> subprocess.CompletedProcess[bytes]:
    started = command
    if command[0] == "git":
        settings = [word for item in SETTINGS.items() for word in ("-c", "=".join(item))]
        started = ("git", *settings, *command[1:])
    try:
        env = {**_environment(), **environment}
        return subprocess.run(started, cwd=cwd, env=env, check=False, **options)
    except OSError as error:  # no such program, or no such folder
        raise InputError(f"`{_shown(command)}`: {error.filename}: {error.strerror}") from error


def _shown(command: tuple[str, ...]) -> str:
    """Return a command as a person would type it."""
    if command[: len(DVC)] == DVC:
        command = ("dvc", *command[len(DVC) :])
    return " ".join(command)


def _environment() -> dict[str, str]:
    """Return the environment of a command."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(INHERITED)
    }
    return inherited | {
        # The commands of stages begin with `python`: it must be the Python that runs this.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        # DVC runs them in this shell; that of a service account may refuse to start.
        "SHELL": "/bin/sh",
        # `git status` would write the user's index.
        "GIT_OPTIONAL_LOCKS": "0",
    }
