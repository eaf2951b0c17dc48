"""The text of a pull request is for other machines, and says so if they cannot get the data."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retraining import proposal
from retraining.candidate import Candidate
from retraining.inbox import Delivery
from retraining.place import File
from review import comparison_text
from tests.conftest import run


def candidate(url: str) -> Candidate:
    entry = {"url": url, "bytes": 1, "sha256": "a" * 64}
    return Candidate(Delivery("monday", [File("monday.npz", Path("copy"), "npz", entry, None)]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run("git", "init", "--quiet", cwd=tmp_path)
    run("dvc", "init", "--quiet", cwd=tmp_path)
    return tmp_path


def test_data_that_no_other_clone_can_get_is_a_warning(folder: Path) -> None:
    for url in ("data/inbox/monday.npz", "/srv/inbox/monday.npz", "file:///srv/monday.npz"):
        warning = proposal.unkept(folder, [candidate(url)])
        assert warning
        assert warning.startswith("There is no default DVC remote: only the machine of this run")
        assert "monday" in warning
    assert proposal.unkept(folder, [candidate("s3://bucket/monday.npz")]) is None
    assert proposal.by_hand(folder, folder, "new", ["gh"]) == ("git push origin new", "gh")
    run("dvc", "remote", "add", "--local", "--default", "store", "../store", cwd=folder)
    assert proposal.unkept(folder, [candidate("data/inbox/monday.npz")]) is None
    # The branch is not checked out, so a plain `dvc push` would push the data of another one.
    assert proposal.by_hand(folder, folder, "new", ["gh"])[0] == "dvc push --all-branches"


def test_the_text_has_no_path_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = ["/home/me/inbox/monday.npz", "s3://bucket/sunday.npz", "file:///srv/a.npz"]
    listed = [{"date": "2026-11-02", "files": [{"url": url} for url in urls]}]
    found: Any = SimpleNamespace(
        parameters={"download.deliveries": SimpleNamespace(before=[], after=listed)}
    )
    monkeypatch.setattr(comparison_text, "markdown", lambda _: f"### better\n\n{listed}\n")
    text = proposal.body([candidate(urls[0])], found, "No remote.")
    assert "/home" not in text
    assert "/srv" not in text
    for words in ("'monday.npz'", "'s3://bucket/sunday.npz'", "**No remote.**", "### monday"):
        assert words in text
