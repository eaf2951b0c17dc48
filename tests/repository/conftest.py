"""A small git repository to read and to clone."""

from pathlib import Path

import pytest

from tests.conftest import AUTHOR, run


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits on main: `value.txt` is 1, then 2."""
    folder = tmp_path / "repository"
    folder.mkdir()
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
    for value in ("1", "2"):
        (folder / "value.txt").write_text(value)
        commit(folder, f"value {value}")
    return folder


def commit(folder: Path, message: str = "change") -> str:
    """Commit all files and return the hash."""
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", message, cwd=folder)
    return run("git", "rev-parse", "HEAD", cwd=folder).strip()
