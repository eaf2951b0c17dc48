"""`python -m review result`: the accuracy on one line, beside the committed one if they differ."""

import argparse
from pathlib import Path
from typing import Any

from fashion_mnist.errors import InputError
from repository import dvc_lock, revisions
from repository.commands import git
from repository.revisions import Revision

METRICS = "metrics"
SCORES = f"{METRICS}/evaluate.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: `result` has no arguments."""


def run(args: argparse.Namespace) -> int:
    """Print the result of the working tree.

    Raises:
        InputError: metrics/evaluate.json is missing or lacks the accuracy or its interval, or
            params.yaml has changed since the last run.
    """
    print(line(revisions.root(Path())))
    return 0


def line(root: Path) -> str:
    """Return the accuracy of the working tree, and which metrics differ from the last commit."""
    scores = revisions.working_tree(root)
    outdated = dvc_lock.outdated(
        dvc_lock.stages(scores), {"params.yaml": scores.yaml("params.yaml")}
    )
    if outdated:
        raise InputError(f"{outdated[0]} differs between dvc.lock and params.yaml: run `dvc repro`")
    low, high = (_percent(scores, "accuracy_interval", end) for end in ("low", "high"))
    reached = f"accuracy {_percent(scores, 'accuracy')}% ({low} to {high})"
    head = revisions.resolve(root, "HEAD")
    if SCORES not in head.files(METRICS):
        return f"{reached}, not committed yet"
    listed = git("diff", "-z", "--name-only", "--relative", "HEAD", "--", METRICS, cwd=root)
    differing = listed.split("\0")[:-1]
    if not differing:
        return f"{reached}, as committed"
    if _classes(scores) != _classes(head):
        return f"{reached}; HEAD has other data; next: git add params.yaml dvc.lock metrics, commit"
    committed = f"committed {_percent(head, 'accuracy')}%"
    return f"{reached}, {committed}; differs: {', '.join(differing)}; next: make compare"


def _classes(side: Revision) -> list[str]:
    """Return the keys of the classes."""
    return list(side.json(SCORES).get("classes", ()))


def _percent(side: Revision, *keys: str) -> str:
    value: Any = side.json(SCORES)
    try:
        for key in keys:
            value = value[key]
        return f"{100 * float(value):.2f}"
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{side.name}: {SCORES} has no number {'.'.join(keys)}") from error
