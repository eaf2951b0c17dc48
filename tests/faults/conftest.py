"""Repositories of git and DVC to break."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import run


@pytest.fixture
def repository(tracked: Path, tmp_path: Path) -> Path:
    """A copy of the finished and committed pipeline."""
    folder = tmp_path / "repository"
    shutil.copytree(tracked, folder, symlinks=True)
    return folder


@pytest.fixture
def fresh(tracked: Path, tmp_path: Path) -> Path:
    """A clone of it, which has neither data nor a cache, nor anything that spares a stage."""
    folder = tmp_path / "fresh"
    run("git", "clone", "--quiet", tracked, folder, cwd=tmp_path)
    (folder / "dvc.lock").unlink()
    return folder


def same_bytes(folder: Path) -> bool:
    """Return whether dvc.lock, with the hash of each output, and metrics are what is committed."""
    return run("git", "status", "--porcelain", cwd=folder) == ""
