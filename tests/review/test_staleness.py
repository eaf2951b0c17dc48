"""Why a stage is stale, from dvc.lock and `dvc status` alone."""

from pathlib import Path
from typing import Any

import pytest

from fashion_mnist.errors import InputError
from repository import revisions
from repository.dvc_status import Status
from review import staleness

TREE = revisions.working_tree(Path())


def entry(*, reads: str, writes: str) -> dict[str, Any]:
    return {"deps": [{"path": reads, "md5": "1"}], "outs": [{"path": writes, "md5": "1"}]}


def test_stages_after_a_stale_one_name_the_first_of_the_chain() -> None:
    lock = {
        "gather": entry(reads="scores", writes="table"),  # a folder that two others write into
        "one": entry(reads="data", writes="scores/one"),
        "two": entry(reads="other", writes="scores/two"),
        "data": entry(reads="raw", writes="data"),
        "aside": entry(reads="raw", writes="aside"),
    }
    status = {
        "data": Status(True, {}, {}),
        "two": Status(False, {"other": "modified", "raw": "deleted"}, {}),
    }
    found = staleness.stale_stages(lock, status, staleness.sources_of(lock), TREE)
    assert found == {
        "data": ["command changed"],
        "two": ["other modified", "raw deleted"],
        "one": ["after data"],
        "gather": ["after data, two"],
    }


def test_a_circle_in_dvc_lock_is_an_error() -> None:
    lock = {"a": entry(reads="y", writes="x"), "b": entry(reads="x", writes="y")}
    with pytest.raises(InputError, match=r"^dvc.lock: stages depend on each other in a circle: "):
        staleness.stale_stages(lock, {}, staleness.sources_of(lock), TREE)
