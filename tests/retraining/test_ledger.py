"""Decisions outlive clones, come from both sides, and are kept in the form of earlier versions."""

import json
from pathlib import Path

import pytest

from fashion_mnist.errors import InputError
from retraining import ledger
from retraining.ledger import Entry
from tests.conftest import AUTHOR, run

OLD = {
    "when": "2026-01-02T03:04:05+00:00",
    "batch": "monday",
    "files": ["a" * 64],
    "champion": "b" * 32,
    "decision": "refused",
    "why": ["blank images: 1 (index 0)"],
    "figures": {},
    "branch": None,
}


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    folder = tmp_path / "origin.git"
    folder.mkdir()
    run("git", "init", "--quiet", "--bare", "--initial-branch", "main", cwd=folder)
    return folder


def clone(origin: Path, name: str) -> Path:
    run("git", "clone", "--quiet", origin, name, cwd=origin.parent)
    folder = origin.parent / name
    run("git", *AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "first", cwd=folder)
    return folder


def write(folder: Path, *lines: str) -> None:
    """Commit a ledger with these lines, as an earlier version did."""
    (folder / ledger.FILE).write_text("".join(f"{line}\n" for line in lines))
    run("git", "switch", "--quiet", "--orphan", ledger.BRANCH, cwd=folder)
    run("git", "add", ledger.FILE, cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "ledger", cwd=folder)
    run("git", "switch", "--quiet", "main", cwd=folder)


def entry(name: str, when: str) -> Entry:
    return Entry(
        when=when,
        delivery=name,
        files=[name],
        champion="b" * 32,
        decision="proposed",
        why=[],
        figures={"p": 0.01},
        branch="retrain/x",
    )


def test_an_old_line_is_read_and_rewritten_once(origin: Path) -> None:
    folder = clone(origin, "here")
    write(folder, json.dumps(OLD))
    (old,) = ledger.read(folder, None)
    assert (old.delivery, old.files) == ("monday", ["a" * 64])
    # The remote keeps the old line while this side has the new one: still one decision.
    run("git", "push", "--quiet", "origin", ledger.BRANCH, cwd=folder)
    ledger.append(folder, None, [entry("tuesday", "2026-02-01")])
    assert [one.delivery for one in ledger.read(folder, "origin")] == ["monday", "tuesday"]
    lines = run("git", "show", f"{ledger.BRANCH}:{ledger.FILE}", cwd=folder).splitlines()
    assert [json.loads(line)["delivery"] for line in lines] == ["monday", "tuesday"]
    assert not [line for line in lines if "batch" in line]


def test_both_sides_are_merged_in_the_order_of_time(origin: Path) -> None:
    here, there = clone(origin, "here"), clone(origin, "there")
    ledger.append(here, "origin", [entry("second", "2026-02-02")])
    ledger.append(there, None, [entry("first", "2026-02-01")])
    ledger.append(there, "origin", [entry("third", "2026-02-03")])
    expected = ["first", "second", "third"]
    assert [one.delivery for one in ledger.read(here, "origin")] == expected
    # A fresh clone of a scheduled job has it all, too, and no working tree was touched.
    assert [one.delivery for one in ledger.read(clone(origin, "fresh"), "origin")] == expected
    assert run("git", "status", "--porcelain", cwd=there) == ""


def test_no_ledger_has_no_entries(origin: Path) -> None:
    assert ledger.read(clone(origin, "here"), "origin") == []


def test_a_remote_that_refuses_leaves_the_entries_here(origin: Path) -> None:
    folder = clone(origin, "here")
    hook = origin / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    message = "^origin does not accept branch retrain-ledger; it is kept here$"
    with pytest.raises(InputError, match=message):
        ledger.append(folder, "origin", [entry("monday", "2026-02-01")])
    assert [one.delivery for one in ledger.read(folder, "origin")] == ["monday"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("not JSON", "line 2: Invalid JSON"),
        (json.dumps(OLD | {"decision": "maybe"}), "line 2: decision: Input should be 'proposed'"),
        (json.dumps(OLD | {"mood": "good"}), "line 2: mood: Extra inputs are not permitted"),
    ],
)
def test_a_line_that_is_no_entry_is_named(origin: Path, line: str, words: str) -> None:
    folder = clone(origin, "here")
    write(folder, json.dumps(OLD), line)
    with pytest.raises(InputError, match=f"^refs/heads/{ledger.BRANCH}:{ledger.FILE}: {words}"):
        ledger.read(folder, None)
