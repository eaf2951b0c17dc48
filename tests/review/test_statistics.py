"""Tests, intervals and scores, against other implementations of them."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from repository import revisions
from review import evidence, statistics
from review.statistics import Answers, McNemarTest
from tests.conftest import ROOT


def random_answers(seed: int, images: int = 400) -> tuple[Answers, Answers]:
    """Return answers of two models, right for about 82 and 86% of the images."""
    draw = np.random.default_rng(seed)
    labels = np.arange(images) % 10
    sides = []
    for share in (0.8, 0.85):
        wrong = draw.integers(0, 10, images)
        predictions = np.where(draw.random(images) < share, labels, wrong)
        confidence = draw.uniform(0.2, 1, images)
        probability = np.where(predictions == labels, confidence, draw.uniform(1e-6, 0.2, images))
        sides.append(Answers(labels, predictions, confidence, -np.log(probability)))
    return sides[0], sides[1]


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_is_the_binomial_test(seed: int) -> None:
    before, after = random_answers(seed)
    found = statistics.mcnemar(before.right, after.right)
    assert found.fixed - found.broken == after.right.sum() - before.right.sum()
    expected = stats.binomtest(found.fixed, found.fixed + found.broken).pvalue
    assert found.p == pytest.approx(expected, rel=1e-12)
    changed, fewer = found.fixed + found.broken, min(found.fixed, found.broken)
    tail = sum(Fraction(math.comb(changed, k), 2**changed) for k in range(fewer + 1))
    assert found.p == pytest.approx(float(min(Fraction(1), 2 * tail)), rel=1e-12)


def test_equal_answers_have_p_one_and_intervals_without_width() -> None:
    before, _ = random_answers(0)
    assert statistics.mcnemar(before.right, before.right) == McNemarTest(fixed=0, broken=0, p=1)
    assert statistics.accuracy_interval(0, 0, 400, 0.95) == (0, 0)
    assert set(statistics.bootstrap(before, before, (15, 15), 10, 0.95).values()) == {(0.0, 0.0)}


@pytest.mark.parametrize(("fixed", "broken"), [(7, 3), (20, 6), (0, 9), (130, 100)])
def test_the_interval_is_where_the_binomial_tails_are_half_of_alpha(
    fixed: int, broken: int
) -> None:
    low, high = statistics.accuracy_interval(fixed, broken, 1000, 0.95)
    changed = fixed + broken

    def tail(difference: float, outcomes: range) -> float:
        share = (difference * 1000 / changed + 1) / 2
        return sum(
            math.comb(changed, k) * share**k * (1 - share) ** (changed - k) for k in outcomes
        )

    if fixed:
        assert tail(low, range(fixed, changed + 1)) == pytest.approx(0.025, rel=1e-6)
    else:
        assert low == pytest.approx(-changed / 1000)
    assert tail(high, range(fixed + 1)) == pytest.approx(0.025, rel=1e-6)
    p = stats.binomtest(fixed, changed).pvalue
    assert (low > 0 or high < 0) == (p < 0.05)


@pytest.mark.parametrize("changed", [0, 3, 6, 8, 10, 41, 230])
# Five on one side have p = 0.0625, seven of eight 0.0703125.
@pytest.mark.parametrize("alpha", [0.3, 0.0703125, 0.0625, 0.05, 0.001])
def test_smallest_difference_is_the_first_that_is_significant(changed: int, alpha: float) -> None:
    found = statistics.smallest_difference(changed, 1000, alpha)
    count = changed
    significant: list[int] = []
    while not significant:
        significant = [
            2 * fixed - count
            for fixed in range(count + 1)
            if 2 * fixed > count and stats.binomtest(fixed, count).pvalue < alpha
        ]
        count += 1
    assert found == pytest.approx(min(significant) / 1000)


def test_p_values_of_classes_are_corrected_step_by_step() -> None:
    before, after = random_answers(3, 2000)
    found = statistics.by_class(before, after, 10)
    raw = [
        statistics.mcnemar(before.right[own], after.right[own]).p
        for own in (before.labels == label for label in range(10))
    ]
    expected, highest = {}, 0.0
    for rank, place in enumerate(np.argsort(raw, kind="stable")):
        highest = max(highest, min(1.0, (10 - rank) * raw[place]))
        expected[place] = highest
    assert [test.p for test in found] == pytest.approx([expected[place] for place in range(10)])


def test_scores_are_those_of_evaluate() -> None:
    here = evidence.gather(revisions.working_tree(ROOT))
    bins = here.parameters["evaluate"]["bins"]
    found = statistics.scores(here.answers, bins, len(here.classes))
    for name, value in found.items():
        assert value == pytest.approx(here.metrics[f"evaluate.{name}"], abs=2e-5), name


@pytest.mark.parametrize("bins", [3, 15])
def test_scores_are_those_of_scikit_learn_and_of_their_formulas(bins: int) -> None:
    """With confidences in the lowest and the highest bin, and a class that is never an answer."""
    answers, _ = random_answers(2)
    kept = (answers.labels != 9) & (answers.predictions != 9)
    answers = Answers(*(column[kept] for column in answers))
    answers.confidence[:20] = 1
    found = statistics.scores(answers, bins, 10)
    box = np.minimum(np.floor(answers.confidence * bins), bins - 1)
    error = sum(
        abs((answers.right - answers.confidence)[box == b].sum()) / len(box) for b in range(bins)
    )
    f1 = f1_score(
        answers.labels, answers.predictions, labels=range(10), average="macro", zero_division=0
    )
    assert found == {
        "macro_f1": pytest.approx(f1),
        "loss": pytest.approx(answers.loss.mean()),
        "expected_calibration_error": pytest.approx(error),
    }


def test_bootstrap_is_reproducible_and_wider_at_a_higher_level() -> None:
    before, after = random_answers(4)
    wide, again, narrow = (
        statistics.bootstrap(before, after, (15, 15), 10, level) for level in (0.95, 0.95, 0.5)
    )
    assert wide == again
    for name, interval in wide.items():
        # As the quantiles of a normal distribution are to each other: 0.674 to 1.96.
        ratio = (narrow[name].high - narrow[name].low) / (interval.high - interval.low)
        assert ratio == pytest.approx(0.344, abs=0.06), name


def test_bootstrap_agrees_with_scores_computed_from_drawn_answers() -> None:
    before, after = random_answers(1)
    found = statistics.bootstrap(before, after, (15, 15), 10, 0.95)
    draw = np.random.default_rng(9)
    changed: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(2000):
        rows = draw.integers(0, len(before.labels), len(before.labels))
        old, new = (
            statistics.scores(Answers(*(column[rows] for column in side)), 15, 10)
            for side in (before, after)
        )
        for name in found:
            changed[name].append(new[name] - old[name])
    for name, interval in found.items():
        low, high = np.percentile(changed[name], [2.5, 97.5])
        # The ends have an error of about a twentieth of the interval's width.
        assert interval.low == pytest.approx(low, abs=0.1 * (high - low)), name
        assert interval.high == pytest.approx(high, abs=0.1 * (high - low)), name
