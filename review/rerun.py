"""Runs the pipeline of a commit from scratch and compares every output with dvc.lock.

It runs in a clone with an empty cache, so that nothing is restored instead of made.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from fashion_mnist import machine
from fashion_mnist.errors import InputError
from fashion_mnist.machine import Machine
from repository import clones, deliveries, dvc_lock, revisions
from repository.commands import dvc
from repository.dvc_lock import PIPELINE, Stages
from repository.revisions import PUBLISHED, Revision
from review import output_list
from review.json_result import JsonResult
from review.output_list import Row

FOLDER = ".dvc/tmp/rerun"
# How far scores on another kind of machine may differ; docs/reproducibility.md shows the
# measurements behind these.
TOLERANCE = {
    "accuracy": 0.01,
    "macro_f1": 0.01,
    "loss": 0.03,
    "expected_calibration_error": 0.02,
    "brier_score": 0.015,
}
# Stages whose outputs another kind of machine rounds differently.
ROUNDED = ("train", "evaluate", "aggregate")

State = Literal["identical", "tolerated", "different"]
COLOURS = {"identical": "green", "tolerated": "yellow", "different": "red"}
LEGEND = {
    "tolerated": "the bytes differ, but the scores are within tolerance",
    "different": "different bytes",
}


class ComparedOutput(JsonResult):
    """An output of a stage: its MD5 in dvc.lock, and that of the rerun."""

    path: str
    stage: str
    state: State
    expected: str | None
    found: str


class Rerun(JsonResult):
    """What `python -m review verify --rerun --json` prints."""

    reproduced: bool
    commit: str
    machine: Machine
    recorded: Machine | None
    """The kind of machine that made the committed files; null without docs/machine.json."""
    outputs: list[ComparedOutput]
    beyond: list[str]
    """Scores that differ by more than is tolerated."""


def rerun(root: Path, names: list[str], published: bool = False) -> Rerun:
    """Run stages of the current commit, and the stages that they depend on.

    Args:
        root: Top folder of the repository.
        names: Stages to compare; none for all.
        published: Run the pipeline of the published systems instead of the main one.

    Raises:
        InputError: Tracked files have changes, there is no such stage, or a stage failed; its
            output was printed.
        UnreachableError: The data of a delivery cannot be reached.
    """
    if not revisions.clean(root):
        raise InputError("the working tree has changes: commit them first")
    commit = revisions.resolve(root, "HEAD").commit or ""
    project = PUBLISHED if published else ""
    head = Revision(root / project, "HEAD", commit)
    committed = dvc_lock.stages(head)
    dvc_lock.check_names(names, committed)
    here, recorded = machine.here(), machine.recorded(root)
    with clones.clone(root, commit, root / FOLDER) as clone:
        deliveries.fetch(root, clone, commit)
        _run(clone, names, published)
        made = revisions.working_tree(clone / project, "rerun")
        lock = dvc_lock.stages(made)
        outputs = compare(committed, lock, [name for name in lock if not names or name in names])
        beyond = beyond_tolerance(outputs, head, made)
    outputs = tolerate(outputs, beyond, same_kind=here == recorded)
    return Rerun(
        reproduced=all(output.state != "different" for output in outputs),
        commit=commit,
        machine=here,
        recorded=recorded,
        outputs=outputs,
        beyond=beyond,
    )


def compare(committed: Stages, made: Stages, names: list[str]) -> list[ComparedOutput]:
    """Return the outputs of stages in the lock file of a rerun, identical or different."""
    return [
        ComparedOutput(
            path=path,
            stage=name,
            state="identical" if expected == found else "different",
            expected=expected,
            found=found,
        )
        for name in names
        for path, found in dvc_lock.outputs(made, name).items()
        for expected in [dvc_lock.outputs(committed, name).get(path)]
    ]


def tolerate(
    outputs: list[ComparedOutput], beyond: list[str], same_kind: bool
) -> list[ComparedOutput]:
    """Mark differences that rounding on another kind of machine explains as tolerated.

    Args:
        outputs: The outputs, identical or different.
        beyond: Scores that differ by more than is tolerated; with any, nothing is tolerated.
        same_kind: This kind of machine made the committed files: nothing is tolerated.
    """
    if same_kind or beyond:
        return outputs
    return [
        output.model_copy(update={"state": "tolerated"})
        if output.state == "different" and output.stage.partition("@")[0] in ROUNDED
        else output
        for output in outputs
    ]


def beyond_tolerance(outputs: list[ComparedOutput], head: Revision, made: Revision) -> list[str]:
    """Return the scores in metrics files that differ by more than is tolerated.

    Args:
        outputs: The outputs; metrics files are JSON.
        head: The commit.
        made: The files of the rerun.
    """
    metrics = [
        output.path
        for output in outputs
        if output.state == "different" and output.expected and output.path.endswith(".json")
    ]
    return [f"{path}: {line}" for path in metrics for line in far(head.json(path), made.json(path))]


def far(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the scores in two metrics files, at any depth, that differ by more than TOLERANCE."""
    old, new = dvc_lock.flat(before), dvc_lock.flat(after)
    return [
        f"{key} is {new.get(key)}, committed is {old.get(key)}, tolerance is ±{tolerance}"
        for key in sorted(old | new)
        if (tolerance := TOLERANCE.get(key.rpartition(".")[2])) is not None
        and not (key in old and key in new and abs(new[key] - old[key]) <= tolerance)
    ]


def record(root: Path, found: Rerun) -> None:
    """Write this machine's kind to docs/machine.json if every output is identical."""
    if all(output.state == "identical" for output in found.outputs):
        machine.record(root)
        print(f"written to {machine.RECORD}: commit it", file=sys.stderr)


def terminal(found: Rerun, console: Console, everything: bool = False) -> None:
    """Print the machine, the outputs that differ, or all of them, then counts and the result."""
    described = found.machine.model_dump()
    libraries = " ".join(f"{name} {number}" for name, number in described.pop("libraries").items())
    console.print("this machine:", *described.values(), libraries, highlight=False)
    for line in _kind(found):
        console.print(line, highlight=False)
    output_list.show([_row(item) for item in found.outputs], COLOURS, LEGEND, console, everything)
    for line in found.beyond:
        console.print(Text(line, "red"))
    console.print("reproduced" if found.reproduced else "not reproduced", style="bold")


def _run(clone: Path, names: list[str], published: bool) -> None:
    """Run stages in a clone, and the stages that they depend on, ignoring DVC's run cache."""
    repro = ("repro", "--force", "--no-run-cache")
    # The repository's settings may name another cache, relative to the repository or not.
    clones.own_cache(clone)
    if published:
        clones.own_cache(clone / PUBLISHED)
        # Its stages start from what the main pipeline downloads.
        dvc(*repro, "download", cwd=clone)
    dvc(*repro, *(names or [PIPELINE]), cwd=clone / PUBLISHED if published else clone)


def _row(output: ComparedOutput) -> Row:
    """Return an output with its MD5, or both where they differ."""
    same = output.state == "identical"
    md5 = output.found if same else f"{output.found}, committed {output.expected}"
    return Row(output.state, output.path, output.stage, md5)


def _kind(found: Rerun) -> Iterator[str]:
    """Yield how this machine differs from the one that made the committed files."""
    if found.recorded is None:
        yield f"{machine.RECORD} is missing: the kind of machine behind this commit is unknown"
    elif found.recorded == found.machine:
        yield "same kind of machine as the one that made the committed files: all must be identical"
    else:
        old, new = (dvc_lock.flat(side.model_dump()) for side in (found.recorded, found.machine))
        for key in sorted(old | new):
            if old.get(key) != new.get(key):
                yield f"another kind of machine: {key} was {old.get(key)}, is {new.get(key)}"
