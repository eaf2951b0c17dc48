"""`python -m review verify --rerun`: a commit gives the same bytes when run from scratch."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fashion_mnist import machine
from fashion_mnist.files import write_metrics
from repository import dvc_lock, revisions
from review import rerun
from review.rerun import ComparedOutput
from tests.conftest import AUTHOR, ROOT, run

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


def verify(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `verify --rerun` in a process, whose stages print to its standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "review", "verify", "--rerun", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not (folder / ".dvc/tmp/rerun").exists()
    return done


@pytest.mark.pipeline
@pytest.mark.slow
def test_an_unchanged_commit_is_identical_and_recorded(folder: Path) -> None:
    done = verify(folder, "--record")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (
        lines[1]
        == f"{machine.RECORD} is missing: the kind of machine behind this commit is unknown"
    )
    assert lines[2:] == ["25 outputs: 25 identical", "reproduced"]
    for stage in ALL:
        assert f"Running stage '{stage}'" in done.stderr
    assert machine.recorded(folder) == machine.here()
    assert run("git", "status", "--porcelain", cwd=folder) == "?? docs/\n"


@pytest.mark.pipeline
@pytest.mark.slow
def test_code_that_gives_other_bytes_is_different(folder: Path) -> None:
    path = folder / "stages/split.py"
    before = path.read_text()
    path.write_text(before.replace('(f"{name}.npy")', '(f"{name}.npy", (2000, 1, 1, 0, 0, 0))'))
    assert path.read_text() != before
    commit(folder)
    done = verify(folder, "--json", "--stages", "split")
    assert done.returncode == 1, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert not found["reproduced"]
    states = {item["path"]: item["state"] for item in found["outputs"]}
    assert states["data/split/train.npz"] == "different"
    assert states["metrics/split.json"] == "identical"
    assert {item["stage"] for item in found["outputs"]} == {"split"}
    for item in found["outputs"]:
        assert (item["found"] == item["expected"]) == (item["state"] == "identical")


@pytest.mark.pipeline
@pytest.mark.slow
def test_a_rerun_needs_a_commit_a_stage_and_a_readable_record(
    folder: Path, review: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    path = folder / "dvc.yaml"
    path.write_text(path.read_text() + "\n")
    done = review(folder, "verify", "--rerun")
    assert done.returncode == 2
    assert "the working tree has changes" in done.stderr
    run("git", "checkout", "--quiet", ".", cwd=folder)
    done = review(folder, "verify", "--rerun", "--stages", "sqlit")
    assert done.returncode == 2
    assert "no stage 'sqlit', expected one of download, split, preprocess" in done.stderr
    (folder / "docs").mkdir()
    (folder / machine.RECORD).write_text('{"system": 3}')
    commit(folder)
    done = review(folder, "verify", "--rerun")
    assert done.returncode == 2
    assert "docs/machine.json: system: Input should be a valid string" in done.stderr


HOOK = """\
#!/bin/sh
test -n "$GIT_DIR" || exit 1
export GIT_WORK_TREE="$PWD" GIT_INDEX_FILE="$GIT_DIR/index" GIT_NAMESPACE=x
export PYTHONPATH={root} GIT_OBJECT_DIRECTORY={objects} SHELL=/bin/false
cd team/ml
{python} -m review verify --json >{found}/verify.json 2>{found}/verify.txt
{python} -m review verify --rerun --json >{found}/rerun.json 2>{found}/rerun.txt
"""


@pytest.mark.pipeline
@pytest.mark.slow
@pytest.mark.parametrize("hook", ["pre-push", "post-checkout"])
def test_a_hook_of_a_larger_repository_reruns_a_project_in_a_folder(
    tmp_path: Path, hook: str
) -> None:
    """In a linked worktree, git gives its hooks GIT_DIR; the checkout stays as it is."""
    top, linked = tmp_path / "top", tmp_path / "linked"
    project = top / "team/ml"
    project.mkdir(parents=True)
    run("git", "init", "--quiet", "--initial-branch", "master", cwd=top)
    run("dvc", "init", "--quiet", "--subdir", cwd=project)
    run("dvc", "config", "cache.dir", "../../../cache", cwd=project)
    (project / "params.yaml").write_text("made: {value: 1}\n")
    command = "dvc stage add --quiet --name made --params made --outs made.txt --run"
    run(*command.split(), "echo made >made.txt", cwd=project)
    commit(top)
    run("git", "worktree", "add", "--quiet", "-b", "side", linked, cwd=top)
    run("git", "init", "--quiet", "--bare", tmp_path / "origin", cwd=tmp_path)
    run("git", "remote", "add", "origin", tmp_path / "origin", cwd=top)
    script = top / ".git/hooks" / hook
    script.parent.mkdir(exist_ok=True)
    objects = top / ".git/objects"
    text = HOOK.format(root=ROOT, objects=objects, python=sys.executable, found=tmp_path)
    script.write_text(text)
    script.chmod(0o755)
    if hook == "pre-push":
        run("git", "push", "--quiet", "origin", "side", cwd=linked)
    else:
        run("git", "switch", "--quiet", "--create", "another", cwd=linked)
    states = {"verify": "absent", "rerun": "identical"}
    for name, state in states.items():
        assert json.loads((tmp_path / f"{name}.json").read_text())["outputs"][0]["state"] == state
    for folder, branch in ((top, "master"), (linked, "side" if "push" in hook else "another")):
        assert run("git", "symbolic-ref", "--short", "HEAD", cwd=folder) == f"{branch}\n"
        assert run("git", "status", "--porcelain", cwd=folder) == ""
    assert list((linked / "team/ml/.dvc/tmp").glob("*rerun*")) == []
    assert not (linked / "team/ml/made.txt").exists()


# --- which differences are tolerated; nothing runs


def output(path: str, stage: str, found: str = "2") -> ComparedOutput:
    lock = {stage: {"outs": [{"path": path, "md5": found}]}}
    committed = {stage: {"outs": [{"path": path, "md5": "1"}]}}
    (compared,) = rerun.compare(committed, lock, [stage])
    return compared


def test_outputs_are_compared_by_hash() -> None:
    assert output("data/a", "split", "1").state == "identical"
    assert output("data/a", "split", "2").state == "different"
    new = {"split": {"outs": [{"path": "data/b", "md5": "1"}]}}
    (added,) = rerun.compare({}, new, ["split"])
    assert (added.state, added.expected, added.found) == ("different", None, "1")


@pytest.mark.parametrize(
    ("stage", "state"),
    [
        ("download", "different"),
        ("split@first_5000", "different"),
        ("preprocess", "different"),
        ("train", "tolerated"),
        ("train@lenet", "tolerated"),
        ("evaluate", "tolerated"),
        ("aggregate", "tolerated"),
    ],
)
def test_another_kind_of_machine_may_round_models_and_scores_but_not_data(
    stage: str, state: str
) -> None:
    changed, same = rerun.tolerate([output("a", stage), output("a", stage, "1")], [], False)
    assert changed.state == state
    assert same.state == "identical"


def test_nothing_is_tolerated_on_the_same_kind_of_machine_or_with_a_score_far_off() -> None:
    outputs = [output("a", "train")]
    assert rerun.tolerate(outputs, [], same_kind=True) == outputs
    assert rerun.tolerate(outputs, ["loss is far off"], same_kind=False) == outputs


def test_scores_further_off_than_the_tolerance_are_named(tmp_path: Path) -> None:
    before = {"accuracy": 0.9, "loss": 0.2, "classes": {"shirt": {"recall": 0.8}}, "images": 100}
    near = {"accuracy": 0.895, "loss": 0.22, "classes": {"shirt": {"recall": 0.1}}, "images": 100}
    assert rerun.far(before, near) == []
    line = "loss is 0.26, committed is 0.2, tolerance is ±0.03"
    assert rerun.far(before, near | {"loss": 0.26}) == [line]
    assert rerun.far({"a": {"loss": 0.2}}, {"a": {}}) == [
        "a.loss is None, committed is 0.2, tolerance is ±0.03"
    ]
    # Only metrics files that differ are read.
    sides = []
    for name, scores in (("head", before), ("made", near | {"loss": 0.26})):
        write_metrics(tmp_path / name / "metrics/evaluate.json", scores)
        sides.append(revisions.working_tree(tmp_path / name))
    outputs = [
        output("metrics/evaluate.json", "evaluate"),
        output("metrics/train.json", "train", "1"),
        output(dvc_lock.MODEL, "train"),
    ]
    assert rerun.beyond_tolerance(outputs, *sides) == [f"metrics/evaluate.json: {line}"]
    assert rerun.beyond_tolerance(outputs[1:], *sides) == []
