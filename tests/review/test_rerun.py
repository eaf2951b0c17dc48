"""`python -m review verify --rerun`: the pipeline, run again from nothing, gives the same bytes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from fashion_mnist.files import write_metrics
from review import machine, rerun
from tests.conftest import AUTHOR, ROOT, run

pytestmark = pytest.mark.slow

ALL = ["download", "split", "preprocess", "train", "evaluate"]


@pytest.fixture
def folder(tracked: Path, tmp_path: Path) -> Path:
    """A clone of a repository whose pipeline has run, without data."""
    folder = tmp_path / "repository"
    run("git", "clone", "--quiet", tracked, folder, cwd=tmp_path)
    return folder


def commit(folder: Path) -> None:
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "change", cwd=folder)


def review(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m review` of this repository in another one."""
    return subprocess.run(
        [sys.executable, "-m", "review", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def verify(folder: Path, *arguments: str) -> dict[str, Any]:
    done = review(folder, "verify", "--rerun", "--json", *arguments)
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["reproduced"] else 1)
    assert not (folder / ".dvc/tmp/rerun").exists()
    return found


def states(found: dict[str, Any]) -> dict[str, set[str]]:
    by_stage: dict[str, set[str]] = {}
    for output in found["outputs"]:
        by_stage.setdefault(output["stage"], set()).add(output["state"])
    return by_stage


def test_all_is_identical_and_recorded(folder: Path) -> None:
    done = review(folder, "verify", "--rerun", "--record")
    assert done.returncode == 0, done.stderr
    assert "docs/machine.json does not tell which kind of machine" in done.stdout
    assert done.stdout.endswith("reproduced\n")
    assert "different" not in done.stdout
    for stage in ALL:
        assert f"Running stage '{stage}'" in done.stderr
    assert machine.recorded(folder) == machine.here()
    assert run("git", "status", "--porcelain", cwd=folder) == "?? docs/\n"


def test_only_some_stages(folder: Path) -> None:
    found = verify(folder, "--stages", "split")
    assert states(found) == {"split": {"identical"}}
    done = review(folder, "verify", "--rerun", "--stages", "sqlit")
    assert done.returncode == 2
    assert "no stage 'sqlit', expected one of download, split, preprocess" in done.stderr


@pytest.fixture
def reshaped(folder: Path) -> Path:
    """That repository, with predictions, scores and lock that no run of it gives."""
    path = folder / "metrics/evaluate.json"
    scores = json.loads(path.read_text())
    scores["loss"] += 0.02
    write_metrics(path, scores)
    digest = subprocess.run(["md5sum", path], capture_output=True, text=True, check=True).stdout
    yaml = YAML()
    lock = yaml.load(folder / "dvc.lock")
    for out in lock["stages"]["evaluate"]["outs"]:
        if out["path"] == "metrics/evaluate.json":
            out["md5"] = digest.split()[0]
    yaml.dump(lock, folder / "dvc.lock")
    commit(folder)
    return folder


def test_other_scores_on_the_same_kind_of_machine(reshaped: Path) -> None:
    machine.record(reshaped)
    commit(reshaped)
    found = verify(reshaped, "--stages", "train", "evaluate")
    assert not found["reproduced"]
    assert states(found) == {"train": {"identical"}, "evaluate": {"identical", "different"}}
    (different,) = (output for output in found["outputs"] if output["state"] == "different")
    assert different["path"] == "metrics/evaluate.json"
    assert different["found"] != different["expected"]


def test_other_scores_on_another_kind_of_machine(reshaped: Path) -> None:
    write_metrics(
        reshaped / machine.RECORD,
        machine.here().model_dump() | {"instruction_set": "altivec"},
    )
    commit(reshaped)
    done = review(reshaped, "verify", "--rerun")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "another kind of machine: instruction_set was altivec, is" in text
    assert "tolerated: other bytes, with scores as near as another kind" in text
    # The tolerance has an end.
    shutil.copy(reshaped / "metrics/evaluate.json", reshaped.parent / "scores.json")
    before = json.loads((reshaped / "metrics/evaluate.json").read_text())
    after = before | {"loss": before["loss"] + 2 * rerun.TOLERANCE["loss"]}
    assert rerun.far(before, after) == [
        f"loss is {after['loss']}, committed is {before['loss']}, tolerated 0.03 either way"
    ]


def test_data_may_not_differ_on_any_machine(folder: Path) -> None:
    path = folder / "stages/split.py"
    # Code of a commit whose lock is of another.
    before = path.read_text()
    path.write_text(before.replace('zipfile.ZipInfo(f"{name}.npy")', 'f"{name}.npy"'))
    assert path.read_text() != before
    commit(folder)
    found = verify(folder, "--stages", "split")
    assert states(found)["split"] == {"different", "identical"}


def test_what_cannot_run(folder: Path) -> None:
    (folder / "README.md").write_text("new")
    (folder / "dvc.yaml").write_text((folder / "dvc.yaml").read_text() + "\n")
    done = review(folder, "verify", "--rerun")
    assert done.returncode == 2
    assert "the working tree has changes" in done.stderr
    run("git", "checkout", "--quiet", ".", cwd=folder)
    (folder / "docs").mkdir()
    (folder / machine.RECORD).write_text('{"system": 3}')
    commit(folder)
    done = review(folder, "verify", "--rerun")
    assert done.returncode == 2
    assert "docs/machine.json: system: Input should be a valid string" in done.stderr
    done = review(folder, "verify", "--record")
    assert done.returncode == 2
    assert "--record: only with --rerun" in done.stderr
