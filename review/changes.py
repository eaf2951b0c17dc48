"""What differs between two revisions: parameters; and by stage its code, data and libraries."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

LIBRARIES = "requirements.lock"

Lock = Mapping[str, Any]  # section `stages` of dvc.lock


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


def stages(before: Lock, after: Lock) -> list[Stage]:
    """Return the stages whose dependencies differ between two lock files, in the newer's order."""
    found = []
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = (hashes(side.get(name, {}).get("deps", [])) for side in (before, after))
        changed = [path for path in sorted(old | new) if old.get(path) != new.get(path)]
        code = [path for path in changed if path.endswith(".py")]
        data = [path for path in changed if path not in (*code, LIBRARIES)]
        if changed:
            found.append(Stage(name, code, data, LIBRARIES in changed))
    return found


def outdated(lock: Lock, files: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the paths of parameters with which the stages in a lock file were not run.

    Args:
        lock: The stages.
        files: Content of the parameter files to look at, by path.
    """
    found = []
    for stage in lock.values():
        for file, sections in stage.get("params", {}).items():
            if file not in files:
                continue
            for section, value in sections.items():
                now: Any = files[file]
                for key in section.split("."):
                    now = now.get(key) if isinstance(now, Mapping) else None
                old, new = flat({section: value}), flat({section: now})
                found += [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    return found


def hashes(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return hash by path of a stage's dependencies or outputs in a lock file."""
    return {entry["path"]: entry["md5"] for entry in entries}


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by their path, keys joined by dots."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= flat(item, f"{prefix}.{key}" if prefix else str(key))
    return leaves
