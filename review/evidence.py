"""Reads the metrics and answers of a revision's model and checks that they are consistent."""

import io
import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from fashion_mnist import dataset
from fashion_mnist.dataset import Dataset
from fashion_mnist.errors import InputError
from fashion_mnist.params import explain
from repository import dvc_lock
from repository.revisions import Revision
from review import many, statistics
from review.statistics import Answers

TEST_SET = "data/split/test.npz"
PREDICTIONS = "metrics/predictions.csv"
CLASSES = "metrics/classes.csv"
SCORES = "metrics/evaluate.json"
SPREAD = "metrics/spread.json"
DATASET = str(dataset.FILE)
COLUMNS = ["index", "label", "prediction", "confidence", "label_probability", "loss"]
ROUNDING = 1e-6  # metrics have six digits
ZERO = 5e-7  # the highest probability that is 0 in six digits
# Tables of earlier versions have no losses. There, rounding changes these more: the logarithm of a
# small probability, and the bin of a confidence at its edge.
TOLERANCES = {"loss": 1e-3, "expected_calibration_error": 1e-3}


class Evidence(NamedTuple):
    """A revision's parameters, section `stages` of dvc.lock, metrics and answers.

    classes:
        Name of each class by its key, in label order: those of the metrics, since other revisions
        may have other data.
    metrics:
        Every number in metrics/*.json by file and keys: `train.parameters.total`; but for
        dataset.json, which describes the data.
    bins:
        Number of bins of the calibration error.
    places:
        Index of each test image in its source file, (n,) int64.
    """

    revision: Revision
    parameters: dict[str, Any]
    lock: dict[str, Any]
    classes: dict[str, str]
    metrics: dict[str, float]
    bins: int
    places: NDArray[np.int64]
    answers: Answers


def gather(revision: Revision) -> Evidence:
    """Read a revision and check that its parts are consistent.

    Raises:
        InputError: A file is missing or damaged, dvc.lock has different parameters from
            params.yaml, or evaluate.json has different scores from the predictions.
    """
    parameters = revision.yaml("params.yaml")
    lock = dvc_lock.stages(revision)
    outdated = dvc_lock.outdated(lock, {"params.yaml": parameters})
    if outdated:
        raise InputError(
            f"{revision.name}: {outdated[0]} differs between dvc.lock and params.yaml: "
            "run `dvc repro`"
        )
    metrics: dict[str, float] = {}
    for path in revision.files("metrics"):
        if path.endswith(".json") and path not in (SPREAD, DATASET):
            metrics |= _numbers(revision, path)
    classes = _classes(revision)
    places, answers = _answers(revision, list(classes))
    try:
        bins = int(parameters["evaluate"]["bins"])
    except (KeyError, TypeError, ValueError):
        bins = 0
    if bins < 1:
        raise InputError(f"{revision.name}: params.yaml: evaluate.bins: expected 1 or more")
    _check_scores(revision, list(classes), answers, bins, metrics)
    return Evidence(revision, parameters, lock, classes, metrics, bins, places, answers)


def same_test_set(base: Evidence, head: Evidence) -> None:
    """Check that two revisions were scored on the same images.

    Raises:
        InputError: They were not, or one has no hash of its test set.
    """
    if list(base.classes) != list(head.classes):
        raise InputError(
            f"not comparable: other classes: {_differing(base, head)}; commit this data, and "
            "compare what follows with it"
        )
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
            f"{PREDICTIONS} lists different images in {base.revision.name} and {head.revision.name}"
        )


def _differing(base: Evidence, head: Evidence) -> str:
    """Return the classes that only one of two revisions has."""
    own = [
        (side.revision.name, [key for key in side.classes if key not in other.classes])
        for side, other in ((base, head), (head, base))
    ]
    found = [f"{many.listed(keys)} in {name}" for name, keys in own if keys]
    return ", ".join(found) or f"those of {base.revision.name} in a different order"


def recalls(answers: Answers) -> list[float]:
    """Return the share of right answers among the images of each class, in label order."""
    # Every class has an image.
    images = np.bincount(answers.labels)
    shares: list[float] = (
        np.bincount(answers.labels[answers.right], minlength=len(images)) / images
    ).tolist()
    return shares


def _numbers(revision: Revision, path: str) -> dict[str, float]:
    stem = path.removeprefix("metrics/").removesuffix(".json")
    leaves = dvc_lock.flat(revision.json(path), stem)
    return {name: leaf for name, leaf in leaves.items() if isinstance(leaf, int | float)}


def described(revision: Revision) -> Dataset | None:
    """Return what `download` wrote about the data; None for revisions without that.

    Raises:
        InputError: It is damaged.
    """
    if DATASET not in revision.files("metrics"):
        return None
    content = revision.json(DATASET)
    try:
        return Dataset.model_validate(content)
    except ValidationError as error:
        found = explain(error, "dataset", content)
        raise InputError(f"{revision.name}: {DATASET}: {found}") from error


def _classes(revision: Revision) -> dict[str, str]:
    """Return the name of each class by its key, in label order.

    Revisions without a description of the data have names in a table; without one, the key is it.
    """
    keys = revision.json(SCORES).get("classes")
    if not isinstance(keys, dict) or not keys:
        raise InputError(f"{revision.name}: {SCORES} has no classes")
    data = described(revision)
    if data:
        if list(data.classes) != list(keys):
            raise InputError(
                f"{revision.name}: {DATASET} has the classes {many.listed(data.keys)}, but "
                f"{SCORES} has {many.listed(list(keys))}"
            )
        return data.classes
    if CLASSES not in revision.files("metrics"):
        return {key: key for key in keys}
    table = _read_csv(revision, CLASSES, ["class"])
    if list(table)[:1] != ["class"] or len(table) != len(keys):
        raise InputError(
            f"{revision.name}: {CLASSES} has {len(table)} rows and first column "
            f"{next(iter(table), None)}, expected class and the {len(keys)} classes of {SCORES}"
        )
    return dict(zip(keys, table["class"].tolist(), strict=True))


def _answers(revision: Revision, keys: list[str]) -> tuple[NDArray[np.int64], Answers]:
    """Return the index of each test image in its source file, (n,), and the answers."""
    table = _table(revision)
    answers = Answers(
        _labels(revision, table["label"], keys),
        _labels(revision, table["prediction"], keys),
        _probabilities(revision, table["confidence"]),
        _losses(revision, table),
    )
    if not pd.api.types.is_integer_dtype(table["index"]):
        raise InputError(f"{revision.name}: {PREDICTIONS}: column index: expected whole numbers")
    return table["index"].to_numpy(np.int64), answers


def _table(revision: Revision) -> pd.DataFrame:
    table = _read_csv(revision, PREDICTIONS, ["label", "prediction"])
    if list(table) not in (COLUMNS, COLUMNS[:-1]):
        raise InputError(
            f"{revision.name}: {PREDICTIONS} has columns {', '.join(map(str, table))}, "
            f"expected {', '.join(COLUMNS)}"
        )
    return table


def _read_csv(revision: Revision, path: str, texts: list[str]) -> pd.DataFrame:
    """Return a table; columns `texts` are text, also where a class is called 1e3 or null."""
    types = dict.fromkeys(texts, str)
    try:
        return pd.read_csv(io.StringIO(revision.read(path)), dtype=types, na_filter=False)
    except ValueError as error:
        raise InputError(f"{revision.name}: {path} is not CSV: {error}") from error


def _labels(revision: Revision, column: "pd.Series[Any]", keys: list[str]) -> NDArray[np.int64]:
    """Return a column of class keys as labels, (n,)."""
    labels = column.map({key: label for label, key in enumerate(keys)})
    if labels.isna().any():
        row = int(labels.isna().argmax())
        raise InputError(
            f"{revision.name}: {PREDICTIONS} line {row + 2}: {column.name} is {column[row]}, "
            f"expected one of {many.listed(keys)}"
        )
    return labels.to_numpy().astype(np.int64)


def _probabilities(revision: Revision, column: "pd.Series[Any]") -> NDArray[np.float64]:
    if not (pd.api.types.is_numeric_dtype(column) and column.between(0, 1).all()):
        raise InputError(
            f"{revision.name}: {PREDICTIONS}: column {column.name}: expected numbers from 0 to 1"
        )
    return column.to_numpy(np.float64)


def _losses(revision: Revision, table: pd.DataFrame) -> NDArray[np.float64]:
    """Return the loss of each image, (n,)."""
    probabilities = _probabilities(revision, table["label_probability"])
    if "loss" not in table:
        return -np.log(np.maximum(probabilities, ZERO))
    losses = table["loss"]
    if not (pd.api.types.is_numeric_dtype(losses) and losses.between(0, np.inf).all()):
        raise InputError(f"{revision.name}: {PREDICTIONS}: column loss: expected numbers from 0")
    wrong = np.abs(np.exp(-losses) - probabilities) > ROUNDING
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{revision.name}: {PREDICTIONS} line {row + 2}: loss is {losses[row]}, "
            f"but label_probability is {probabilities[row]}"
        )
    return losses.to_numpy(np.float64)


def _check_scores(
    revision: Revision, keys: list[str], answers: Answers, bins: int, metrics: dict[str, float]
) -> None:
    absent = [key for label, key in enumerate(keys) if label not in answers.labels]
    if absent:
        raise InputError(f"{revision.name}: {PREDICTIONS} has no image of class {absent[0]}")
    found = {"images": len(answers.labels), "accuracy": float(answers.right.mean())}
    for key, recall in zip(keys, recalls(answers), strict=True):
        found[f"classes.{key}.recall"] = recall
    found |= statistics.scores(answers, bins, len(keys))
    for name, value in found.items():
        stated = metrics.get(f"evaluate.{name}")
        if stated is None:
            raise InputError(f"{revision.name}: {SCORES} has no {name}")
        tolerance = TOLERANCES.get(name, ROUNDING)
        if not math.isclose(stated, value, rel_tol=0, abs_tol=tolerance):
            raise InputError(
                f"{revision.name}: {name} is {value:.6g} by {PREDICTIONS}, "
                f"but {stated:.6g} in {SCORES}"
            )


def _test_set(side: Evidence) -> str:
    hashes = dvc_lock.dependencies(side.lock, "evaluate")
    if TEST_SET not in hashes:
        raise InputError(f"{side.revision.name}: dvc.lock has no hash of {TEST_SET}")
    return hashes[TEST_SET]
