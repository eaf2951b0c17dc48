"""Runs the pipeline of a commit again, from nothing, and compares every output with dvc.lock.

It runs in a clone of its own with an empty cache, so that nothing is restored instead of made.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from fashion_mnist.errors import InputError
from repository import clones, dvc_lock, revisions
from repository.commands import dvc
from repository.revisions import Revision
from review import machine, verify
from review.machine import Machine

FOLDER = ".dvc/tmp/rerun"
# How far scores may be from those of another kind of machine: docs/reproducibility.md tells how
# these were found.
TOLERANCE = {
    "accuracy": 0.01,
    "macro_f1": 0.01,
    "loss": 0.03,
    "expected_calibration_error": 0.02,
    "brier_score": 0.015,
}
# Whose outputs another kind of machine rounds differently.
ROUNDED = ("train", "evaluate", "aggregate")

LEGEND = {
    "identical": "the bytes that dvc.lock names",
    "tolerated": "other bytes, with scores as near as another kind of machine gives",
    "different": "other bytes",
}


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Output(_Result):
    """What a stage wrote, by its MD5 in dvc.lock and that of the rerun."""

    path: str
    stage: str
    state: Literal["identical", "tolerated", "different"]
    expected: str | None
    found: str


class Rerun(_Result):
    """What `python -m review verify --rerun --json` prints."""

    reproduced: bool
    commit: str
    machine: Machine
    recorded: Machine | None
    """The kind of machine that made what is committed, if docs/machine.json tells."""
    outputs: list[Output]
    beyond: list[str]
    """Scores that are further off than is tolerated."""


def rerun(root: Path, names: list[str]) -> Rerun:
    """Run stages of the commit that is checked out, and what they depend on.

    Args:
        root: Top folder of the repository.
        names: Stages to compare; none for the five of dvc.yaml.

    Raises:
        InputError: Files that git tracks were changed, there is no such stage, or one failed; its
            output was printed.
    """
    if not revisions.clean(root):
        raise InputError("the working tree has changes, and what runs again is a commit: commit")
    head = revisions.resolve(root, "HEAD")
    committed = verify.lock_entries(root)
    unknown = [name for name in names if name not in committed]
    if unknown:
        raise InputError(f"no stage '{unknown[0]}', expected one of {', '.join(committed)}")
    here, recorded = machine.here(), machine.recorded(root)
    folder = root / FOLDER
    with clones.clone(root, head.commit or "", folder):
        dvc("repro", "--force", "--no-run-cache", *(names or ["dvc.yaml"]), cwd=folder)
        tree = Revision(folder, "rerun", None)
        made = {
            name: entry
            for name, entry in verify.lock_entries(folder).items()
            if name in names or (not names and ":" not in name)
        }
        differing, beyond = set(), []
        for name, entry in made.items():
            expected = dvc_lock.outputs(committed, name)
            for path, digest in dvc_lock.hashes(entry["outs"]).items():
                if expected.get(path) == digest:
                    continue
                differing.add((name, path))
                if path.endswith(".json") and path in expected:
                    before, after = (side.json(path) for side in (head, tree))
                    beyond += [f"{path}: {text}" for text in far(before, after)]
    outputs = []
    for name, entry in made.items():
        expected = dvc_lock.outputs(committed, name)
        may_differ = here != recorded and _verb(name) in ROUNDED and not beyond
        for path, digest in dvc_lock.hashes(entry["outs"]).items():
            other: Literal["tolerated", "different"] = "tolerated" if may_differ else "different"
            outputs.append(
                Output(
                    path=path,
                    stage=name,
                    state=other if (name, path) in differing else "identical",
                    expected=expected.get(path),
                    found=digest,
                )
            )
    return Rerun(
        reproduced=all(output.state != "different" for output in outputs),
        commit=head.commit or "",
        machine=here,
        recorded=recorded,
        outputs=outputs,
        beyond=beyond,
    )


def far(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the scores in two metrics files, at any depth, that are not within TOLERANCE."""
    old, new = dvc_lock.flat(before), dvc_lock.flat(after)
    return [
        f"{key} is {new.get(key)}, committed is {old.get(key)}, tolerated {tolerance} either way"
        for key in sorted(old | new)
        if (tolerance := TOLERANCE.get(key.rpartition(".")[2])) is not None
        and not (key in old and key in new and abs(new[key] - old[key]) <= tolerance)
    ]


def terminal(found: Rerun, console: Console) -> None:
    """Print the machine, the outputs as a table, and the scores that are too far off."""
    described = found.machine.model_dump()
    libraries = " ".join(f"{name} {number}" for name, number in described.pop("libraries").items())
    console.print("this machine:", *described.values(), "threads,", libraries, highlight=False)
    for line in _kind(found):
        console.print(line, highlight=False)
    table = Table("output", "stage", "state", "MD5", box=None, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    colours = {"identical": "green", "tolerated": "yellow", "different": "red"}
    for item in found.outputs:
        same = item.state == "identical"
        digests = item.found if same else f"{item.found}, committed {item.expected}"
        table.add_row(item.path, item.stage, f"[{colours[item.state]}]{item.state}[/]", digests)
    console.print(table)
    for state in dict.fromkeys(item.state for item in found.outputs):
        console.print(f"{state}: {LEGEND[state]}", highlight=False)
    for line in found.beyond:
        console.print(line, style="red", highlight=False)
    console.print("reproduced" if found.reproduced else "not reproduced", style="bold")


def _kind(found: Rerun) -> Iterator[str]:
    if found.recorded is None:
        yield f"{machine.RECORD} does not tell which kind of machine made what is committed"
    elif found.recorded == found.machine:
        yield "the kind of machine that made what is committed: all must be identical"
    else:
        old, new = (dvc_lock.flat(side.model_dump()) for side in (found.recorded, found.machine))
        for key in sorted(old | new):
            if old.get(key) != new.get(key):
                yield f"another kind of machine: {key} was {old.get(key)}, is {new.get(key)}"


def _verb(stage: str) -> str:
    return stage.rpartition(":")[2].partition("@")[0]
