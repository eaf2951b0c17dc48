"""`python -m review verify`: committed files are consistent, or what is not is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from review import card
from tests.conftest import AUTHOR, run

# Each test asks DVC, and all read the repository of a pipeline that has run.
pytestmark = pytest.mark.slow

Review = Callable[..., CompletedProcess[str]]
Edit = Callable[[Path, Callable[[Any], object]], None]
Verify = Callable[..., dict[str, Any]]

OUTDATED = "metrics/model_card.md is out of date: `python -m review card` writes it"
ALL = ["download", "split", "preprocess", "train", "evaluate"]


@pytest.fixture
def folder(tracked: Path, tmp_path: Path) -> Path:
    """A repository whose pipeline has run, with all data."""
    folder = tmp_path / "repository"
    shutil.copytree(tracked, folder)
    return folder


@pytest.fixture
def checked(review: Review) -> Verify:
    """`verify --json` in a folder, whose exit code must be that of its result."""

    def check(folder: Path, *arguments: str) -> dict[str, Any]:
        done = review(folder, "verify", "--json", *arguments)
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if found["verified"] else 1)
        return found

    return check


def states(found: dict[str, Any]) -> dict[str, set[str]]:
    """Return the states of the outputs of each stage."""
    by_stage: dict[str, set[str]] = {}
    for output in found["outputs"]:
        by_stage.setdefault(output["stage"], set()).add(output["state"])
    return by_stage


def reasons(found: dict[str, Any], stage: str) -> list[str]:
    """Return the reasons that all outputs of a stage have."""
    (shared,) = {tuple(item["reasons"]) for item in found["outputs"] if item["stage"] == stage}
    return list(shared)


def paths(found: dict[str, Any], state: str) -> list[str]:
    return [item["path"] for item in found["outputs"] if item["state"] == state]


# --- consistent


def test_what_the_pipeline_wrote_is_verified_in_two_lines(
    folder: Path, checked: Verify, review: Review
) -> None:
    found = checked(folder)
    assert found["verified"]
    assert states(found) == {name: {"current"} for name in ALL}
    assert found["disagreements"] == found["warnings"] == []
    done = review(folder, "verify")
    assert (
        done.stdout
        == f"{len(found['outputs'])} outputs: {len(found['outputs'])} current\nverified\n"
    )
    everything = [line.split() for line in review(folder, "verify", "--all").stdout.splitlines()]
    assert len(everything) == len(found["outputs"]) + 2
    assert ["current", "data/split/test.npz", "split"] in everything


def test_absent_data_is_no_fault(folder: Path, checked: Verify) -> None:
    shutil.rmtree(folder / "data")
    shutil.rmtree(folder / ".dvc/cache")
    found = checked(folder)
    assert found["verified"]
    assert set(states(found)["train"]) == {"absent", "current"}
    assert len(paths(found, "absent")) == 11
    assert all(path.startswith("data/") for path in paths(found, "absent"))


@pytest.mark.pipeline
def test_a_change_and_dvc_repro_end_in_verified(
    folder: Path, checked: Verify, review: Review, edit: Edit
) -> None:
    """As the README has it: nobody runs `card` in between."""
    assert review(folder, "card").returncode == 0
    edit(folder / "params.yaml", lambda params: params["evaluate"].update(mirror_average=False))
    assert not checked(folder)["verified"]
    run("dvc", "repro", "--quiet", "dvc.yaml", cwd=folder)
    found = checked(folder)
    assert found["verified"]
    assert found["warnings"] == [OUTDATED]
    done = review(folder, "verify")
    assert done.stdout.splitlines()[1:] == [f"warning: {OUTDATED}", "verified"]


# --- stale


def test_an_edited_stage_makes_the_stages_after_it_stale(folder: Path, checked: Verify) -> None:
    shutil.rmtree(folder / "data")
    with (folder / "stages/preprocess.py").open("a") as file:
        file.write("# changed\n")
    found = checked(folder)
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
def test_a_changed_parameter_is_named(
    folder: Path, checked: Verify, edit: Edit, data: bool
) -> None:
    if not data:
        shutil.rmtree(folder / "data")
        shutil.rmtree(folder / ".dvc/cache")
    edit(folder / "params.yaml", lambda params: params["train"]["optimizer"].update(momentum=0.5))
    found = checked(folder)
    assert reasons(found, "train") == ["params.yaml: train.optimizer.momentum"]
    assert reasons(found, "evaluate") == ["after train"]
    assert "train.optimizer.momentum" in found["disagreements"][0]


def test_a_changed_command_and_a_deleted_dependency_are_named(
    folder: Path, checked: Verify
) -> None:
    path = folder / "dvc.yaml"
    path.write_text(path.read_text().replace("-m stages.split", "-W error -m stages.split"))
    (folder / "requirements.lock").unlink()
    found = checked(folder)
    assert reasons(found, "split") == ["command changed", "requirements.lock deleted"]
    assert reasons(found, "train") == ["requirements.lock deleted"]


def test_hashes_in_dvc_lock_that_contradict_each_other_are_found(
    folder: Path, checked: Verify, edit: Edit
) -> None:
    """As after a bad merge: each stage is current by itself."""
    shutil.rmtree(folder / "data")

    def change(lock: Any) -> None:
        for entry in lock["stages"]["evaluate"]["deps"]:
            if entry["path"] == "data/model/model.keras":
                entry["md5"] = "0" * 32

    edit(folder / "dvc.lock", change)
    found = checked(folder)
    assert reasons(found, "evaluate") == ["data/model/model.keras is not what train wrote"]
    assert "stale" not in states(found)["train"]


def test_a_stage_that_never_ran_is_stale(folder: Path, checked: Verify, edit: Edit) -> None:
    edit(folder / "dvc.lock", lambda lock: lock["stages"].pop("evaluate"))
    found = checked(folder)
    assert not found["verified"]
    assert reasons(found, "evaluate")[0] == "never run"


def test_without_dvc_lock_all_is_stale(folder: Path, checked: Verify) -> None:
    run("git", "rm", "--quiet", "dvc.lock", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "no lock", cwd=folder)
    found = checked(folder)
    assert states(found) == {name: {"stale"} for name in ALL}
    assert not found["verified"]
    assert "dvc.lock" in found["disagreements"][0]


# --- changed, inconsistent


def test_edited_and_deleted_metrics_are_changed(folder: Path, checked: Verify) -> None:
    with (folder / "metrics/history.csv").open("a") as file:
        file.write("\n")
    (folder / "metrics/roc.csv").unlink()
    found = checked(folder)
    assert not found["verified"]
    changed = {i["path"]: i["reasons"] for i in found["outputs"] if i["state"] == "changed"}
    assert changed == {"metrics/history.csv": [], "metrics/roc.csv": ["missing"]}


def test_an_edited_model_is_changed_and_its_scores_are_stale(folder: Path, checked: Verify) -> None:
    with (folder / "data/model/model.keras").open("ab") as file:
        file.write(b"\n")
    found = checked(folder)
    assert paths(found, "changed") == ["data/model/model.keras"]
    assert reasons(found, "evaluate") == ["data/model/model.keras modified"]


def test_scores_that_do_not_follow_from_the_predictions_are_found(
    folder: Path, checked: Verify
) -> None:
    """Even where dvc.lock has the hash of the wrong file."""
    path = folder / "metrics/evaluate.json"
    metrics = json.loads(path.read_text())
    metrics["accuracy"] = 0.999
    path.write_text(json.dumps(metrics))
    run("dvc", "commit", "--force", "--quiet", "evaluate", cwd=folder)
    found = checked(folder)
    assert states(found) == {name: {"current"} for name in ALL}
    assert not found["verified"]
    assert "accuracy is" in found["disagreements"][0]
    assert checked(folder, "--stages", "train", "split")["verified"]


def test_an_outdated_card_is_a_warning_that_names_the_command(
    folder: Path, checked: Verify, review: Review
) -> None:
    assert review(folder, "card").returncode == 0
    assert checked(folder)["warnings"] == []
    with (folder / card.CARD).open("a") as file:
        file.write("edited\n")
    found = checked(folder)
    assert found["verified"]
    assert found["warnings"] == [OUTDATED]


# --- the command line


def test_faults_are_listed_one_a_line_then_counted(folder: Path, review: Review) -> None:
    with (folder / "stages/train.py").open("a") as file:
        file.write("# changed\n")
    done = review(folder, "verify")
    assert done.returncode == 1
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["stale", "data/model/model.keras", "train", "stages/train.py", "modified"] in rows
    assert ["stale", "metrics/history.csv", "train"] in rows
    assert "current" not in {row[0] for row in rows}
    assert done.stdout.endswith(
        "25 outputs: 14 current, 11 stale\n"
        "stale: its stage has changed since it wrote this output\n"
        "not verified\n"
    )


def test_stages_are_chosen_by_name(folder: Path, checked: Verify, review: Review) -> None:
    assert list(states(checked(folder, "--stages", "split", "train"))) == ["split", "train"]
    done = review(folder, "verify", "--stages", "nonsense")
    assert done.returncode == 2
    assert "no stage 'nonsense', expected one of download, split" in done.stderr


def test_a_folder_without_a_pipeline_is_an_error(tmp_path: Path, review: Review) -> None:
    run("git", "init", "--quiet", cwd=tmp_path)
    done = review(tmp_path, "verify")
    assert done.returncode == 2
    assert done.stderr == f"review: error: {tmp_path}/dvc.yaml: no such file\n"


@pytest.mark.parametrize("options", [[], ["--rerun", "--stages", "a"], ["--rerun", "--published"]])
def test_a_machine_is_recorded_only_after_a_whole_rerun(
    tmp_path: Path, review: Review, options: list[str]
) -> None:
    done = review(tmp_path, "verify", "--record", *options)
    assert done.returncode == 2
    assert "--record: only with --rerun, of all stages of the main pipeline" in done.stderr
