"""Repositories of git and DVC to break."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import run


@pytest.fixture(scope="module", autouse=True)
def _as_for_users(plain_stages: None) -> None:
    """Stages are processes of their own kind here."""


@pytest.fixture
def repository(tracked: Path, tmp_path: Path) -> Path:
    """A copy of the finished and committed pipeline."""
    folder = tmp_path / "repository"
    shutil.copytree(tracked, folder, symlinks=True)
    return folder


@pytest.fixture
def fresh(tracked: Path, tmp_path: Path) -> Path:
    """A clone of it without data, cache or lock file, so that every stage runs."""
    folder = tmp_path / "fresh"
    run("git", "clone", "--quiet", tracked, folder, cwd=tmp_path)
    (folder / "dvc.lock").unlink()
    return folder


def same_bytes(folder: Path) -> bool:
    """Return whether dvc.lock, with the hash of each output, and metrics are as committed."""
    return run("git", "status", "--porcelain", cwd=folder) == ""


def running(folder: Path) -> list[psutil.Process]:
    """Return the stages that run in a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = " ".join(process.info["cmdline"] or [])
        if process.info["cwd"] == str(folder) and re.search(r"-m stages\.\w+", words):
            found.append(process)
    return found


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds, at most five minutes."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"no {what} within five minutes")
