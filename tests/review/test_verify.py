"""`python -m review verify`: what is committed belongs together, or what does not is named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import AUTHOR, run
from tests.review.test_review import edit, review

ALL = ["download", "split", "preprocess", "train", "evaluate"]


@pytest.fixture
def folder(tracked: Path, tmp_path: Path) -> Path:
    """A repository whose pipeline has run, with all data."""
    folder = tmp_path / "repository"
    shutil.copytree(tracked, folder)
    # These are of the systems that are committed, which did not run here.
    shutil.rmtree(folder / "published")
    return folder


def verify(folder: Path, *arguments: str) -> dict[str, Any]:
    """Return what `verify --json` says."""
    done = review(folder, "verify", "--json", *arguments)
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["verified"] else 1)
    return found


def states(found: dict[str, Any]) -> dict[str, set[str]]:
    """Return the states of the artifacts of each stage."""
    by_stage: dict[str, set[str]] = {}
    for artifact in found["artifacts"]:
        by_stage.setdefault(artifact["stage"], set()).add(artifact["state"])
    return by_stage


def reasons(found: dict[str, Any], stage: str) -> list[str]:
    """Return why a stage's artifacts are what they are."""
    (said,) = {tuple(a["reasons"]) for a in found["artifacts"] if a["stage"] == stage}
    return list(said)


def test_all_belongs_together(folder: Path) -> None:
    found = verify(folder)
    assert found["verified"]
    assert states(found) == {name: {"current"} for name in ALL}
    assert len(found["artifacts"]) == 24
    assert found["disagreements"] == []


def test_data_that_is_not_there_is_no_fault(folder: Path) -> None:
    shutil.rmtree(folder / "data")
    shutil.rmtree(folder / ".dvc/cache")
    found = verify(folder)
    assert found["verified"]
    absent = {a["path"] for a in found["artifacts"] if a["state"] == "absent"}
    assert {path.partition("/")[0] for path in absent} == {"data"}
    assert len(absent) == 11


def test_an_edited_stage_makes_all_after_it_stale(folder: Path) -> None:
    shutil.rmtree(folder / "data")
    with (folder / "stages/preprocess.py").open("a") as file:
        file.write("# changed\n")
    found = verify(folder)
    assert states(found) == {
        "download": {"current", "absent"},
        "split": {"current", "absent"},
        "preprocess": {"stale"},
        "train": {"stale"},
        "evaluate": {"stale"},
    }
    assert reasons(found, "preprocess") == ["stages/preprocess.py modified"]
    assert reasons(found, "train") == reasons(found, "evaluate") == ["after preprocess"]


@pytest.mark.parametrize("data", [True, False])
def test_a_parameter_is_named(folder: Path, data: bool) -> None:
    if not data:
        shutil.rmtree(folder / "data")
        shutil.rmtree(folder / ".dvc/cache")
    edit(folder / "params.yaml", lambda params: params["train"]["optimizer"].update(momentum=0.5))
    found = verify(folder)
    assert reasons(found, "train") == ["params.yaml: train.optimizer.momentum"]
    assert reasons(found, "evaluate") == ["after train"]
    assert "train.optimizer.momentum" in found["disagreements"][0]


def test_another_command(folder: Path) -> None:
    path = folder / "dvc.yaml"
    path.write_text(path.read_text().replace("-m stages.split", "-W error -m stages.split"))
    assert reasons(verify(folder), "split") == ["other command"]


def test_a_dependency_that_is_gone(folder: Path) -> None:
    (folder / "requirements.lock").unlink()
    assert reasons(verify(folder), "train") == ["requirements.lock deleted"]


@pytest.mark.parametrize("path", ["metrics/history.csv", "data/model/model.keras"])
def test_an_edited_output(folder: Path, path: str) -> None:
    with (folder / path).open("ab") as file:
        file.write(b"\n")
    found = verify(folder)
    assert not found["verified"]
    assert [a["path"] for a in found["artifacts"] if a["state"] == "changed"] == [path]


def test_metrics_that_are_gone(folder: Path) -> None:
    (folder / "metrics/roc.csv").unlink()
    (changed,) = [a for a in verify(folder)["artifacts"] if a["state"] == "changed"]
    assert (changed["path"], changed["reasons"]) == ("metrics/roc.csv", ["missing"])


def test_hashes_that_do_not_agree(folder: Path) -> None:
    """A lock file that was merged badly: each stage is current by itself."""
    shutil.rmtree(folder / "data")

    def change(lock: Any) -> None:
        for entry in lock["stages"]["evaluate"]["deps"]:
            if entry["path"] == "data/model/model.keras":
                entry["md5"] = "0" * 32

    edit(folder / "dvc.lock", change)
    found = verify(folder)
    assert reasons(found, "evaluate") == ["data/model/model.keras is not what train wrote"]
    assert "stale" not in states(found)["train"]


def test_metrics_of_other_predictions(folder: Path) -> None:
    """Also where dvc.lock has the hash of the wrong file."""
    path = folder / "metrics/evaluate.json"
    metrics = json.loads(path.read_text())
    metrics["accuracy"] = 0.999
    path.write_text(json.dumps(metrics))
    run("dvc", "commit", "--force", "--quiet", "evaluate", cwd=folder)
    found = verify(folder)
    assert states(found) == {name: {"current"} for name in ALL}
    assert not found["verified"]
    assert "accuracy is" in found["disagreements"][0]
    assert verify(folder, "--stages", "train", "split")["verified"]


def test_a_stage_that_never_ran(folder: Path) -> None:
    edit(folder / "dvc.lock", lambda lock: lock["stages"].pop("evaluate"))
    found = verify(folder)
    assert not found["verified"]
    assert reasons(found, "evaluate")[0] == "never run"


def test_some_stages(folder: Path) -> None:
    found = verify(folder, "--stages", "split", "train")
    assert list(states(found)) == ["split", "train"]
    done = review(folder, "verify", "--stages", "nonsense")
    assert done.returncode == 2
    assert "no stage 'nonsense', expected one of download, split" in done.stderr


def test_the_table(folder: Path) -> None:
    with (folder / "stages/train.py").open("a") as file:
        file.write("# changed\n")
    done = review(folder, "verify")
    assert done.returncode == 1
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["data/model/model.keras", "train", "stale", "stages/train.py", "modified"] in rows
    assert ["data/split/test.npz", "split", "current"] in rows
    assert rows[-1] == ["not", "verified"]


def test_without_dvc_lock(folder: Path) -> None:
    run("git", "rm", "--quiet", "dvc.lock", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "no lock", cwd=folder)
    found = verify(folder)
    assert states(found) == {name: {"stale"} for name in ALL}
    assert not found["verified"]
    assert "dvc.lock" in found["disagreements"][0]


def test_no_pipeline(tmp_path: Path) -> None:
    run("git", "init", "--quiet", cwd=tmp_path)
    done = review(tmp_path, "verify")
    assert done.returncode == 2
    assert done.stderr.startswith("review: error: ")
