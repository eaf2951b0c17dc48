"""What a revision says about its model, read from git and checked against itself."""

import io
import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion_mnist.dataset import KEYS
from fashion_mnist.errors import InputError
from repository import dvc_lock
from repository.revisions import Revision
from review import statistics
from review.statistics import Answers

TEST_SET = "data/split/test.npz"
PREDICTIONS = "metrics/predictions.csv"
SCORES = "metrics/evaluate.json"
SPREAD = "metrics/spread.json"
COLUMNS = ["index", "label", "prediction", "confidence", "label_probability"]
ROUNDING = 1e-6  # of metrics
# Scores that depend on the rounded probabilities: the logarithm of a small one, and on which side
# of the edge of a bin a confidence lies.
BLURRED = {"loss": 1e-3, "expected_calibration_error": 1e-3}


class Evidence(NamedTuple):
    """A revision's parameters, section `stages` of dvc.lock, metrics and answers.

    metrics:
        Every number in metrics/*.json by file and keys: `train.parameters.total`.
    bins:
        Of the calibration error.
    places:
        Place of each test image in its source file, (n,) int64.
    """

    revision: Revision
    parameters: dict[str, Any]
    lock: dict[str, Any]
    metrics: dict[str, float]
    bins: int
    places: NDArray[np.int64]
    answers: Answers


def gather(revision: Revision) -> Evidence:
    """Read a revision and check that its parts belong together.

    Raises:
        InputError: A file is missing or damaged, the metrics were made with other parameters, or
            the predictions have other scores than evaluate.json.
    """
    parameters = revision.yaml("params.yaml")
    lock = dvc_lock.stages(revision)
    outdated = dvc_lock.outdated(lock, {"params.yaml": parameters})
    if outdated:
        raise InputError(
            f"{revision.name}: dvc.lock was made with another {outdated[0]} than is in "
            "params.yaml: run `dvc repro`"
        )
    metrics: dict[str, float] = {}
    for path in revision.files("metrics"):
        if path.endswith(".json") and path != SPREAD:
            metrics |= _numbers(revision, path)
    places, answers = _answers(revision)
    try:
        bins = int(parameters["evaluate"]["bins"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{revision.name}: params.yaml has no number evaluate.bins") from error
    _agree(revision, answers, bins, metrics)
    return Evidence(revision, parameters, lock, metrics, bins, places, answers)


def same_test_set(base: Evidence, head: Evidence) -> None:
    """Check that two revisions were scored on the same images.

    Raises:
        InputError: They were not, or one does not say on which.
    """
    old, new = (_test_set(side) for side in (base, head))
    if old != new:
        raise InputError(
            f"not the same test set: {TEST_SET} is {old[:7]} in {base.revision.name} "
            f"and {new[:7]} in {head.revision.name}"
        )
    if not (
        np.array_equal(base.places, head.places)
        and np.array_equal(base.answers.labels, head.answers.labels)
    ):
        raise InputError(
            f"{PREDICTIONS} of {base.revision.name} and of {head.revision.name} are not about "
            "the same images"
        )


def recalls(answers: Answers) -> list[float]:
    """Return the share of right answers among the images of each class."""
    return [float(answers.right[answers.labels == label].mean()) for label in range(len(KEYS))]


def _numbers(revision: Revision, path: str) -> dict[str, float]:
    stem = path.removeprefix("metrics/").removesuffix(".json")
    leaves = dvc_lock.flat(revision.json(path), stem)
    return {name: leaf for name, leaf in leaves.items() if isinstance(leaf, int | float)}


def _answers(revision: Revision) -> tuple[NDArray[np.int64], Answers]:
    try:
        table = pd.read_csv(io.StringIO(revision.read(PREDICTIONS)))
    except ValueError as error:
        raise InputError(f"{revision.name}: {PREDICTIONS} is no table: {error}") from error
    if list(table) != COLUMNS:
        raise InputError(
            f"{revision.name}: {PREDICTIONS} has columns {', '.join(map(str, table))}, "
            f"expected {', '.join(COLUMNS)}"
        )
    codes = {key: code for code, key in enumerate(KEYS)}
    labels, predictions = (table[name].map(codes) for name in ("label", "prediction"))
    for name, column in {"label": labels, "prediction": predictions}.items():
        if column.isna().any():
            row = int(column.isna().argmax())
            raise InputError(
                f"{revision.name}: {PREDICTIONS} line {row + 2}: {name} is "
                f"{table[name][row]}, expected one of {', '.join(KEYS)}"
            )
    for name in ("confidence", "label_probability"):
        if not (pd.api.types.is_numeric_dtype(table[name]) and table[name].between(0, 1).all()):
            raise InputError(
                f"{revision.name}: {PREDICTIONS}: column {name} holds other than numbers "
                "from 0 to 1"
            )
    if not pd.api.types.is_integer_dtype(table["index"]):
        raise InputError(f"{revision.name}: {PREDICTIONS}: column index holds no whole numbers")
    answers = Answers(
        labels.to_numpy().astype(np.int64),
        predictions.to_numpy().astype(np.int64),
        table["confidence"].to_numpy(np.float64),
        table["label_probability"].to_numpy(np.float64),
    )
    return table["index"].to_numpy(np.int64), answers


def _agree(revision: Revision, answers: Answers, bins: int, metrics: dict[str, float]) -> None:
    absent = [key for label, key in enumerate(KEYS) if label not in answers.labels]
    if absent:
        raise InputError(f"{revision.name}: {PREDICTIONS} has no image of class {absent[0]}")
    found = {"images": len(answers.labels), "accuracy": float(answers.right.mean())}
    for key, recall in zip(KEYS, recalls(answers), strict=True):
        found[f"classes.{key}.recall"] = recall
    found |= statistics.scores(answers, bins, len(KEYS))
    for name, value in found.items():
        stated = metrics.get(f"evaluate.{name}")
        if stated is None:
            raise InputError(f"{revision.name}: {SCORES} has no {name}")
        tolerance = BLURRED.get(name, ROUNDING)
        if not math.isclose(stated, value, rel_tol=0, abs_tol=tolerance):
            raise InputError(
                f"{revision.name}: {PREDICTIONS} does not match {SCORES}: "
                f"{name} is {value:.6g} in the one and {stated:.6g} in the other"
            )


def _test_set(side: Evidence) -> str:
    hashes = dvc_lock.dependencies(side.lock, "evaluate")
    if TEST_SET not in hashes:
        raise InputError(f"{side.revision.name}: dvc.lock does not say what {TEST_SET} is")
    return hashes[TEST_SET]
