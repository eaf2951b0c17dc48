"""Commits, tags, clones and pushes do not depend on how the user has set up git."""

import subprocess
import sys
from pathlib import Path

import pytest

from repository import clones, commands, revisions
from retraining import challenger, ledger, registry
from retraining.ledger import Entry
from tests.conftest import AUTHOR, run

HOOKS = (
    "commit-msg",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "pre-commit",
    "pre-push",
    "prepare-commit-msg",
    "reference-transaction",
)
HOSTILE = """\
[user]
    useConfigOnly = true
    signingKey = lost
[clone]
    rejectShallow = true
[commit]
    gpgSign = true
    template = {folder}/absent
    cleanup = strip
    verbose = true
[tag]
    gpgSign = true
    forceSignAnnotated = true
[push]
    gpgSign = true
[gpg]
    program = false
[core]
    hooksPath = {folder}/hooks
    editor = false
    autocrlf = true
    excludesFile = {folder}/ignored
[init]
    templateDir = {folder}/template
[sequence]
    editor = false
"""
ENTRY = Entry(
    when="2026-11-02",
    delivery="monday",
    files=["a"],
    champion="b",
    decision="refused",
    why=[],
    figures={},
)


def fail_always(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in HOOKS:
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with an origin, of a user whose own `git commit` fails."""
    origin, folder = tmp_path / "origin.git", tmp_path / "repository"
    run("git", "init", "--quiet", "--bare", "--initial-branch", "main", origin, cwd=tmp_path)
    # The origin is a machine of its own.
    run("git", "config", "core.hooksPath", "/dev/null", cwd=origin)
    run("git", "clone", "--quiet", origin, folder, cwd=tmp_path)
    (folder / "dvc.yaml").write_text("artifacts:\n  model: {path: m, type: model}\n")
    (folder / "dvc.lock").write_text(
        "stages:\n  train:\n    outs:\n      - {path: data/model/model.keras, md5: abc}\n"
    )
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "first", cwd=folder)
    fail_always(tmp_path / "hooks")
    fail_always(tmp_path / "template/hooks")
    (tmp_path / "ignored").write_text("*.json\n")
    (tmp_path / "gitconfig").write_text(HOSTILE.format(folder=tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_EDITOR", "false")
    command = ["git", "commit", "--allow-empty", "--message", "x"]
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode
    return folder


def test_a_challenger_is_committed_and_fetched(hostile: Path, tmp_path: Path) -> None:
    copy = tmp_path / "clone"
    commit = revisions.resolve(hostile, "HEAD").commit or ""
    with clones.clone(hostile, commit, copy):
        (copy / "spread.json").write_bytes(b"{}\n")
        challenger.commit(copy, "Retrain\n\n# no comment\nlast line")
        assert list((copy / ".git").glob("hooks/*")) == []
        commands.run("git", "fetch", "--quiet", str(copy), "+HEAD:refs/heads/new", cwd=hostile)
    assert run("git", "show", "--format=", "--name-only", "new", cwd=hostile) == "spread.json\n"
    assert run("git", "cat-file", "blob", "new:spread.json", cwd=hostile) == "{}\n"
    message = run("git", "show", "--no-patch", "--format=%an: %B", "new", cwd=hostile)
    assert message.strip() == "retrain: Retrain\n\n# no comment\nlast line"


@pytest.mark.parametrize("remote", ["origin", None])
def test_the_ledger_is_kept_and_pushed(hostile: Path, remote: str | None) -> None:
    ledger.append(hostile, remote, [ENTRY])
    assert ledger.read(hostile, remote) == [ENTRY]


def test_a_version_is_tagged(hostile: Path) -> None:
    assert registry.register(hostile).startswith("model@v1.0.0: ")
    assert run("git", "cat-file", "-t", "model@v1.0.0", cwd=hostile) == "tag\n"
    tag = run("git", "cat-file", "-p", "model@v1.0.0", cwd=hostile)
    assert "SIGNATURE" not in tag


def test_settings_of_the_environment_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COUNT": "1", "KEY_0": "user.name", "VALUE_0": "Robot"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert commands.git("config", "user.name", cwd=tmp_path) == "Robot\n"
    assert commands.git("config", "commit.gpgSign", cwd=tmp_path) == "false\n"
    monkeypatch.setenv("GIT_EDITOR", "false")
    script = "import os; print(os.environ.get('GIT_EDITOR'))"
    assert commands.output(sys.executable, "-c", script, cwd=tmp_path) == "None\n"
