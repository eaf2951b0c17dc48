"""Searches keys of `train` for the highest validation accuracy: Optuna asks, a cluster trains."""

import json
import math
import sys
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import optuna
import pandas as pd
import ray
from optuna.trial import TrialState
from ruamel.yaml import YAML

import recipes
from cluster import space
from cluster.repro import Project
from cluster.session import Cluster, StageError
from cluster.space import Params, Range
from cluster.stage_job import Job, Stop
from fashion_mnist.errors import DAMAGED, InputError
from fashion_mnist.files import new_file, write_table

STAGE, PARAMETERS = "train", "params.yaml"
METRICS, HISTORY = "metrics/train.json", "metrics/history.csv"
MODELS = "fashion_mnist/models"  # a trial may choose another one than params.yaml
TRIALS = Path("metrics/search.csv")
PARALLEL = Path("metrics/search/parallel.csv")
IMPORTANCE = Path("metrics/search/importance.csv")
PLOTS = Path("metrics/search/dvc.yaml")
RECIPE = Path("recipes/search.yaml")
# Results of finished trials, with which an interrupted search resumes.
KEPT = Path(".dvc/tmp/search")

# Asynchronous successive halving: after 2, 6, 18, ... epochs the best third continues.
FIRST_RUNG, REDUCTION = 2, 3


# Not in the project's own dvc.yaml, where plots without a file would be errors.
DRAWN = """\
plots:
  - search:
      template: parallel
      x: parameter
      y:
        parallel.csv: position
      title: "Search: what each trial tried"
      x_label: key of train
      y_label: place in its range
  - search_importance:
      template: bars
      x: importance
      y:
        importance.csv: parameter
      title: "Search: which key decides about the accuracy"
      x_label: share of the variance of the accuracy
      y_label: key of train
"""


class Scores(NamedTuple):
    """What a trial reached.

    accuracy, loss:
        Of its saved weights on the validation set; of a stopped trial, after its last epoch.
    cost:
        Floating-point operations of all forward passes, in units of 10^12; None for a stopped
        trial.
    accuracies:
        By epoch, as far as it came.
    """

    accuracy: float
    loss: float
    cost: float | None
    accuracies: Sequence[float]


class Trial(NamedTuple):
    """Values by path of the key in section `train`, and what they reached; None if that failed."""

    tried: Mapping[str, Any]
    scores: Scores | None

    @property
    def complete(self) -> bool:
        """Whether it ran to its last epoch."""
        return self.scores is not None and self.scores.cost is not None


class Referee:
    """Decides by asynchronous successive halving which trials stop; an actor of Ray.

    Li et al. 2020, https://arxiv.org/abs/1810.05934
    """

    def __init__(self) -> None:
        pruner = optuna.pruners.SuccessiveHalvingPruner(FIRST_RUNG, REDUCTION)
        self.study = optuna.create_study(direction="maximize", pruner=pruner)
        self.trials: dict[int, optuna.Trial] = {}
        self.epochs: dict[int, list[tuple[float, float]]] = {}
        self.stopped: set[int] = set()

    def stops(self, number: int, epochs: list[tuple[float, float]], total: int) -> bool:
        """Return whether a trial stops, given the (accuracy, loss) of its epochs so far.

        Args:
            number: Number of the trial.
            epochs: The epochs; a trial that has finished all of them does not stop.
            total: How many epochs it has to do.
        """
        if number not in self.trials:
            self.trials[number] = self.study.ask()
        for epoch in range(len(self.epochs.get(number, ())), len(epochs)):
            self.trials[number].report(epochs[epoch][0], epoch + 1)
            if self.trials[number].should_prune() and len(epochs) < total:
                self.stopped.add(number)
        self.epochs[number] = epochs
        return number in self.stopped

    def stopped_after(self, number: int) -> list[tuple[float, float]]:
        """Return the epochs of a stopped trial; none of one that was not stopped."""
        return self.epochs[number] if number in self.stopped else []


def stops(referee: Any, number: int, total: int, checkpoint: str, place: Path) -> bool:
    """Return whether a running trial stops.

    Args:
        referee: The `Referee`.
        number: Number of the trial.
        total: How many epochs it has to do.
        checkpoint: Path of its checkpoint in the folder `place`.
        place: Where it runs.
    """
    try:
        with np.load(place / checkpoint, allow_pickle=False) as archive:
            epochs = json.loads(archive["record"].tobytes())["epochs"]
    except DAMAGED:  # there is none yet
        return False
    rows = [(epoch["val_accuracy"], epoch["val_loss"]) for epoch in epochs]
    answer: bool = ray.get(referee.stops.remote(number, rows, total))
    return answer


class Search:
    """A search in a project, whose data are up to date.

    Args:
        root: Top folder of the project.
        parameters: Content of params.yaml.
        settings: Section `search` of it.
        machines: The cluster.

    Raises:
        InputError: See `space.read`.
    """

    def __init__(
        self, root: Path, parameters: Mapping[str, Any], settings: Params, machines: Cluster
    ) -> None:
        self.settings = settings
        self.train = parameters[STAGE]
        self.ranges = space.read(settings.space, self.train)
        self.machines = machines
        self.cores = machines.share(settings.at_once)
        self.job = Project(root, machines, self.cores).named(STAGE)
        models = {path.relative_to(root).as_posix(): path for path in (root / MODELS).glob("*.py")}
        sent = {name: machines.send(path.read_bytes()) for name, path in models.items()}
        self.job = self.job._replace(hashes={**self.job.hashes, **sent})
        self.kept = root / KEPT / settings.rule
        self.referee = ray.remote(num_cpus=0)(Referee).remote() if settings.rule == "asha" else None
        # Equal trials of a batch run once.
        self.locks: defaultdict[str, Lock] = defaultdict(Lock)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # Trials of a batch know of one another, but not how they end.
        sampler = optuna.samplers.TPESampler(seed=settings.seed, constant_liar=True)
        self.study = optuna.create_study(direction="maximize", sampler=sampler)

    def run(self) -> list[Trial]:
        """Run all trials, in batches, and print a line for each."""
        distributions = {path: found.distribution() for path, found in self.ranges.items()}
        done: list[Trial] = []
        with self.machines.threads(self.settings.at_once) as pool:
            while len(done) < self.settings.trials:
                size = min(self.settings.at_once, self.settings.trials - len(done))
                asked = [self.study.ask(distributions) for _ in range(size)]
                for one, trial in zip(asked, pool.map(self._kept_or_run, asked), strict=True):
                    self._tell(one, trial)
                    done.append(trial)
                    print(describe(done, self.settings.trials), flush=True)
        return done

    def importance(self) -> dict[str, float]:
        """Return by path the share of the accuracy's variance that a key explains.

        By fANOVA (Hutter et al. 2014, https://proceedings.mlr.press/v32/hutter14.html); 0 for all
        if there are too few complete trials.
        """
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.settings.seed)
        found: dict[str, float] = {}
        complete = self.study.get_trials(states=(TrialState.COMPLETE,))
        if len({trial.value for trial in complete}) > 1:
            with warnings.catch_warnings(action="ignore"):
                found = optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        return {path: float(found.get(path, 0.0)) for path in self.ranges}

    def _tell(self, asked: optuna.Trial, trial: Trial) -> None:
        if trial.scores is None:
            self.study.tell(asked, state=TrialState.FAIL)
            return
        if not trial.complete:
            for epoch, accuracy in enumerate(trial.scores.accuracies, 1):
                asked.report(accuracy, epoch)
            self.study.tell(asked, state=TrialState.PRUNED)
            return
        self.study.tell(asked, trial.scores.accuracy)

    def _kept_or_run(self, asked: optuna.Trial) -> Trial:
        """Return a trial; if it is not kept, run it and keep it."""
        values = {path: found.value(asked.params[path]) for path, found in self.ranges.items()}
        train = deepcopy(dict(self.train))
        recipes.apply(space.nested(values), train)
        text = StringIO()
        YAML(typ="safe").dump({STAGE: train}, text)
        own = {PARAMETERS: self.machines.send(text.getvalue().encode())}
        job = self.job._replace(hashes={**self.job.hashes, **own})
        total = int(train["epochs"])
        path = self.kept / f"{job.key()}.json"
        with self.locks[job.key()]:
            if not path.exists():
                scores = self._scores(asked.number, total, job)
                if not scores:
                    return Trial(values, None)
                path.parent.mkdir(parents=True, exist_ok=True)
                with new_file(path) as temporary:
                    temporary.write_text(json.dumps(scores._asdict()), encoding="utf-8")
        scores = Scores(**json.loads(path.read_text(encoding="utf-8")))
        if self.referee:  # it has not seen what an earlier run kept
            epochs = [(accuracy, scores.loss) for accuracy in scores.accuracies]
            ray.get(self.referee.stops.remote(asked.number, epochs, total))
        return Trial(values, scores)

    def _scores(self, number: int, total: int, job: Job) -> Scores | None:
        """Train; return None if that failed, with a message."""
        stop: Stop | None = None
        if self.referee:
            stop = partial(stops, self.referee, number, total, job.checkpoint)
        try:
            files = self.machines.run(job._replace(name=f"trial {number + 1}"), self.cores, stop)
        except StageError as error:
            stopped = ray.get(self.referee.stopped_after.remote(number)) if self.referee else []
            if not stopped:
                print(f"search: {error}", file=sys.stderr)
                return None
            accuracy, loss = stopped[-1]
            return Scores(accuracy, loss, None, [row[0] for row in stopped])
        metrics = json.loads(files[METRICS])
        history = pd.read_csv(BytesIO(files[HISTORY]))
        if "validation" not in metrics:
            raise InputError("the validation set is empty, so there is nothing to search by")
        reached = metrics["validation"]
        cost = metrics["flops_per_image"] * metrics["images_seen"] / 1e12
        return Scores(reached["accuracy"], reached["loss"], cost, list(history["val_accuracy"]))


def run(root: Path, parameters: dict[str, Any], settings: Params, machines: Cluster) -> Trial:
    """Search in a project, write tables and recipe, and return the best trial.

    Args:
        root: Top folder of the project, whose data are up to date.
        parameters: Content of params.yaml.
        settings: Section `search` of it.
        machines: The cluster.

    Raises:
        InputError: The validation set is empty, or no trial ran to its end.
    """
    search = Search(root, parameters, settings, machines)
    trials = search.run()
    complete = [trial for trial in trials if trial.complete]
    if not complete:
        raise InputError("no trial of the search ran to its end; why is above")
    found = best(trials)
    (root / PLOTS).parent.mkdir(exist_ok=True)
    with new_file(root / PLOTS) as temporary:
        temporary.write_text(DRAWN, encoding="utf-8")
    write_table(root / TRIALS, table(trials))
    write_table(root / PARALLEL, positions(trials, search.ranges))
    importance = search.importance()
    write_table(
        root / IMPORTANCE,
        pd.DataFrame({"parameter": importance.keys(), "importance": importance.values()}),
    )
    write_recipe(root / RECIPE, found, len(trials), parameters)
    return found


def best(trials: Sequence[Trial]) -> Trial:
    """Return the complete trial with the highest accuracy, the first of several."""
    return max((trial for trial in trials if trial.complete), key=_accuracy)


def describe(trials: Sequence[Trial], total: int) -> str:
    """Return a line on the last of some trials, and on the best of them."""
    last = trials[-1]
    values = ", ".join(f"{path} {json.dumps(value)}" for path, value in last.tried.items())
    text = f"trial {len(trials)} of {total}: {values}: "
    text += f"{last.scores.accuracy:.2%}" if last.scores else "failed"
    if last.scores and not last.complete:
        text += f", stopped after epoch {len(last.scores.accuracies)}"
    if not any(trial.complete for trial in trials):
        return text
    found = best(trials)
    return f"{text}; best so far {_accuracy(found):.2%}, trial {trials.index(found) + 1}"


def table(trials: Sequence[Trial]) -> pd.DataFrame:
    """Return a row for each trial, as text: what was tried, accuracy, loss, epochs and cost."""
    rows = []
    for number, (tried, scores) in enumerate(trials, 1):
        row = {"trial": str(number)}
        row |= {path: json.dumps(value) for path, value in tried.items()}
        reached = scores or Scores(math.nan, math.nan, None, [])
        figures = {
            "validation_accuracy": reached.accuracy,
            "validation_loss": reached.loss,
            "cost": reached.cost,
        }
        for name, value in figures.items():
            row[name] = "" if value is None or math.isnan(value) else f"{value:.6g}"
        rows.append(row | {"epochs_run": str(len(reached.accuracies))})
    return pd.DataFrame(rows)


def positions(trials: Sequence[Trial], ranges: Mapping[str, Range]) -> pd.DataFrame:
    """Return a row for each value of each complete trial: where it lies in its range, 0 to 1."""
    return pd.DataFrame(
        [
            {
                "trial": number,
                "parameter": path,
                "value": json.dumps(trial.tried[path]),
                "position": found.position(trial.tried[path]),
                "accuracy": _accuracy(trial),
            }
            for number, trial in enumerate(trials, 1)
            if trial.complete
            for path, found in ranges.items()
        ]
    )


def write_recipe(path: Path, found: Trial, trials: int, parameters: Mapping[str, Any]) -> None:
    """Write a trial as a recipe, which sets the keys that all recipes set."""
    content = {
        section: {key: parameters[section][key] for key in keys}
        for section, keys in recipes.read("default").items()
    }
    content = deepcopy(content)
    recipes.apply({STAGE: space.nested(found.tried)}, content)
    text = StringIO()
    text.write(
        f"# The best of {trials} trials of `python -m cluster search`: {_accuracy(found):.2%} on\n"
        "# the validation set with one seed, and the best of several is partly luck.\n#\n"
        "#   python -m retraining --recipe search # judges it over several seeds\n"
    )
    recipes.writer().dump(content, text)
    with new_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _accuracy(trial: Trial) -> float:
    return trial.scores.accuracy if trial.scores else math.nan
