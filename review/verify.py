"""Checks that committed files are consistent: code, parameters, dvc.lock, metrics and predictions.

`dvc status` compares the working tree with dvc.lock. But it reports a stage as changed when only
its data is absent, does not compare the hashes in dvc.lock with each other, and does not know that
metrics follow from predictions.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from fashion_mnist import machine
from fashion_mnist.errors import InputError
from repository import deliveries, dvc_lock, dvc_status, revisions
from repository.deliveries import UnreachableError
from repository.dvc_lock import LOCK, Stages
from repository.dvc_status import ABSENT, UNCHANGED, Status
from repository.revisions import PUBLISHED, Revision
from review import card, evidence, output_list, rerun, staleness
from review.json_result import JsonResult
from review.output_list import Row

State = Literal["current", "absent", "stale", "changed"]
NOT_RUN = 3  # exit code
SHOWN = 3  # reasons of a stage on a terminal
COLOURS = {"current": "green", "absent": "dim", "stale": "red", "changed": "red"}
FAULTS = {
    "stale": "its stage has changed since it wrote this output",
    "changed": f"it is not the file that {LOCK} names",
}


class CheckedOutput(JsonResult):
    """An output of a stage."""

    path: str
    stage: str
    state: State
    reasons: list[str]


class Verification(JsonResult):
    """What `python -m review verify --json` prints."""

    verified: bool
    outputs: list[CheckedOutput]
    disagreements: list[str]
    """Contradictions between parameters, dvc.lock, metrics and predictions."""
    warnings: list[str]
    """Findings that leave the rest verified."""


def verify(root: Path, names: list[str], published: bool = False) -> Verification:
    """Check a pipeline in the working tree.

    Args:
        root: Top folder of the repository.
        names: Stages to check; none for all.
        published: Check the pipeline of the published systems instead of the main one.

    Raises:
        InputError: There is no such stage, or DVC cannot read the pipeline.
    """
    tree = revisions.working_tree(root / PUBLISHED if published else root)
    lock, status = _lock(tree), dvc_status.read(tree.root)
    dvc_lock.check_names(names, [*lock, *status])
    # The published systems start from what the main pipeline downloads.
    sources = staleness.sources_of(_lock(revisions.working_tree(root)), "../") if published else {}
    reasons = staleness.stale_stages(lock, status, sources | staleness.sources_of(lock), tree)
    outputs = [
        output
        for output in _outputs(lock, status, reasons, revisions.tracked(tree.root))
        if not names or output.stage in names
    ]
    disagreements: list[str] = []
    warnings: list[str] = []
    if not published and (not names or "evaluate" in names):
        disagreements, warnings = _contents(tree)
    faults = any(output.state in FAULTS for output in outputs)
    return Verification(
        verified=not (faults or disagreements),
        outputs=outputs,
        disagreements=disagreements,
        warnings=warnings,
    )


def terminal(found: Verification, console: Console, everything: bool = False) -> None:
    """Print the outputs that are stale or changed, or all of them, then counts and the result."""
    rows = [Row(item.state, item.path, item.stage, _brief(item.reasons)) for item in found.outputs]
    output_list.show(rows, COLOURS, FAULTS, console, everything)
    for line in found.disagreements:
        console.print(Text(f"inconsistent: {line}", "red"))
    for line in found.warnings:
        console.print(Text(f"warning: {line}", "yellow"))
    console.print("verified" if found.verified else "not verified", style="bold")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "--published", action="store_true", help="the pipeline of the published systems instead"
    )
    parser.add_argument(
        "--stages", nargs="+", default=[], metavar="stage", help="some stages (default: all)"
    )
    parser.add_argument("--all", action="store_true", help="list every output, not only faults")
    parser.add_argument(
        "--rerun",
        action="store_true",
        help="run the stages of the commit from scratch in a clone, and compare the bytes",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"with --rerun: if every byte is the same, write {machine.RECORD}",
    )
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="check nothing, but fetch the data of the deliveries that params.yaml lists, from the "
        "DVC cache, the DVC remote or the inbox",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Check or rerun a pipeline, print the result, and return the exit code.

    Raises:
        InputError: See `verify` and `rerun.rerun`.
    """
    if args.fetch and (args.rerun or args.stages or args.published):
        raise InputError("--fetch: not with other options")
    if args.record and (args.stages or args.published or not args.rerun):
        raise InputError("--record: only with --rerun, of all stages of the main pipeline")
    root = revisions.root(Path())
    if args.fetch:
        return _fetch(root)
    if args.rerun:
        return _rerun(root, args)
    return _verify(root, args)


def _verify(root: Path, args: argparse.Namespace) -> int:
    found = verify(root, args.stages, args.published)
    if args.json:
        print(found.model_dump_json(indent=2))
    else:
        terminal(found, Console(), args.all)
    return 0 if found.verified else 1


def _rerun(root: Path, args: argparse.Namespace) -> int:
    try:
        found = rerun.rerun(root, args.stages, args.published)
    except UnreachableError as error:
        # What can be checked without the data is checked, and a fault is still a fault.
        code = _verify(root, args)
        print(f"review: {error}", file=sys.stderr)
        return code or NOT_RUN
    if args.json:
        print(found.model_dump_json(indent=2))
    else:
        rerun.terminal(found, Console(), args.all)
    if args.record:
        rerun.record(root, found)
    return 0 if found.reproduced else 1


def _fetch(root: Path) -> int:
    try:
        deliveries.fetch(root, root, "HEAD")
    except UnreachableError as error:
        print(f"review: {error}", file=sys.stderr)
        return NOT_RUN
    return 0


def _brief(reasons: list[str]) -> str:
    """Return the first reasons of a stage on one line."""
    more = len(reasons) - SHOWN
    return "; ".join(reasons[:SHOWN]) + (f"; and {more} more (--json)" if more > 0 else "")


def _lock(tree: Revision) -> Stages:
    """Return the stages in dvc.lock; none if nothing ran."""
    return dvc_lock.stages(tree) if (tree.root / LOCK).exists() else {}


def _outputs(
    lock: Stages, status: Mapping[str, Status], stale: Mapping[str, list[str]], tracked: set[str]
) -> Iterator[CheckedOutput]:
    """Yield the outputs of all stages, with their state.

    Args:
        lock: The stages that ran.
        status: What DVC reports of stages.
        stale: Reasons by stage, of stages that are stale.
        tracked: Paths of the files that git tracks.
    """
    for stage in dict.fromkeys([*lock, *status]):
        reported = status.get(stage, UNCHANGED).outputs
        for path in dvc_lock.outputs(lock, stage) or reported:
            word = reported.get(path)
            state: State = "current"
            reasons: list[str] = []
            if stage in stale:
                state, reasons = "stale", stale[stage]
            elif word in ABSENT:
                state, reasons = ("changed", ["missing"]) if path in tracked else ("absent", [])
            elif word is not None:
                state = "changed"
            yield CheckedOutput(path=path, stage=stage, state=state, reasons=reasons)


def _contents(tree: Revision) -> tuple[list[str], list[str]]:
    """Return contradictions among parameters, metrics and predictions, and warnings."""
    try:
        found = evidence.gather(tree)
        if card.CARD not in tree.files("metrics") or tree.read(card.CARD) == card.render(found):
            return [], []
    except InputError as error:
        return [str(error)], []
    return [], [f"{card.CARD} is out of date: `python -m review card` writes it"]
