"""Finds the stages whose outputs are not what the pipeline would write now, and why."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from fashion_mnist.errors import InputError
from repository import dvc_lock
from repository.dvc_lock import LOCK, Stages
from repository.dvc_status import ABSENT, UNCHANGED, Status
from repository.revisions import Revision


class Source(NamedTuple):
    """The stage that wrote a file, and the MD5 of the file in dvc.lock."""

    stage: str
    md5: str


def sources_of(lock: Stages, prefix: str = "") -> dict[str, Source]:
    """Return which stage wrote each output, by the path of the output after `prefix`."""
    return {
        prefix + path: Source(stage, md5)
        for stage in lock
        for path, md5 in dvc_lock.outputs(lock, stage).items()
    }


def stale_stages(
    lock: Stages, status: Mapping[str, Status], sources: Mapping[str, Source], tree: Revision
) -> dict[str, list[str]]:
    """Return, by stage, why its outputs are not what the pipeline would write now.

    Args:
        lock: The stages that ran.
        status: What DVC reports of stages.
        sources: The stages that wrote files, by path.
        tree: The working tree, for its parameters.

    Raises:
        InputError: By dvc.lock, stages depend on each other in a circle.
    """
    own = {
        stage: list(_own_reasons(stage, lock, status.get(stage, UNCHANGED), sources, tree))
        for stage in dict.fromkeys([*lock, *status])
    }
    stale = {stage: reasons for stage, reasons in own.items() if reasons}
    return stale | _after(lock, sources, set(stale))


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
    """Return, for stages that are stale only because others are, which others."""
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
    """Return the stages of a lock file that wrote a stage's dependencies, or files inside them."""
    paths = dvc_lock.dependencies(lock, stage)
    return {
        source.stage
        for path, source in sources.items()
        if source.stage in lock and any(str(part) in paths for part in (path, *Path(path).parents))
    }
