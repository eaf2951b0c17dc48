"""Reads dvc.lock: the hashes of what each stage read and wrote, and its parameters."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fashion_mnist.errors import InputError
from repository.revisions import Revision

Stages = Mapping[str, Any]  # section `stages` of a dvc.lock

PIPELINE = "dvc.yaml"
LOCK = "dvc.lock"
MODEL = "data/model/model.keras"


def stages(revision: Revision) -> dict[str, Any]:
    """Return section `stages` of a revision's dvc.lock.

    Raises:
        InputError: The file is missing, is not YAML, or is not what DVC writes.
    """
    found = revision.yaml(LOCK).get("stages")
    if not isinstance(found, dict):
        raise InputError(f"{revision.name}: {LOCK} has no section 'stages'")
    for name in found:
        try:
            dependencies(found, name), outputs(found, name)
        except (AttributeError, KeyError, TypeError) as error:
            raise InputError(f"{revision.name}: {LOCK}: stage '{name}' is damaged") from error
    return found


def hashes(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the MD5 of each dependency or output of a stage by its path."""
    return {entry["path"]: entry["md5"] for entry in entries}


def dependencies(lock: Stages, stage: str) -> dict[str, str]:
    """Return the MD5 of each dependency of a stage by its path; empty if it never ran."""
    return hashes(lock.get(stage, {}).get("deps", []))


def outputs(lock: Stages, stage: str) -> dict[str, str]:
    """Return the MD5 of each output of a stage by its path; empty if it never ran."""
    return hashes(lock.get(stage, {}).get("outs", []))


def model(revision: Revision) -> str:
    """Return the MD5 of a revision's model.

    Raises:
        InputError: dvc.lock does not list it.
    """
    found = outputs(stages(revision), "train").get(MODEL)
    if found is None:
        raise InputError(f"{revision.name}: {LOCK} does not list {MODEL}")
    return found


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Check that stages of these names exist.

    Raises:
        InputError: One does not; the message lists those that do.
    """
    expected = list(dict.fromkeys(known))
    for name in names:
        if name not in expected:
            raise InputError(f"no stage '{name}', expected one of {', '.join(expected)}")


def outdated(lock: Stages, files: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the paths of parameters that have changed since the stages ran.

    Args:
        lock: The stages.
        files: Content of the parameter files to look at, by path.
    """
    return [
        path
        for stage in lock.values()
        for file, recorded in stage.get("params", {}).items()
        if file in files
        for section, value in recorded.items()
        for path in _changed(section, value, files[file])
    ]


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by their path, keys joined by dots."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= flat(item, f"{prefix}.{key}" if prefix else str(key))
    return leaves


def _changed(section: str, value: Any, parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths in a section that no longer have the recorded value."""
    now: Any = parameters
    for key in section.split("."):
        now = now.get(key) if isinstance(now, Mapping) else None
    old, new = flat(value, section), flat(now, section)
    for path in sorted(old | new):
        if old.get(path) != new.get(path):
            yield path
