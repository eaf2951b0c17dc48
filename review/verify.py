"""Checks that what is committed belongs together: code, parameters, dvc.lock, metrics, answers.

`dvc status` compares the working tree with dvc.lock, but calls a stage changed for the mere absence
of its data, does not compare the hashes in dvc.lock with one another, and does not know that
metrics follow from predictions.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from fashion_mnist.errors import InputError
from repository import dvc_lock, revisions
from repository.revisions import Revision
from review import card, evidence

PIPELINES = {"dvc.yaml": "dvc.lock", "published/dvc.yaml": "published/dvc.lock"}
# What `dvc status` says of data that this clone does not have.
ABSENT = ("deleted", "not in cache")

State = Literal["current", "absent", "stale", "changed"]
LEGEND = {
    "current": "there, and what dvc.lock names",
    "absent": "not in this clone, nothing to check",
    "stale": "made by a stage that has changed since",
    "changed": "there, and not what dvc.lock names",
}


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Artifact(_Result):
    """An output of a stage."""

    path: str
    stage: str
    state: State
    reasons: list[str]


class Verification(_Result):
    """What `python -m review verify --json` prints."""

    verified: bool
    artifacts: list[Artifact]
    disagreements: list[str]


def verify(root: Path, names: list[str]) -> Verification:
    """Check the working tree of a repository.

    Args:
        root: Its top folder.
        names: Stages to check; none for all.

    Raises:
        InputError: There is no such stage, or DVC cannot read the pipeline.
    """
    tree = Revision(root, "working tree", None)
    entries = lock_entries(root)
    status = _status(root, [yaml for yaml in PIPELINES if (root / yaml).exists()])
    unknown = [name for name in names if name not in entries | status]
    if unknown:
        raise InputError(f"no stage '{unknown[0]}', expected one of {', '.join(entries)}")
    tracked = revisions.tracked(root)
    reasons = _stale(entries, status, tree)
    artifacts = []
    for name in dict.fromkeys([*entries, *status]):
        if names and name not in names:
            continue
        outputs = _reported(status.get(name, []), "changed outs")
        for path in dvc_lock.outputs(entries, name) or outputs:
            state, why = _state(path, outputs.get(path), path in tracked, reasons.get(name, []))
            artifacts.append(Artifact(path=path, stage=name, state=state, reasons=why))
    disagreements = []
    if not names or "evaluate" in names:
        try:
            said = evidence.gather(tree)
            if card.CARD in tree.files("metrics") and tree.read(card.CARD) != card.render(said):
                disagreements.append(f"{card.CARD} is not what `python -m review card` writes")
        except InputError as error:
            disagreements.append(str(error))
    bad = any(artifact.state in ("stale", "changed") for artifact in artifacts)
    return Verification(
        verified=not (bad or disagreements), artifacts=artifacts, disagreements=disagreements
    )


def lock_entries(root: Path) -> dict[str, Any]:
    """Return what dvc.lock says of each stage, that of published/ by `published/dvc.yaml:name`."""
    tree = Revision(root, "working tree", None)
    found: dict[str, Any] = {}
    for yaml, lock in PIPELINES.items():
        if (root / lock).exists():
            prefix = "" if yaml == "dvc.yaml" else f"{yaml}:"
            stages = dvc_lock.stages(tree, lock)
            found |= {f"{prefix}{name}": entry for name, entry in stages.items()}
    return found


def terminal(found: Verification, console: Console) -> None:
    """Print the artifacts as a table, then what does not agree."""
    table = Table("artifact", "stage", "state", "why", box=None, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    colours = {"current": "green", "absent": "dim", "stale": "red", "changed": "red"}
    said = None
    for item in found.artifacts:
        why = "; ".join(item.reasons) if (item.stage, item.reasons) != said else ""
        said = item.stage, item.reasons
        state = f"[{colours[item.state]}]{item.state}[/]"
        table.add_row(item.path, item.stage, state, why)
    console.print(table)
    for state in dict.fromkeys(item.state for item in found.artifacts):
        console.print(f"{state}: {LEGEND[state]}", highlight=False)
    for disagreement in found.disagreements:
        console.print(f"does not agree: {disagreement}", style="red", highlight=False)
    console.print("verified" if found.verified else "not verified", style="bold")


def _status(root: Path, files: list[str]) -> dict[str, list[Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json", *files],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InputError(" ".join(done.stderr.split()) or "dvc status failed")
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


def _reported(items: list[Any], key: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        if isinstance(item, Mapping):
            found |= item.get(key, {})
    return found


def _state(path: str, said: str | None, tracked: bool, stale: list[str]) -> tuple[State, list[str]]:
    if stale:
        return "stale", stale
    if said is not None and (tracked or said not in ABSENT):
        return "changed", ["missing"] if said in ABSENT else []
    return ("absent" if said else "current"), []


def _stale(
    entries: Mapping[str, Any], status: Mapping[str, list[Any]], tree: Revision
) -> dict[str, list[str]]:
    """Return why the outputs of a stage are not those of the pipeline as it is, by stage."""
    made = {
        path: (name, found)
        for name, entry in entries.items()
        for path, found in dvc_lock.hashes(entry.get("outs", [])).items()
    }
    reasons: dict[str, list[str]] = {}
    for name in {*entries, *status}:
        own = []
        entry = entries.get(name)
        if entry is None:
            own.append("never run")
            entry = {}
        if "changed command" in status.get(name, []):
            own.append("other command")
        for path, said in _reported(status.get(name, []), "changed deps").items():
            if isinstance(said, Mapping):
                keys = dvc_lock.outdated({name: entry}, {path: tree.yaml(path)})
                own.append(f"{path}: {', '.join(keys or said)}")
            elif said not in ABSENT or path not in made:
                own.append(f"{path} {said}")
        for path, found in dvc_lock.hashes(entry.get("deps", [])).items():
            if path in made and made[path][1] != found:
                own.append(f"{path} is not what {made[path][0]} wrote")
        if own:
            reasons[name] = own
    return reasons | _after(entries, made, set(reasons))


def _after(
    entries: Mapping[str, Any], made: Mapping[str, tuple[str, str]], stale: set[str]
) -> dict[str, list[str]]:
    """Return, for each stage that is only stale since others are, which of these they are."""
    causes = {name: {name} for name in stale}
    grown = True
    while grown:
        grown = False
        for name, entry in entries.items():
            before = {
                made[path][0] for path in dvc_lock.hashes(entry.get("deps", [])) if path in made
            }
            found = set().union(*(causes.get(stage, set()) for stage in before))
            if name not in stale and found - causes.get(name, set()):
                causes[name] = found
                grown = True
    return {
        name: [f"after {', '.join(sorted(found))}"]
        for name, found in causes.items()
        if name not in stale
    }
