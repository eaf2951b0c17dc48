"""Reads dvc.lock: which hashes each stage depended on and wrote, and with which parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from fashion_mnist.errors import InputError
from repository.revisions import Revision

Stages = Mapping[str, Any]  # section `stages` of a dvc.lock

MODEL = "data/model/model.keras"


def stages(revision: Revision, path: str = "dvc.lock") -> dict[str, Any]:
    """Return section `stages` of a revision's lock file.

    Raises:
        InputError: The file is missing, is not YAML, or has no such section.
    """
    found = revision.yaml(path).get("stages")
    if not isinstance(found, dict):
        raise InputError(f"{revision.name}: {path} has no section 'stages'")
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
        raise InputError(f"{revision.name}: dvc.lock does not list {MODEL}")
    return found


def outdated(lock: Stages, files: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the paths of parameters that have changed since the stages ran.

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


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by their path, keys joined by dots."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= flat(item, f"{prefix}.{key}" if prefix else str(key))
    return leaves
