"""`dvc repro` on the real, full data in a clone: it runs what it must, and nothing else."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

AUTHOR = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
ALL = ["download", "split", "preprocess", "train", "evaluate"]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed and return what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def commit(folder: Path, message: str) -> None:
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", message, cwd=folder)


def clone(folder: Path) -> Path:
    """Clone this repository, with the changes of the working tree, and without any data."""
    run("git", "clone", "--quiet", ROOT, folder, cwd=ROOT)
    changed = run("git", "ls-files", "--modified", "--others", "--exclude-standard", cwd=ROOT)
    for name in changed.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    if run("git", "status", "--porcelain", cwd=folder):
        commit(folder, "working tree")
    return folder


def change(folder: Path, section: str, **settings: Any) -> None:
    path = folder / "params.yaml"
    params = YAML().load(path)
    params[section] |= settings
    YAML().dump(params, path)


def repro(folder: Path) -> list[str]:
    """Run `dvc repro` and return the stages that it ran."""
    return re.findall(r"Running stage '(\w+)'", run("dvc", "repro", cwd=folder))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that has trained a small model for an epoch on all data, and committed that."""
    folder = clone(tmp_path_factory.mktemp("small") / "clone")
    change(
        folder,
        "train",
        model="fashion_cnn",
        epochs=1,
        arguments={
            "convolutions": [{"channels": 8, "stride": 2, "pool": 2}],
            "dense": [{"units": 10, "activation": "softmax"}],
        },
    )
    # That a stage ran is what counts here, so those that the committed lock spares must not.
    (folder / "dvc.lock").unlink()
    assert repro(folder) == ALL
    commit(folder, "small model")
    return folder


def test_small_model_learns(small: Path) -> None:
    metrics = json.loads((small / "metrics/evaluate.json").read_text())
    assert metrics["images"] == 10_000
    assert 0.6 < metrics["accuracy"] < 0.95


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
        run("git", "checkout", "--quiet", ".", cwd=small)
        run("dvc", "checkout", "--quiet", cwd=small)
    assert repro(small) == []


def test_two_commits_compare_in_a_clone_without_data(small: Path, tmp_path: Path) -> None:
    before = json.loads((small / "metrics/evaluate.json").read_text())
    change(small, "train", batch_size=64)
    assert repro(small) == ["train", "evaluate"]
    commit(small, "batch 64")
    after = json.loads((small / "metrics/evaluate.json").read_text())
    bare = tmp_path / "bare"
    run("git", "clone", "--quiet", small, bare, cwd=tmp_path)
    assert not (bare / "data/raw").exists()
    params = json.loads(run("dvc", "params", "diff", "HEAD~1", "--json", cwd=bare))
    assert params == {"params.yaml": {"train.batch_size": {"old": 32, "new": 64, "diff": 32}}}
    metrics = json.loads(run("dvc", "metrics", "diff", "HEAD~1", "--json", cwd=bare))
    accuracy = metrics["metrics/evaluate.json"]["accuracy"]
    assert (accuracy["old"], accuracy["new"]) == (before["accuracy"], after["accuracy"])
    assert metrics["metrics/train.json"]["steps"] == {"old": 1563, "new": 782, "diff": -781}
    shown = json.loads(run("dvc", "metrics", "show", "--json", cwd=bare))
    assert shown[""]["data"]["metrics/evaluate.json"]["data"] == after
    run("dvc", "plots", "diff", "HEAD~1", "--out", tmp_path / "plots", cwd=bare)
    page = (tmp_path / "plots/index.html").read_text()
    for revision in ("workspace", "HEAD~1"):
        assert f'"rev": "{revision}"' in page


def test_a_fresh_clone_gives_what_is_committed(tmp_path: Path) -> None:
    """The promise of the README: every hash of dvc.lock and every metric, to the bit."""
    folder = clone(tmp_path / "clone")
    assert repro(folder) == ALL
    assert run("git", "status", "--porcelain", cwd=folder) == ""
    assert json.loads((folder / "metrics/evaluate.json").read_text())["accuracy"] > 0.905
