"""Scores predicted class probabilities against labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import (
    brier_score_loss,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from fashion_mnist.files import DIGITS

Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.float64]

ROC_POINTS = 100  # per class
ROC_CLASSES = 20


def losses(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Return the negative log-likelihood of each image, nats (n,); arguments as for `overall`."""
    own = probabilities[np.arange(len(labels)), labels]
    # The floor of scikit-learn's log_loss.
    return -np.log(np.maximum(own, np.finfo(np.float64).eps))


def overall(labels: Labels, probabilities: Probabilities, bins: int) -> dict[str, Any]:
    """Return the scores of the whole test set.

    Args:
        labels: True classes, integers (n,); every class occurs.
        probabilities: Probability of each class, float64 (n, classes); rows sum to 1.
        bins: Number of bins of the calibration error.

    Returns:
        `accuracy` with its 95% Wilson interval, `loss` (mean negative log-likelihood, nats),
        `macro_f1`, `expected_calibration_error` and `brier_score` (0 to 2: squared
        differences, summed over the classes).
    """
    classes = range(probabilities.shape[1])
    predictions = probabilities.argmax(axis=1)
    correct = int((predictions == labels).sum())
    interval = binomtest(correct, len(labels)).proportion_ci(0.95, method="wilson")
    return {
        "accuracy": correct / len(labels),
        "accuracy_interval": {"low": interval.low, "high": interval.high},
        "loss": log_loss(labels, probabilities, labels=classes),
        "macro_f1": f1_score(labels, predictions, labels=classes, average="macro", zero_division=0),
        "expected_calibration_error": calibration_error(calibration(labels, probabilities, bins)),
        "brier_score": brier_score_loss(labels, probabilities, labels=classes, scale_by_half=False),
    }


def by_class(
    labels: Labels, probabilities: Probabilities, keys: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1, support and one-versus-rest ROC AUC of each class by key.

    Support is the number of images of the class.
    """
    classes = range(len(keys))
    scores = precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=classes, zero_division=0
    )
    areas = class_areas(labels, probabilities)
    return {
        key: {
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "support": int(support),
            "auc": area,
        }
        for key, precision, recall, f1, support, area in zip(keys, *scores, areas, strict=True)
    }


def class_areas(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Return the one-versus-rest ROC AUC of each class, float64 (classes,)."""
    areas: NDArray[np.float64] = np.array(
        [
            roc_auc_score(labels == label, probabilities[:, label])
            for label in range(probabilities.shape[1])
        ]
    )
    return areas


def calibration(labels: Labels, probabilities: Probabilities, bins: int) -> pd.DataFrame:
    """Return the reliability diagram: one row per non-empty bin of `bins` equally wide ones.

    Columns: confidence (mean of the highest probability), accuracy, images.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """
    # As in the table of predictions, so that both have the same images in each bin.
    confidence = probabilities.max(axis=1).round(DIGITS)
    correct = probabilities.argmax(axis=1) == labels
    # A confidence on an edge belongs to the bin below, so that 1.0 is in the last one.
    place = np.searchsorted(np.linspace(0, 1, bins + 1), confidence)
    rows = pd.DataFrame({"confidence": confidence, "accuracy": correct, "images": 1})
    return rows.groupby(place).agg({"confidence": "mean", "accuracy": "mean", "images": "sum"})


def calibration_error(table: pd.DataFrame) -> float:
    """Return the expected calibration error from the table of `calibration`.

    That is the gap between confidence and accuracy, averaged over the images.
    """
    gaps = (table["confidence"] - table["accuracy"]).abs()
    return float(np.average(gaps, weights=table["images"]))


def roc(labels: Labels, probabilities: Probabilities, names: Sequence[str]) -> pd.DataFrame:
    """Return points of the one-versus-rest ROC curve of each class, including both ends.

    Of more than 20 classes, those 20 with the lowest area under the curve are returned.
    Columns: class, false_positive_rate, true_positive_rate; at most 100 rows per class.
    """
    shown = list(range(len(names)))
    if len(shown) > ROC_CLASSES:
        lowest = np.argsort(class_areas(labels, probabilities), kind="stable")[:ROC_CLASSES]
        shown = sorted(lowest.tolist())
    curves = []
    for label in shown:
        fpr, tpr, _ = roc_curve(labels == label, probabilities[:, label])
        kept = np.unique(np.linspace(0, len(fpr) - 1, ROC_POINTS).round().astype(int))
        curves.append(
            pd.DataFrame(
                {
                    "class": names[label],
                    "false_positive_rate": fpr[kept],
                    "true_positive_rate": tpr[kept],
                }
            )
        )
    return pd.concat(curves, ignore_index=True)
