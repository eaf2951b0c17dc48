"""The model card says what the metrics say, and `verify` notices when it does not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from review import card
from tests.conftest import AUTHOR, ROOT, run
from tests.review.test_review import edit, review


@pytest.fixture
def folder(tracked: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    shutil.copytree(tracked, folder)
    shutil.rmtree(folder / "published")
    run("git", *AUTHOR, "commit", "--quiet", "--all", "--message", "one pipeline", cwd=folder)
    return folder


def write(folder: Path) -> str:
    done = review(folder, "card")
    assert done.returncode == 0, done.stderr
    return (folder / card.CARD).read_text()


def test_the_card_has_the_figures(folder: Path) -> None:
    text = write(folder)
    scores = json.loads((folder / "metrics/evaluate.json").read_text())
    interval = scores["accuracy_interval"]
    assert f"| accuracy | {scores['accuracy']:.2%} | {interval['low']:.2%} to" in text
    for name, key in (("Trouser", "trouser"), ("T-shirt/top", "t_shirt_top")):
        found = scores["classes"][key]
        (row,) = (line for line in text.splitlines() if line.startswith(f"| {name} "))
        assert f"| {found['recall']:.2%} |" in row
        assert f"| {found['f1']:.2%} | {found['auc']:.4f} |" in row
    assert "100 tested it" in text
    assert "The recipe was chosen by its accuracy on this same sample" in text
    assert "After the release" not in text
    assert "Over " not in text
    # The same from the same.
    assert write(folder) == text


def test_a_card_of_other_metrics_is_noticed(folder: Path) -> None:
    write(folder)
    found = json.loads(review(folder, "verify", "--json").stdout)
    assert found["disagreements"] == []
    path = folder / card.CARD
    path.write_text(path.read_text().replace("Do not edit it", "I have edited it"))
    done = review(folder, "verify", "--json")
    assert done.returncode == 1
    told = ["metrics/model_card.md is not what `python -m review card` writes"]
    assert json.loads(done.stdout)["disagreements"] == told


def test_without_metrics_there_is_no_card(folder: Path) -> None:
    (folder / "metrics/train.json").unlink()
    done = review(folder, "card")
    assert done.returncode == 2
    assert "working tree has no metrics/train.json" in done.stderr
    assert not (folder / card.CARD).exists()


def register(folder: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own: GTO closes the output that pytest puts in place of the terminal."""
    return subprocess.run(
        [sys.executable, "-m", "review", "register"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_versions_are_tags(folder: Path, tmp_path: Path) -> None:
    run("git", "config", "user.name", "Test", cwd=folder)
    run("git", "config", "user.email", "test@example.org", cwd=folder)
    done = register(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "model@v1.0.0: push it with `git push origin model@v1.0.0`\n"
    assert run("git", "cat-file", "-t", "model@v1.0.0", cwd=folder) == "tag\n"
    assert register(folder).stdout == "the model is that of model@v1.0.0\n"
    # DVC finds it by that name.
    got = tmp_path / "got.keras"
    run("dvc", "artifacts", "get", folder, "model", "--rev", "v1.0.0", "--out", got, cwd=tmp_path)
    assert got.read_bytes() == (folder / "data/model/model.keras").read_bytes()
    edit(folder / "params.yaml", lambda params: params["train"].update(seed=5))
    assert "the working tree has changes" in register(folder).stderr
    run("dvc", "repro", "dvc.yaml", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--all", "--message", "other seed", cwd=folder)
    assert register(folder).stdout.startswith("model@v1.1.0: push it")


def test_the_workflow_pushes_the_tag_of_a_new_model(folder: Path, tmp_path: Path) -> None:
    for name in ("recipes", "review"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "Makefile", folder / "Makefile")
    shutil.copy(ROOT / "requirements-review.lock", folder / "requirements-review.lock")
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "code", cwd=folder)
    origin = tmp_path / "origin.git"
    run("git", "clone", "--quiet", "--bare", folder, origin, cwd=tmp_path)
    run("git", "remote", "add", "origin", origin, cwd=folder)
    # What `make` finds installed already.
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for name in ("installed", "installed-review"):
        (folder / ".venv" / name).touch()
    for _ in range(2):
        run(ROOT / ".github/register.sh", cwd=folder)
    assert run("git", "tag", cwd=origin) == "model@v1.0.0\n"
    assert run("git", "log", "-1", "--format=%an", cwd=origin).strip() == "Test"
    tagger = run("git", "for-each-ref", "--format=%(taggername)", "refs/tags", cwd=origin)
    assert tagger == "github-actions[bot]\n"
