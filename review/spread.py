"""Trains the recipe with several seeds, to measure how much of a difference is noise.

`dvc repro` trains each seed in its own clone that shares DVC's cache, so that the data stages do
not run again and the working tree stays as it is. The scores of finished seeds are kept in
.dvc/tmp, so that an interrupted run resumes. (DVC's run cache cannot do this: it leaves out stages
with an uncached output that is neither metrics nor plots.)
"""

import argparse
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, NonNegativeFloat, ValidationError
from scipy import stats

import cluster
import recipes
from fashion_mnist import determinism, files
from fashion_mnist.errors import InputError
from fashion_mnist.params import Section, explain
from repository import clones, dvc_lock, revisions
from repository.commands import dvc
from review import arguments, evidence
from review.evidence import Evidence

# Scores of finished seeds, for `measure`.
KEPT = Path(".dvc/tmp/spread")
LEVEL = 0.95
STAGE = "evaluate"
# Runs the pipeline of the project in a folder, up to that stage.
Repro = Callable[[Path], object]
# Share of a training on one core that other cores do not speed up: docs/benchmarks.md.
SERIAL = 0.17


class Score(Section):
    """A score over the seeds, with the interval of its mean from Student's t."""

    mean: float
    standard_deviation: NonNegativeFloat
    low: float
    high: float
    seeds: dict[str, float] = Field(min_length=2)


class Spread(Section):
    """Content of metrics/spread.json: the scores of evaluate.json over several seeds.

    fingerprint:
        See `fingerprint`: the scores of a different recipe are not used.
    """

    fingerprint: str
    accuracy: Score
    macro_f1: Score
    loss: Score
    expected_calibration_error: Score
    brier_score: Score


SCORES = [name for name in Spread.model_fields if name != "fingerprint"]


def fingerprint(parameters: dict[str, Any], lock: dict[str, Any]) -> str:
    """Return a hash of everything that the scores depend on except the seed of the training.

    Raises:
        InputError: A section or a stage is missing.
    """
    try:
        sections = {name: dict(parameters[name]) for name in ("train", "evaluate")}
        dependencies = dvc_lock.dependencies(lock, "train")
        dependencies |= dvc_lock.dependencies(lock, "evaluate")
        del sections["train"]["seed"], dependencies[dvc_lock.MODEL]
    except KeyError as error:
        raise InputError(f"params.yaml or dvc.lock has no {error}") from error
    text = json.dumps([sections, dependencies], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def find(side: Evidence) -> Spread | None:
    """Return the content of a revision's metrics/spread.json; None if it has no such file.

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


def own(side: Evidence) -> Spread | None:
    """Return the spread of a revision if it belongs to its present recipe, otherwise None.

    Raises:
        InputError: See `find` and `fingerprint`.
    """
    found = find(side)
    if found and found.fingerprint == fingerprint(side.parameters, side.lock):
        return found
    return None


def summary(values: dict[str, float]) -> Score:
    """Return mean, standard deviation and 95% interval of a score by seed, two or more."""
    numbers = np.array(list(values.values()))
    mean, error = float(numbers.mean()), float(stats.sem(numbers))
    # For equal scores SciPy's interval is NaN.
    low, high = (
        stats.t.interval(LEVEL, len(numbers) - 1, loc=mean, scale=error) if error else (mean, mean)
    )
    return Score(
        mean=mean,
        standard_deviation=float(numbers.std(ddof=1)),
        low=float(low),
        high=float(high),
        seeds=values,
    )


def welch(before: Score, after: Score, level: float) -> dict[str, float]:
    """Return the difference of two means, its interval (low, high) and p by Welch's t-test (1947).

    If neither score varies over the seeds, the interval has no width and p is 0 or 1.
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


def measure(folder: Path, seeds: int, jobs: int | None, kept: Path | None = None) -> Spread:
    """Train the current commit with seeds 1 to `seeds` and write metrics/spread.json.

    Args:
        folder: Somewhere in the repository.
        seeds: Number of seeds, 2 or more.
        jobs: Trainings at a time; None for the number that is fastest.
        kept: Folder for the scores of finished seeds, from which an interrupted run resumes; None
            for one in .dvc/tmp.

    Raises:
        InputError: Tracked files have changes, or a training failed; nothing is written.
    """
    root = revisions.root(folder)
    if not revisions.clean(root, evidence.SPREAD):
        raise InputError("the working tree has changes: commit them first")
    head = evidence.gather(revisions.resolve(root, "HEAD"))
    name = fingerprint(head.parameters, head.lock)
    folder = (kept or root / KEPT) / name
    with _place(seeds, jobs) as (pool, repro):
        score = partial(_kept_or_trained, root, head.revision.commit or "", folder, repro)
        scores = dict(enumerate(pool.map(score, range(1, seeds + 1)), 1))
    found = Spread(
        fingerprint=name,
        **{
            score: summary({f"seed_{seed}": one[score] for seed, one in scores.items()})
            for score in SCORES
        },
    )
    files.write_metrics(root / evidence.SPREAD, found.model_dump())
    return found


@contextmanager
def _place(seeds: int, jobs: int | None) -> Iterator[tuple[ThreadPoolExecutor, Repro]]:
    """Yield threads, as many as seeds to train at a time, and what runs the pipeline of one.

    Raises:
        InputError: See `cluster.session.connected`.
    """
    if cluster.wanted():
        from cluster import session
        from cluster.repro import Project

        with session.connected() as machines:
            cores = machines.share(seeds)
            with machines.threads(jobs or machines.at_once(cores)) as pool:
                yield pool, lambda project: Project(project, machines, cores).repro([STAGE])
        return
    cores = determinism.cores()
    jobs = jobs or side_by_side(seeds, cores)
    environment = {determinism.CORES: str(max(1, cores // jobs))}
    target = f"{dvc_lock.PIPELINE}:{STAGE}"
    with ThreadPoolExecutor(jobs) as pool:
        yield pool, lambda project: dvc("repro", target, cwd=project, environment=environment)


def side_by_side(trainings: int, cores: int) -> int:
    """Return how many trainings at a time are the fastest way to run a number of them.

    Alone, a training uses all cores, but not the whole of them; side by side, the last ones may
    leave cores idle. The result is the same.
    """

    def duration(jobs: int) -> float:
        return math.ceil(trainings / jobs) * (SERIAL + (1 - SERIAL) / (cores // jobs))

    return min(range(1, min(trainings, cores) + 1), key=duration)


def train(root: Path, commit: str, seed: int, folder: Path, repro: Repro) -> dict[str, float]:
    """Run the pipeline of a commit with a seed of the training, in a clone, and return its scores.

    Args:
        root: Top folder of the project.
        commit: Hash of the commit.
        seed: Seed of the training.
        folder: Folder for the clone, removed afterwards.
        repro: Runs the pipeline of a project.

    Raises:
        InputError: The pipeline failed; its output was printed.
    """
    with clones.clone(root, commit, folder) as project:
        clones.restore(root, project)
        recipes.rewrite(project / "params.yaml", {"train": {"seed": seed}})
        repro(project)
        scores = revisions.working_tree(project, f"seed {seed}").json(evidence.SCORES)
    return {name: scores[name] for name in SCORES}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "--seeds",
        type=arguments.at_least(2),
        default=5,
        help="number of seeds (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        type=arguments.at_least(1),
        help="trainings at a time (default: the number that is fastest on this machine)",
    )


def run(args: argparse.Namespace) -> int:
    """Measure the spread, print it, and return the exit code.

    Raises:
        InputError: See `measure`.
    """
    found = measure(Path(), args.seeds, args.jobs)
    for name in SCORES:
        score: Score = getattr(found, name)
        print(
            f"{name}: mean {score.mean:.4f} ({score.low:.4f} to {score.high:.4f}), "
            f"standard deviation {score.standard_deviation:.4f}, {len(score.seeds)} seeds"
        )
    print(f"written to {evidence.SPREAD}: commit it")
    return 0


def _kept_or_trained(
    root: Path, commit: str, kept: Path, repro: Repro, seed: int
) -> dict[str, float]:
    """Return the scores of a seed, which are kept as a file in the folder `kept`."""
    path = kept / f"{seed}.json"
    if not path.exists():
        files.write_metrics(path, train(root, commit, seed, kept / str(seed), repro))
    scores: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return scores
