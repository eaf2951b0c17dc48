"""`dvc repro` on the real, full data in a clone: it runs what it must, and nothing else."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from fashion_mnist.data import idx
from fashion_mnist.files import sha256
from stages.download import CSV, HALVES
from tests.conftest import AUTHOR, ROOT, kaggle_table

pytestmark = pytest.mark.slow

ALL = ["download", "split", "preprocess", "train", "evaluate"]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed and return all that it printed."""
    done = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


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


def repro(folder: Path, *targets: str) -> list[str]:
    """Run `dvc repro` and return the stages that it ran."""
    output = run("dvc", "repro", *targets, cwd=folder)
    return re.findall(r"Running stage '([^']+)'", output)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that has trained a small model for an epoch on all data, and committed that."""
    folder = clone(tmp_path_factory.mktemp("small") / "clone")
    change(
        folder,
        "train",
        model="dense",
        arguments={},
        optimizer={"name": "adam"},
        augmentation=None,
        selection=None,
        epochs=1,
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
        run("dvc", "checkout", "--quiet", "dvc.yaml", cwd=small)
    assert repro(small) == []


def test_a_killed_repro_goes_on_with_the_same_bytes(small: Path) -> None:
    state, model = small / "data/state/train.npz", small / "data/model/model.keras"
    change(small, "train", epochs=4)
    try:
        process = subprocess.Popen(
            ["dvc", "repro", "train"],
            cwd=small,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None and not state.exists():
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not model.exists()
        assert "train: goes on after epoch" in run("dvc", "repro", "train", cwd=small)
        assert not state.exists()
        resumed = sha256(model)
        whole = run("dvc", "repro", "--force", "--no-run-cache", "train", cwd=small)
        assert "goes on" not in whole
        assert sha256(model) == resumed
    finally:
        run("git", "checkout", "--quiet", ".", cwd=small)
        run("dvc", "checkout", "--quiet", "dvc.yaml", cwd=small)


def test_two_commits_compare_in_a_clone_without_data(small: Path, tmp_path: Path) -> None:
    before = json.loads((small / "metrics/evaluate.json").read_text())
    change(small, "train", batch_size=128)
    assert repro(small) == ["train", "evaluate"]
    commit(small, "batch 128")
    after = json.loads((small / "metrics/evaluate.json").read_text())
    bare = tmp_path / "bare"
    run("git", "clone", "--quiet", small, bare, cwd=tmp_path)
    assert not (bare / "data/raw").exists()
    params = json.loads(run("dvc", "params", "diff", "HEAD~1", "--json", cwd=bare))
    assert params == {"params.yaml": {"train.batch_size": {"old": 256, "new": 128, "diff": -128}}}
    metrics = json.loads(run("dvc", "metrics", "diff", "HEAD~1", "--json", cwd=bare))
    accuracy = metrics["metrics/evaluate.json"]["accuracy"]
    assert (accuracy["old"], accuracy["new"]) == (before["accuracy"], after["accuracy"])
    assert metrics["metrics/train.json"]["steps"] == {"old": 196, "new": 391, "diff": 195}
    shown = json.loads(run("dvc", "metrics", "show", "--json", cwd=bare))
    assert shown[""]["data"]["metrics/evaluate.json"]["data"] == after
    run("dvc", "plots", "diff", "HEAD~1", "--out", tmp_path / "plots", cwd=bare)
    page = (tmp_path / "plots/index.html").read_text()
    for revision in ("workspace", "HEAD~1"):
        assert f'"rev": "{revision}"' in page


def review(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "review", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_spread_trains_with_several_seeds(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    run("git", "clone", "--quiet", small, folder, cwd=small)
    cache = run("dvc", "cache", "dir", cwd=small).strip()
    run("dvc", "config", "--local", "cache.dir", cache, cwd=folder)
    done = review(folder, "spread", "--seeds", "2")
    assert done.returncode == 0, done.stderr
    assert "accuracy: mean 0." in done.stdout
    # The data stages did not run again.
    assert set(re.findall(r"Running stage '([^']+)'", done.stderr)) == {"train", "evaluate"}
    spread = json.loads((folder / "metrics/spread.json").read_text())
    accuracy = spread["accuracy"]
    values = list(accuracy["seeds"].values())
    assert list(accuracy["seeds"]) == ["seed_1", "seed_2"]
    assert values[0] != values[1]
    assert accuracy["mean"] == pytest.approx(sum(values) / 2)
    assert accuracy["low"] < min(values) < max(values) < accuracy["high"]
    # It trains in a place of its own.
    assert run("git", "status", "--porcelain", cwd=folder) == "?? metrics/spread.json\n"
    assert not list((folder / ".dvc/tmp/spread").rglob("dvc.yaml"))
    # The same recipe is no other recipe, and a second time nothing is left to be trained.
    commit(folder, "spread")
    done = review(folder, "spread", "--seeds", "2")
    assert "Running stage" not in done.stderr
    assert run("git", "status", "--porcelain", cwd=folder) == ""
    lenient = {"accuracy": 0.0, "class_recall": 0.0}
    change(folder, "review", margin=0.9, floors=lenient)
    found = json.loads(review(folder, "compare", "--json").stdout)
    assert found["notes"] == []
    assert found["recipes"]["verdict"] == "no evidence of a difference"
    assert found["recipes"]["before"] == found["recipes"]["after"] == accuracy["mean"]
    # That of another recipe is not used.
    path = folder / "metrics/spread.json"
    path.write_text(path.read_text().replace(spread["recipe"], "0" * 64))
    found = json.loads(review(folder, "compare", "--json").stdout)
    assert found["recipes"] is None
    assert "metrics/spread.json of working tree is of another recipe" in found["notes"][0]
    # A spread belongs to a commit.
    done = review(folder, "spread", "--seeds", "2")
    assert done.returncode == 2
    assert "the working tree has changes" in done.stderr


def test_a_spread_whose_training_fails_writes_nothing(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    run("git", "clone", "--quiet", small, folder, cwd=small)
    cache = run("dvc", "cache", "dir", cwd=small).strip()
    run("dvc", "config", "--local", "cache.dir", cache, cwd=folder)
    (folder / "stages/train.py").write_text("raise SystemExit('no training today')\n")
    commit(folder, "broken")
    done = review(folder, "spread", "--seeds", "2")
    assert done.returncode == 2
    assert "no training today" in done.stderr
    assert "-m dvc repro dvc.yaml:evaluate` failed" in done.stderr
    assert not (folder / "metrics/spread.json").exists()
    assert not [path for path in (folder / ".dvc/tmp/spread").rglob("*") if path.is_file()]


def test_a_published_system_gives_what_is_committed(small: Path) -> None:
    """The smallest of them, on all images, run again from the download on."""
    stages = [f"published/dvc.yaml:{name}@dense" for name in ("train", "evaluate")]
    command = [sys.executable, "-m", "review", "verify", "--rerun", "--json", "--stages", *stages]
    found = json.loads(subprocess.check_output(command, cwd=small))
    states = {(output["stage"], output["state"]) for output in found["outputs"]}
    assert states == {(stage, "identical") for stage in stages}
    assert run("git", "status", "--porcelain", cwd=small) == ""


def blocks(path: Path, language: str) -> list[str]:
    """Return the code blocks of a Markdown file in `language`, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", path.read_text(), re.M | re.S)
    return [re.sub(rf"^{indent}", "", block, flags=re.M) for indent, block in found]


def test_a_system_is_added_as_contributing_says(small: Path) -> None:
    (builder,) = blocks(ROOT / "CONTRIBUTING.md", "python")
    (block,) = blocks(ROOT / "CONTRIBUTING.md", "yaml")
    path = small / "published/params.yaml"
    try:
        (small / "fashion_mnist/models/softmax.py").write_text(builder)
        path.write_text(path.read_text().replace("\nevaluate:", f"{block}\nevaluate:"))
        stages = [f"published/dvc.yaml:{name}@softmax" for name in ("train", "evaluate")]
        assert repro(small, stages[-1])[-2:] == stages
        metrics = small / "published/metrics/systems/softmax"
        assert json.loads((metrics / "evaluate.json").read_text())["accuracy"] > 0.8
        assert json.loads((metrics / "train.json").read_text())["parameters"]["total"] == 7850
    finally:
        run("git", "clean", "--force", "-d", "--quiet", cwd=small)
        run("git", "checkout", "--quiet", ".", cwd=small)


@pytest.fixture(scope="module")
def tables(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release as Kaggle's pair of CSV files."""
    folder = tmp_path_factory.mktemp("tables")
    for half, names in HALVES.items():
        pair = idx.read_pair(*(small / "data/raw" / name for name in names))
        kaggle_table(*pair).to_csv(folder / CSV[half], index=False)
    return folder


def test_the_release_as_csv_gives_the_same_files(small: Path, tables: Path) -> None:
    pins = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(tables.iterdir())
    }
    change(small, "download", sources=[str(tables)], files=pins)
    before = (small / "metrics/download.json").read_bytes()
    lock = YAML(typ="safe").load(small / "dvc.lock")["stages"]["download"]["outs"]
    try:
        assert repro(small, "download") == ["download"]
        assert (small / "metrics/download.json").read_bytes() == before
        assert YAML(typ="safe").load(small / "dvc.lock")["stages"]["download"]["outs"] == lock
    finally:
        run("git", "checkout", "--quiet", ".", cwd=small)
        run("dvc", "checkout", "--quiet", "dvc.yaml", cwd=small)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_reading_a_csv_takes_less_than_its_table(tables: Path) -> None:
    """All of the process, in kilobytes, against 60,000 rows of 785 columns of 8 bytes."""
    # Not `resource`: what that reports begins with the memory of the parent.
    code = (
        "import pathlib, sys; from fashion_mnist import kaggle; "
        "kaggle.read(pathlib.Path(sys.argv[1])); "
        "print(pathlib.Path('/proc/self/status').read_text())"
    )
    status = run(sys.executable, "-c", code, tables / CSV["train"], cwd=ROOT)
    peak = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert peak
    assert int(peak[1]) < 60_000 * 785 * 8 / 1024


def test_a_fresh_clone_gives_what_is_committed(tmp_path: Path) -> None:
    """The promise of the README: every hash of dvc.lock and every metric, to the bit."""
    folder = clone(tmp_path / "clone")
    assert repro(folder) == ALL
    assert run("git", "status", "--porcelain", cwd=folder) == ""
    assert json.loads((folder / "metrics/evaluate.json").read_text())["accuracy"] > 0.905
