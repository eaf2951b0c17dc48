"""Reads `dvc status`: how the working tree differs from dvc.lock."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fashion_mnist.errors import InputError
from repository.commands import dvc_output
from repository.dvc_lock import PIPELINE

# Words for data that this clone does not have.
ABSENT = ("deleted", "not in cache")


class Status(NamedTuple):
    """What `dvc status` reports of a stage.

    command: Whether its command has changed.
    dependencies: A word such as "modified" by path; for a parameter file, a word by key.
    outputs: A word by path.
    """

    command: bool
    dependencies: dict[str, str | dict[str, str]]
    outputs: dict[str, str]


UNCHANGED = Status(False, {}, {})


def read(folder: Path) -> dict[str, Status]:
    """Return the status of each stage that differs from dvc.lock, for the project in `folder`.

    Raises:
        InputError: There is no dvc.yaml, or DVC cannot read it.
    """
    if not (folder / PIPELINE).exists():
        raise InputError(f"{folder / PIPELINE}: no such file")
    reported = json.loads(dvc_output("status", "--json", PIPELINE, cwd=folder))
    return {
        stage: Status(
            command="changed command" in items,
            dependencies=_words(items, "changed deps", folder),
            outputs=_words(items, "changed outs", folder),
        )
        for stage, items in reported.items()
    }


def _words(items: list[Any], key: str, folder: Path) -> dict[str, Any]:
    """Return what `dvc status` lists under a key, by path as in dvc.lock."""
    return {
        # DVC reports paths outside of the project as absolute ones.
        os.path.relpath(folder / path, folder): word
        for item in items
        if isinstance(item, Mapping)
        for path, word in item.get(key, {}).items()
    }
