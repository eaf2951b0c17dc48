"""Exact tests and intervals for two models' answers to the same images.

All are paired: both models saw each image, so how hard an image is cancels out. Other p values are
elsewhere: Welch's test of two recipes in `spread`, chi-squared and Kolmogorov-Smirnov tests of a
delivery in `retraining.inspection`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_test
from statsmodels.stats.multitest import multipletests

from review.json_result import JsonResult

RESAMPLES = 1000
SEED = 0

Right = NDArray[np.bool_]


class Answers(NamedTuple):
    """A model's answers to n images.

    labels, predictions:
        Classes, counted from 0, (n,) int64.
    confidence:
        Probability of the predicted class, (n,) float64.
    loss:
        Negative logarithm of the probability of the true class, (n,) float64.
    """

    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    confidence: NDArray[np.float64]
    loss: NDArray[np.float64]

    @property
    def right(self) -> Right:
        """Whether each answer is right, (n,)."""
        right: Right = self.predictions == self.labels
        return right


class McNemarTest(JsonResult):
    """McNemar's exact test of equal accuracy."""

    fixed: int
    """Images that only the new model gets right."""
    broken: int
    """Images that only the old model gets right."""
    p: float


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def mcnemar(before: Right, after: Right) -> McNemarTest:
    """Test whether two models are right equally often, by the exact test of McNemar (1947).

    Args:
        before: Whether the old model is right, (n,).
        after: Whether the new model is right, (n,).
    """
    fixed, broken = int((after & ~before).sum()), int((before & ~after).sum())
    # Only disagreements count; with none, the two are equal.
    table = [[0, broken], [fixed, 0]]
    p = float(mcnemar_test(table, exact=True).pvalue) if fixed + broken else 1.0
    return McNemarTest(fixed=fixed, broken=broken, p=p)


def accuracy_interval(fixed: int, broken: int, images: int, level: float) -> Interval:
    """Return the interval of the change in accuracy that agrees with McNemar's exact test.

    Of the images that are fixed or broken, the number of fixed ones is binomial. The exact
    interval of their share (Clopper and Pearson 1934), as a difference of accuracies, excludes
    zero exactly when the test rejects equality at 1 - `level`.
    """
    changed = fixed + broken
    if not changed:
        return Interval(0.0, 0.0)
    share = stats.binomtest(fixed, changed).proportion_ci(level, "exact")
    return Interval(*(float((2 * end - 1) * changed / images) for end in (share.low, share.high)))


def smallest_difference(changed: int, images: int, alpha: float) -> float:
    """Return the smallest change in accuracy that McNemar's exact test could have detected.

    Args:
        changed: Number of images that are fixed or broken; if too few for any significance, the
            fewest that suffice are assumed.
        images: Number of images in the test set.
        alpha: Significance level.
    """
    # If all n are fixed, p = 2 * 0.5**n.
    fewest = math.floor(1 - math.log2(alpha)) + 1
    changed = max(changed, fewest)
    broken = np.arange(changed // 2 + 1)
    significant = 2 * stats.binom.cdf(broken, changed, 0.5) < alpha
    return float((changed - 2 * broken[significant].max()) / images)


def by_class(before: Answers, after: Answers, classes: int) -> list[McNemarTest]:
    """Return McNemar's test of each class's recall, p corrected for all classes (Holm 1979)."""
    tests = []
    for label in range(classes):
        own = before.labels == label
        tests.append(mcnemar(before.right[own], after.right[own]))
    _, corrected, _, _ = multipletests([test.p for test in tests], method="holm")
    return [
        test.model_copy(update={"p": float(p)}) for test, p in zip(tests, corrected, strict=True)
    ]


def scores(answers: Answers, bins: int, classes: int) -> dict[str, float]:
    """Return macro F1, loss (nats) and expected calibration error, as in metrics/evaluate.json.

    Args:
        answers: Answers to n images.
        bins: Number of bins of the calibration error, equally wide.
        classes: Number of classes; F1 of one that is neither a label nor a prediction is 0.
    """
    return _Scorer(answers, bins, classes).scores(np.ones(len(answers.labels)))


def bootstrap(
    before: Answers, after: Answers, bins: tuple[int, int], classes: int, level: float
) -> dict[str, Interval]:
    """Return intervals of the change in each of `scores`.

    Images are drawn with replacement, the same ones for both models; the ends are percentiles
    over the resamples (Efron and Tibshirani 1993).

    Args:
        before: Answers of the old model to n images.
        after: Answers of the new model to the same images.
        bins: Number of bins of the calibration error, for the old and the new model.
        classes: Number of classes.
        level: Share of the resamples inside the interval.
    """
    images = len(before.labels)
    old, new = _Scorer(before, bins[0], classes), _Scorer(after, bins[1], classes)
    random = np.random.default_rng(SEED)
    changes: dict[str, list[float]] = {}
    for _ in range(RESAMPLES):
        drawn = random.integers(images, size=images)
        counts = np.bincount(drawn, minlength=images).astype(np.float64)
        old_scores, new_scores = old.scores(counts), new.scores(counts)
        for name, value in new_scores.items():
            changes.setdefault(name, []).append(value - old_scores[name])
    ends = (1 - level) / 2, (1 + level) / 2
    return {name: Interval(*np.quantile(found, ends).tolist()) for name, found in changes.items()}


class _Scorer:
    """Scores of answers to n images, each counted any number of times.

    What each image adds, (n,): its label and prediction, loss, bin of the calibration error, and
    `excess`, the amount by which being right exceeds the confidence.
    """

    def __init__(self, answers: Answers, bins: int, classes: int) -> None:
        self.classes = classes
        self.labels, self.predictions = answers.labels, answers.predictions
        self.right = answers.right
        self.loss = answers.loss
        # A confidence on an edge belongs to the bin below, as in `scores.calibration`.
        edges = np.linspace(0, 1, bins + 1)
        self.bin = np.searchsorted(edges, answers.confidence)
        self.excess = answers.right - answers.confidence

    def scores(self, counts: NDArray[np.float64]) -> dict[str, float]:
        """Return the scores, counting image i `counts[i]` times."""
        actual, predicted, right = (
            np.bincount(column, weights, self.classes)
            for column, weights in (
                (self.labels, counts),
                (self.predictions, counts),
                (self.labels, counts * self.right),
            )
        )
        f1 = 2 * right / np.maximum(actual + predicted, 1)
        excess = np.bincount(self.bin, counts * self.excess)
        images = counts.sum()
        return {
            "macro_f1": float(f1.mean()),
            "loss": float(counts @ self.loss / images),
            "expected_calibration_error": float(np.abs(excess).sum() / images),
        }
