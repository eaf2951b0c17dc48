"""`dvc repro` in a clone, on the images of the fixture: it runs what it must, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fashion_mnist import determinism
from tests.conftest import change, commit, repro, run, run_module

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


def restore(folder: Path) -> None:
    """Discard what changed since the last commit."""
    run("git", "checkout", "--quiet", ".", cwd=folder)
    run("dvc", "checkout", "--quiet", "dvc.yaml", cwd=folder)


def test_second_repro_does_nothing(small: Path) -> None:
    assert repro(small) == []
    assert run("git", "status", "--porcelain", cwd=small) == ""


@pytest.mark.parametrize(
    ("section", "settings", "stages"),
    [
        ("evaluate", {"bins": 10}, ["evaluate"]),
        ("train", {"seed": 28}, ["train", "evaluate"]),
        ("preprocess", {"scale": "standard"}, ["preprocess", "train", "evaluate"]),
        ("split", {"seed": 28}, ["split", "preprocess", "train", "evaluate"]),
        # The files stay the same, so nothing after it has anything to do.
        ("download", {"attempts": 2}, ["download"]),
    ],
)
def test_a_parameter_runs_its_stage_and_those_after(small, section, settings, stages) -> None:
    change(small, section, **settings)
    try:
        assert repro(small) == stages
    finally:
        restore(small)
    assert repro(small) == []


def test_two_commits_compare_in_a_clone_without_data(small: Path, tmp_path: Path) -> None:
    before = json.loads((small / "metrics/evaluate.json").read_text())
    change(small, "train", batch_size=16)
    assert repro(small) == ["train", "evaluate"]
    commit(small, "batch 16")
    after = json.loads((small / "metrics/evaluate.json").read_text())
    bare = tmp_path / "bare"
    run("git", "clone", "--quiet", small, bare, cwd=tmp_path)
    assert not (bare / "data/raw").exists()
    params = json.loads(run("dvc", "params", "diff", "HEAD~1", "--json", cwd=bare))
    assert params == {"params.yaml": {"train.batch_size": {"old": 32, "new": 16, "diff": -16}}}
    metrics = json.loads(run("dvc", "metrics", "diff", "HEAD~1", "--json", cwd=bare))
    loss = metrics["metrics/evaluate.json"]["loss"]
    assert (loss["old"], loss["new"]) == (before["loss"], after["loss"])
    assert metrics["metrics/train.json"]["steps"] == {"old": 7, "new": 13, "diff": 6}
    shown = json.loads(run("dvc", "metrics", "show", "--json", cwd=bare))
    assert shown[""]["data"]["metrics/evaluate.json"]["data"] == after
    run("dvc", "plots", "diff", "HEAD~1", "--out", tmp_path / "plots", cwd=bare)
    page = (tmp_path / "plots/index.html").read_text()
    for revision in ("workspace", "HEAD~1"):
        assert f'"rev": "{revision}"' in page


@pytest.fixture
def spread(small: Path, tmp_path: Path) -> Path:
    """A clone of the small pipeline that shares its cache."""
    folder = tmp_path / "clone"
    run("git", "clone", "--quiet", small, folder, cwd=small)
    cache = run("dvc", "cache", "dir", cwd=small).strip()
    run("dvc", "config", "--local", "cache.dir", cache, cwd=folder)
    return folder


def compared(folder: Path) -> dict[str, Any]:
    """Return what `review compare` says."""
    found: dict[str, Any] = json.loads(run_module("review", "compare", "--json", cwd=folder).stdout)
    return found


def test_spread_trains_with_several_seeds(spread: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(determinism.CORES, "8")
    done = run_module("review", "spread", "--seeds", "2", "--jobs", "2", cwd=spread)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("images per second on 4 cores") == 2
    assert "accuracy: mean 0." in done.stdout
    # The data stages did not run again.
    assert set(re.findall(r"Running stage '([^']+)'", done.stderr)) == {"train", "evaluate"}
    content = json.loads((spread / "metrics/spread.json").read_text())
    accuracy, loss = content["accuracy"], content["loss"]
    values = list(loss["seeds"].values())
    assert list(loss["seeds"]) == ["seed_1", "seed_2"]
    assert values[0] != values[1]
    assert loss["mean"] == pytest.approx(sum(values) / 2)
    assert loss["low"] < min(values) < max(values) < loss["high"]
    # It trains in a place of its own.
    assert run("git", "status", "--porcelain", cwd=spread) == "?? metrics/spread.json\n"
    assert not list((spread / ".dvc/tmp/spread").rglob("dvc.yaml"))
    # The recipe does not differ from itself, and nothing is trained a second time.
    commit(spread, "spread")
    done = run_module("review", "spread", "--seeds", "2", cwd=spread)
    assert "Running stage" not in done.stderr
    assert run("git", "status", "--porcelain", cwd=spread) == ""
    lenient = {"accuracy": 0.0, "class_recall": 0.0}
    change(spread, "review", margin=0.9, floors=lenient)
    found = compared(spread)
    assert found["notes"] == []
    assert found["recipes"]["verdict"] == "no evidence of a difference"
    assert found["recipes"]["before"] == found["recipes"]["after"] == accuracy["mean"]
    # The spread of a different recipe is not used.
    path = spread / "metrics/spread.json"
    path.write_text(path.read_text().replace(content["fingerprint"], "0" * 64))
    found = compared(spread)
    assert found["recipes"] is None
    assert "metrics/spread.json of working tree belongs to a different recipe" in found["notes"][0]
    # A spread belongs to a commit.
    done = run_module("review", "spread", "--seeds", "2", cwd=spread)
    assert done.returncode == 2
    assert "the working tree has changes" in done.stderr


def test_a_spread_whose_training_fails_writes_nothing(spread: Path) -> None:
    (spread / "stages/train.py").write_text("raise SystemExit('no training today')\n")
    commit(spread, "broken")
    done = run_module("review", "spread", "--seeds", "2", cwd=spread)
    assert done.returncode == 2
    assert "no training today" in done.stderr
    assert "`dvc repro dvc.yaml:evaluate` failed" in done.stderr
    assert not (spread / "metrics/spread.json").exists()
    assert not [path for path in (spread / ".dvc/tmp/spread").rglob("*") if path.is_file()]
