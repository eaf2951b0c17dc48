"""Finds what differs between two revisions: parameters, and each stage's code, data, libraries."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from repository.dvc_lock import Stages, dependencies, flat

LIBRARIES = "requirements.lock"


class Parameter(NamedTuple):
    """A value at a path in params.yaml; None on the side that has no such path."""

    name: str
    before: Any
    after: Any


class Stage(NamedTuple):
    """Dependencies of a stage whose hash differs, by what they are."""

    name: str
    code: list[str]
    data: list[str]
    libraries: bool


def parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Parameter]:
    """Return the values that differ between two parameter files, in order of their paths."""
    old, new = flat(before), flat(after)
    return [
        Parameter(name, old.get(name), new.get(name))
        for name in sorted(old | new)
        if old.get(name) != new.get(name)
    ]


def stages(before: Stages, after: Stages) -> list[Stage]:
    """Return the stages whose dependencies differ between two lock files, in the newer's order."""
    found = []
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = (dependencies(side, name) for side in (before, after))
        changed = [path for path in sorted(old | new) if old.get(path) != new.get(path)]
        code = [path for path in changed if path.endswith(".py")]
        data = [path for path in changed if path not in (*code, LIBRARIES)]
        if changed:
            found.append(Stage(name, code, data, LIBRARIES in changed))
    return found
