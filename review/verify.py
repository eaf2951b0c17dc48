"""Checks that committed files are consistent: code, parameters, dvc.lock, metrics and predictions.

`dvc status` compares the working tree with dvc.lock. But it reports a stage as changed when only
its data is absent, does not compare the hashes in dvc.lock with each other, and does not know that
metrics follow from predictions.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.text import Text

from fashion_mnist.errors import InputError
from repository import dvc_lock, revisions
from repository.commands import dvc_output
from repository.dvc_lock import LOCK, PIPELINE, PUBLISHED, Stages
from repository.revisions import Revision
from review import card, evidence, machine, output_list, rerun
from review.json_result import JsonResult
from review.output_list import Row

# What `dvc status` reports of data that this clone does not have.
ABSENT = ("deleted", "not in cache")

State = Literal["current", "absent", "stale", "changed"]
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


class Status(NamedTuple):
    """What `dvc status` reports of a stage.

    command: Whether its command has changed.
    dependencies: A word such as "modified" by path; for a parameter file, a word by key.
    outputs: A word by path.
    """

    command: bool
    dependencies: dict[str, str | dict[str, str]]
    outputs: dict[str, str]


class Source(NamedTuple):
    """The stage that wrote a file, and the MD5 of the file in dvc.lock."""

    stage: str
    md5: str


UNCHANGED = Status(False, {}, {})


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
    lock, status = _lock(tree), _status(tree.root)
    dvc_lock.check_names(names, [*lock, *status])
    # The published systems start from what the main pipeline downloads.
    sources = _sources(_lock(revisions.working_tree(root)), "../") if published else {}
    reasons = stale_stages(lock, status, sources | _sources(lock), tree)
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


def stale_stages(
    lock: Stages, status: Mapping[str, Status], sources: Mapping[str, Source], tree: Revision
) -> dict[str, list[str]]:
    """Return, by stage, why its outputs are not what the pipeline would write now."""
    own = {
        stage: list(_own_reasons(stage, lock, status.get(stage, UNCHANGED), sources, tree))
        for stage in dict.fromkeys([*lock, *status])
    }
    stale = {stage: reasons for stage, reasons in own.items() if reasons}
    return stale | _after(lock, sources, set(stale))


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
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Check or rerun a pipeline, print the result, and return the exit code.

    Raises:
        InputError: See `verify` and `rerun.rerun`.
    """
    if args.record and (args.stages or args.published or not args.rerun):
        raise InputError("--record: only with --rerun, of all stages of the main pipeline")
    root = revisions.root(Path())
    if args.rerun:
        rerun_result = rerun.rerun(root, args.stages, args.published)
        if args.json:
            print(rerun_result.model_dump_json(indent=2))
        else:
            rerun.terminal(rerun_result, Console(), args.all)
        if args.record:
            rerun.record(root, rerun_result)
        return 0 if rerun_result.reproduced else 1
    found = verify(root, args.stages, args.published)
    if args.json:
        print(found.model_dump_json(indent=2))
    else:
        terminal(found, Console(), args.all)
    return 0 if found.verified else 1


def _brief(reasons: list[str]) -> str:
    """Return the first reasons of a stage on one line."""
    more = len(reasons) - SHOWN
    return "; ".join(reasons[:SHOWN]) + (f"; and {more} more (--json)" if more > 0 else "")


def _lock(tree: Revision) -> Stages:
    """Return the stages in dvc.lock; none if nothing ran."""
    return dvc_lock.stages(tree) if (tree.root / LOCK).exists() else {}


def _status(folder: Path) -> dict[str, Status]:
    """Return what `dvc status` reports of each stage of a project that is not as in dvc.lock."""
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


def _sources(lock: Stages, prefix: str = "") -> dict[str, Source]:
    """Return which stage wrote each output, by the path of the output after `prefix`."""
    return {
        prefix + path: Source(stage, md5)
        for stage in lock
        for path, md5 in dvc_lock.outputs(lock, stage).items()
    }


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


def _own_reasons(
    stage: str, lock: Stages, status: Status, sources: Mapping[str, Source], tree: Revision
) -> Iterator[str]:
    """Yield why a stage is stale, other than that it comes after one."""
    if stage not in lock:
        yield "never run"
    if status.command:
        yield "command changed"
    for path, word in status.dependencies.items():
        if isinstance(word, Mapping):
            recorded = {stage: lock[stage]} if stage in lock else {}
            changed = dvc_lock.outdated(recorded, {path: tree.yaml(path)})
            yield f"{path}: {', '.join(changed or word)}"
        elif word not in ABSENT or path not in sources:
            yield f"{path} {word}"
    for path, md5 in dvc_lock.dependencies(lock, stage).items():
        if path in sources and sources[path].md5 != md5:
            yield f"{path} is not what {sources[path].stage} wrote"


def _after(lock: Stages, sources: Mapping[str, Source], stale: set[str]) -> dict[str, list[str]]:
    """Return, for stages that are stale only because others are, which others.

    Raises:
        InputError: By dvc.lock, stages depend on each other in a circle.
    """
    previous = {stage: _previous(lock, stage, sources) for stage in lock}
    causes: dict[str, set[str]] = {}
    try:
        for stage in TopologicalSorter(previous).static_order():
            before = (causes.get(name, set()) for name in previous.get(stage, ()))
            causes[stage] = {stage} if stage in stale else set().union(*before)
    except CycleError as error:
        circle = ", ".join(error.args[1])
        raise InputError(f"{LOCK}: stages depend on each other in a circle: {circle}") from error
    return {
        stage: [f"after {', '.join(sorted(found))}"]
        for stage, found in causes.items()
        if found and stage not in stale
    }


def _previous(lock: Stages, stage: str, sources: Mapping[str, Source]) -> set[str]:
    """Return the stages of a lock file that wrote a stage's dependencies, files in them too."""
    paths = dvc_lock.dependencies(lock, stage)
    return {
        source.stage
        for path, source in sources.items()
        if source.stage in lock and any(str(part) in paths for part in (path, *Path(path).parents))
    }


def _contents(tree: Revision) -> tuple[list[str], list[str]]:
    """Return contradictions among parameters, metrics and predictions, and warnings."""
    try:
        found = evidence.gather(tree)
        if card.CARD not in tree.files("metrics") or tree.read(card.CARD) == card.render(found):
            return [], []
    except InputError as error:
        return [str(error)], []
    return [], [f"{card.CARD} is out of date: `python -m review card` writes it"]
