"""Two models' answers to the same images: differences, their intervals, and tests.

All is paired: both models saw each image, so what makes an image easy or hard cancels out.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_test
from statsmodels.stats.multitest import multipletests

RESAMPLES = 1000
SEED = 0
BOOTSTRAPPED = ("macro_f1", "loss", "expected_calibration_error")

Right = NDArray[np.bool_]


class Answers(NamedTuple):
    """What a model answered to n images.

    labels and predictions (n,) int64, counted from 0; confidence and label_probability (n,)
    float64: the probabilities of the predicted and of the true class.
    """

    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    confidence: NDArray[np.float64]
    label_probability: NDArray[np.float64]

    @property
    def right(self) -> Right:
        """Whether each answer is right, (n,)."""
        right: Right = self.predictions == self.labels
        return right


class McNemar(NamedTuple):
    """Images that only the new model gets right, those that only the old one does, exact p."""

    fixed: int
    broken: int
    p: float


class Interval(NamedTuple):
    """Both ends of a confidence interval."""

    low: float
    high: float


def mcnemar(before: Right, after: Right) -> McNemar:
    """Test whether two models are right equally often, by the exact test of McNemar (1947).

    Args:
        before: Whether the old model is right, (n,).
        after: Whether the new one is, (n,).
    """
    fixed, broken = int((after & ~before).sum()), int((before & ~after).sum())
    # Only the disagreements count; with none, the two are equal.
    table = [[0, broken], [fixed, 0]]
    p = float(mcnemar_test(table, exact=True).pvalue) if fixed + broken else 1.0
    return McNemar(fixed, broken, p)


def accuracy_interval(fixed: int, broken: int, images: int, level: float) -> Interval:
    """Return the interval of the change in accuracy that agrees with the exact test.

    Given how many answers changed between right and wrong, the number of fixed ones is binomial.
    The exact interval of its share (Clopper and Pearson 1934), as a difference of accuracies,
    leaves out zero exactly when the test rejects equality at 1 - `level`.
    """
    changed = fixed + broken
    if not changed:
        return Interval(0.0, 0.0)
    share = stats.binomtest(fixed, changed).proportion_ci(level, "exact")
    return Interval(*(float((2 * end - 1) * changed / images) for end in (share.low, share.high)))


def smallest_difference(changed: int, images: int, alpha: float) -> float:
    """Return the smallest change in accuracy that the exact test would have called significant.

    With as many answers as here that changed between right and wrong; where that is too few for
    any significance, with the fewest that suffice.
    """
    # All on one side, n changes have the p 2 * 0.5**n.
    fewest = math.floor(1 - math.log2(alpha)) + 1
    changed = max(changed, fewest)
    broken = np.arange(changed // 2 + 1)
    significant = 2 * stats.binom.cdf(broken, changed, 0.5) < alpha
    return float((changed - 2 * broken[significant].max()) / images)


def by_class(before: Answers, after: Answers, classes: int) -> list[McNemar]:
    """Return McNemar's test of each class's recall, p corrected for so many tests (Holm 1979)."""
    tests = []
    for label in range(classes):
        own = before.labels == label
        tests.append(mcnemar(before.right[own], after.right[own]))
    _, corrected, _, _ = multipletests([test.p for test in tests], method="holm")
    return [test._replace(p=float(p)) for test, p in zip(tests, corrected, strict=True)]


def scores(answers: Answers, bins: int, classes: int) -> dict[str, float]:
    """Return macro F1, loss (nats) and expected calibration error with so many bins."""
    values = _Scores(answers, bins, classes)(np.ones(len(answers.labels)))
    return dict(zip(BOOTSTRAPPED, map(float, values), strict=True))


def bootstrap(
    before: Answers, after: Answers, bins: tuple[int, int], classes: int, level: float
) -> dict[str, Interval]:
    """Return intervals of the change in macro F1, loss and expected calibration error.

    Images are drawn with replacement, the same ones for both models; the ends are percentiles of
    1000 draws (Efron and Tibshirani 1993).

    Args:
        before: Answers of the old model.
        after: Answers of the new one to the same images.
        bins: Of the calibration error, of either.
        classes: How many there are.
        level: Share of the draws in the interval.
    """
    old, new = (
        _Scores(side, count, classes) for side, count in zip((before, after), bins, strict=True)
    )

    def change(rows: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        drawn = np.moveaxis(rows, axis, -1)
        counts = np.apply_along_axis(np.bincount, -1, drawn, minlength=len(before.labels))
        return new(counts) - old(counts)

    result = stats.bootstrap(
        (np.arange(len(before.labels)),),
        change,
        n_resamples=RESAMPLES,
        batch=100,
        vectorized=True,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    ends = zip(*result.confidence_interval, strict=True)
    return {
        name: Interval(float(low), float(high))
        for name, (low, high) in zip(BOOTSTRAPPED, ends, strict=True)
    }


class _Scores:
    """The scores of many resamples at once: each is linear in how often an image was drawn."""

    def __init__(self, answers: Answers, bins: int, classes: int) -> None:
        images, rows = len(answers.labels), np.arange(len(answers.labels))
        self.classes, self.images = classes, images
        self.columns = np.zeros((images, 3 * classes + 1 + bins))
        self.columns[rows, answers.labels] = 1
        self.columns[rows, classes + answers.predictions] = 1
        self.columns[rows, 2 * classes + answers.labels] = answers.right
        # A probability is rounded to six digits, so zero may be anything below half a millionth.
        self.columns[:, 3 * classes] = -np.log(np.maximum(answers.label_probability, 5e-7))
        box = np.minimum((answers.confidence * bins).astype(np.int64), bins - 1)
        self.columns[rows, 3 * classes + 1 + box] = answers.right - answers.confidence

    def __call__(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        sums = counts @ self.columns
        actual, predicted, hits, rest = np.split(sums, np.arange(1, 4) * self.classes, axis=-1)
        total = actual + predicted
        f1 = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0).mean(axis=-1)
        error = np.abs(rest[..., 1:]).sum(axis=-1)
        return np.stack([f1, rest[..., 0] / self.images, error / self.images])
