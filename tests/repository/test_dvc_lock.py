"""What dvc.lock says of stages and parameters."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from fashion_mnist.errors import InputError
from repository import dvc_lock, revisions

LOCK: dict[str, Any] = {
    "split": {
        "deps": [{"path": "raw", "md5": "a.dir"}],
        "outs": [{"path": "train.npz", "md5": "b"}],
        "params": {"params.yaml": {"split": {"seed": 1, "size": 10}}},
    },
    "train": {
        "deps": [{"path": "train.npz", "md5": "b"}],
        "outs": [{"path": dvc_lock.MODEL, "md5": "c"}],
        "params": {"params.yaml": {"train": {"rate": {"peak": 0.1}}}},
    },
}


def write(folder: Path, content: object) -> revisions.Revision:
    YAML(typ="safe").dump(content, folder / "dvc.lock")
    return revisions.working_tree(folder)


def test_hashes_of_a_stage_by_path(tmp_path: Path) -> None:
    lock = dvc_lock.stages(write(tmp_path, {"schema": "2.0", "stages": LOCK}))
    assert dvc_lock.dependencies(lock, "split") == {"raw": "a.dir"}
    assert dvc_lock.outputs(lock, "split") == {"train.npz": "b"}
    assert dvc_lock.outputs(lock, "export") == {}
    assert dvc_lock.model(revisions.working_tree(tmp_path)) == "c"


def test_a_lock_file_without_a_model_is_refused(tmp_path: Path) -> None:
    tree = write(tmp_path, {"stages": {"split": LOCK["split"]}})
    with pytest.raises(InputError, match=r"^working tree: dvc.lock does not list data/model/model"):
        dvc_lock.model(tree)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"schema": "2.0"}, "working tree: dvc.lock has no section 'stages'"),
        ({"stages": {"split": None}}, "working tree: dvc.lock: stage 'split' is damaged"),
        ({"stages": {"split": {"deps": [{"path": "raw"}]}}}, "stage 'split' is damaged"),
        ({"stages": {"split": {"outs": ["raw"]}}}, "stage 'split' is damaged"),
    ],
)
def test_a_damaged_lock_file_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dvc_lock.stages(write(tmp_path, content))


def test_an_unknown_stage_is_named_with_those_that_exist() -> None:
    dvc_lock.check_names(["train"], LOCK)
    with pytest.raises(InputError, match=r"^no stage 'sqlit', expected one of split, train$"):
        dvc_lock.check_names(["split", "sqlit"], [*LOCK, "train"])


def test_parameters_that_changed_since_the_run_are_named_by_path() -> None:
    now: dict[str, Any] = {"split": {"seed": 1, "size": 10}, "train": {"rate": {"peak": 0.1}}}
    assert dvc_lock.outdated(LOCK, {"params.yaml": now}) == []
    now["split"] = {"seed": 2, "role": "test"}
    now["train"]["rate"]["peak"] = 0.2
    changed = ["split.role", "split.seed", "split.size", "train.rate.peak"]
    assert dvc_lock.outdated(LOCK, {"params.yaml": now}) == changed
    assert dvc_lock.outdated(LOCK, {"other.yaml": now}) == []
    assert dvc_lock.outdated({"train": LOCK["train"]}, {"params.yaml": {}}) == ["train.rate.peak"]


def test_a_section_may_be_deep_inside_its_file() -> None:
    lock = {"train@a": {"params": {"params.yaml": {"systems.a.train": {"seed": 1}}}}}
    now = {"systems": {"a": {"train": {"seed": 1}}}}
    assert dvc_lock.outdated(lock, {"params.yaml": now}) == []
    now["systems"]["a"]["train"]["seed"] = 2
    assert dvc_lock.outdated(lock, {"params.yaml": now}) == ["systems.a.train.seed"]


def test_leaves_are_named_by_their_keys() -> None:
    nested = {"a": {"b": 1, "c": {}}, "d": [1, 2]}
    assert dvc_lock.flat(nested) == {"a.b": 1, "a.c": {}, "d": [1, 2]}
    assert dvc_lock.flat(3, "x") == {"x": 3}
