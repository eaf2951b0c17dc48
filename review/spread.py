"""Trains the recipe with several seeds, to know how much of a difference is chance.

Each seed is trained by `dvc repro` in a clone of its own that shares DVC's cache, so that the data
stages are not run again and the working tree stays as it is. The scores of finished seeds are kept
in .dvc/tmp, so that an interrupted run goes on. (DVC's run cache would not do: it leaves out stages
with an uncached output that is neither metrics nor plots.)
"""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError
from scipy import stats

import recipes
from fashion_mnist import determinism, files
from fashion_mnist.errors import InputError
from fashion_mnist.params import Section, explain
from repository import clones, dvc_lock, revisions
from repository.commands import dvc
from repository.revisions import Revision
from review import evidence
from review.evidence import Evidence

LEVEL = 0.95


class Score(Section):
    """A score over the seeds, with the interval of its mean by Student's t."""

    mean: float
    standard_deviation: float = Field(ge=0)
    low: float
    high: float
    seeds: dict[str, float] = Field(min_length=2)


class Spread(Section):
    """What metrics/spread.json holds: the scores of evaluate.json over several seeds.

    recipe:
        What `recipe` returned of the revision, so that scores of another one are not used.
    """

    recipe: str
    accuracy: Score
    macro_f1: Score
    loss: Score
    expected_calibration_error: Score
    brier_score: Score


SCORES = [name for name in Spread.model_fields if name != "recipe"]


def recipe(parameters: dict[str, Any], lock: dict[str, Any]) -> str:
    """Return a hash of all that the scores depend on except the seed of the training.

    Raises:
        InputError: A section or a stage is missing.
    """
    try:
        sections = {name: dict(parameters[name]) for name in ("train", "evaluate")}
        dependencies = dvc_lock.dependencies(lock, "train")
        dependencies |= dvc_lock.dependencies(lock, "evaluate")
        del sections["train"]["seed"], dependencies["data/model/model.keras"]
    except KeyError as error:
        raise InputError(f"params.yaml or dvc.lock has no {error}") from error
    text = json.dumps([sections, dependencies], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def find(side: Evidence) -> Spread | None:
    """Return what a revision's metrics/spread.json holds, None if it has no such file.

    Raises:
        InputError: The file is damaged.
    """
    revision = side.revision
    if evidence.SPREAD not in revision.files("metrics"):
        return None
    content = revision.json(evidence.SPREAD)
    try:
        return Spread.model_validate(content)
    except ValidationError as error:
        where = f"{revision.name}: {evidence.SPREAD}"
        raise InputError(f"{where}: {explain(error, 'spread', content)}") from error


def summary(values: dict[str, float]) -> Score:
    """Return mean, standard deviation and 95% interval of a score by seed, two or more."""
    numbers = np.array(list(values.values()))
    error = float(stats.sem(numbers))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(numbers) - 1)) * error
    mean = float(numbers.mean())
    return Score(
        mean=mean,
        standard_deviation=float(numbers.std(ddof=1)),
        low=mean - half,
        high=mean + half,
        seeds=values,
    )


def welch(before: Score, after: Score, level: float) -> dict[str, float]:
    """Return the difference of two means, its interval (low, high) and p by Welch's t-test (1947).

    If no seed makes a difference in either, the interval has no width and p is 0 or 1.
    """
    difference = after.mean - before.mean
    old, new = (list(score.seeds.values()) for score in (before, after))
    if len(set(old)) == len(set(new)) == 1:
        equal = float(old[0] == new[0])
        return {"difference": difference, "low": difference, "high": difference, "p": equal}
    test = stats.ttest_ind(new, old, equal_var=False)
    interval = test.confidence_interval(level)
    return {
        "difference": difference,
        "low": float(interval.low),
        "high": float(interval.high),
        "p": float(test.pvalue),
    }


def train(root: Path, commit: str, seed: int, kept: Path) -> dict[str, float]:
    """Run the pipeline of a commit with another seed of the training and return its scores.

    Args:
        root: Top folder of the repository.
        commit: What to run.
        seed: Of the training.
        kept: File that its scores are kept in; nothing is run if it is there.

    Raises:
        InputError: The pipeline failed; its output was printed.
    """
    scores: dict[str, float]
    if kept.exists():
        scores = json.loads(kept.read_text(encoding="utf-8"))
        return scores
    folder = kept.with_suffix("")
    with clones.clone(root, commit, folder):
        clones.restore(root, folder)
        recipes.rewrite(folder / "params.yaml", {"train": {"seed": seed}})
        dvc("repro", "dvc.yaml:evaluate", cwd=folder)
        found = Revision(folder, f"seed {seed}", None).json(evidence.SCORES)
    scores = {name: found[name] for name in SCORES}
    files.write_metrics(kept, scores)
    return scores


def measure(folder: Path, seeds: int, jobs: int | None, kept: Path | None = None) -> Spread:
    """Train the commit that is checked out with seeds 1 to `seeds` and write metrics/spread.json.

    Args:
        folder: Somewhere in the repository.
        seeds: How many, 2 or more.
        jobs: Trainings at a time; None for as many as the processor has room for.
        kept: Folder for the scores of finished seeds, so that an interrupted run goes on; None for
            one in .dvc/tmp.

    Raises:
        InputError: Files that git tracks were changed, or a training failed; nothing is written.
    """
    root = revisions.root(folder)
    if not revisions.clean(root, evidence.SPREAD):
        raise InputError("the working tree has changes, and the spread is that of a commit: commit")
    head = evidence.gather(revisions.resolve(root, "HEAD"))
    commit = head.revision.commit or ""
    if jobs is None:
        jobs = max(1, (os.cpu_count() or 1) // determinism.THREADS)
    name = recipe(head.parameters, head.lock)
    place = (kept or root / ".dvc/tmp/spread") / name

    def scores_of(seed: int) -> dict[str, float]:
        return train(root, commit, seed, place / f"{seed}.json")

    with ThreadPoolExecutor(jobs) as pool:
        scores = list(pool.map(scores_of, range(1, seeds + 1)))
    found = Spread(
        recipe=name,
        **{
            score: summary({f"seed_{seed}": one[score] for seed, one in enumerate(scores, 1)})
            for score in SCORES
        },
    )
    files.write_metrics(root / evidence.SPREAD, found.model_dump())
    return found
