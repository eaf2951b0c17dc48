"""Finds what differs between two revisions: parameters, and each stage's code, data, libraries."""

from collections.abc import Mapping
from typing import Any

from repository.dvc_lock import Stages, dependencies, flat
from review.json_result import JsonResult

LIBRARIES = "requirements.lock"


class ChangedParameter(JsonResult):
    """A value in params.yaml; null on the side that has none."""

    before: Any
    after: Any


class ChangedStage(JsonResult):
    """Dependencies of a stage that differ."""

    code: list[str]
    data: list[str]
    libraries: bool


def parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, ChangedParameter]:
    """Return the values that differ between two parameter files, by path, in order of the paths."""
    old, new = flat(before), flat(after)
    return {
        path: ChangedParameter(before=old.get(path), after=new.get(path))
        for path in sorted(old | new)
        if old.get(path) != new.get(path)
    }


def stages(before: Stages, after: Stages) -> dict[str, ChangedStage]:
    """Return the stages whose dependencies differ between two lock files, in the newer's order."""
    found = {}
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = (dependencies(side, name) for side in (before, after))
        changed = [path for path in sorted(old | new) if old.get(path) != new.get(path)]
        code = [path for path in changed if path.endswith(".py")]
        data = [path for path in changed if path not in (*code, LIBRARIES)]
        if changed:
            found[name] = ChangedStage(code=code, data=data, libraries=LIBRARIES in changed)
    return found
