"""The scores agree with their definitions, worked out another way."""

import numpy as np
import pytest

from fashion_mnist import scores
from fashion_mnist.classes import KEYS, NAMES


@pytest.fixture
def sample() -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of a mediocre classifier."""
    generator = np.random.default_rng(1)
    labels = np.arange(2000) % 10
    logits = generator.normal(size=(2000, 10)) + 2.0 * np.eye(10)[labels]
    odds = np.exp(logits)
    return labels, odds / odds.sum(axis=1, keepdims=True)


def test_keys_of_the_classes() -> None:
    assert KEYS[:2] == ("t_shirt_top", "trouser")
    assert KEYS[9] == "ankle_boot"
    assert len(set(KEYS)) == len(NAMES) == 10


def test_overall(sample) -> None:
    labels, probabilities = sample
    found = scores.overall(labels, probabilities, 15)
    right = probabilities.argmax(axis=1) == labels
    n, p, z = len(labels), right.mean(), 1.959963984540054
    assert found["accuracy"] == p
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert found["accuracy_interval"]["low"] == pytest.approx(middle - half, rel=1e-12)
    assert found["accuracy_interval"]["high"] == pytest.approx(middle + half, rel=1e-12)
    of_label = probabilities[np.arange(n), labels]
    assert found["loss"] == pytest.approx(-np.log(of_label).mean(), rel=1e-12)
    squares = ((probabilities - np.eye(10)[labels]) ** 2).sum(axis=1)
    assert found["brier_score"] == pytest.approx(squares.mean(), rel=1e-12)
    expected = sum(
        abs(right[inside].sum() - probabilities.max(axis=1)[inside].sum())
        for low in range(15)
        for inside in [
            (probabilities.max(axis=1) > low / 15) & (probabilities.max(axis=1) <= (low + 1) / 15)
        ]
    )
    assert found["expected_calibration_error"] == pytest.approx(expected / n, rel=1e-9)


def test_by_class(sample) -> None:
    labels, probabilities = sample
    predictions = probabilities.argmax(axis=1)
    found = scores.by_class(labels, probabilities)
    assert list(found) == list(KEYS)
    f1 = []
    for label, key in enumerate(KEYS):
        hits = int(((labels == label) & (predictions == label)).sum())
        precision, recall = hits / (predictions == label).sum(), hits / (labels == label).sum()
        f1.append(2 * precision * recall / (precision + recall))
        assert found[key]["precision"] == pytest.approx(precision)
        assert found[key]["recall"] == pytest.approx(recall)
        assert found[key]["f1"] == pytest.approx(f1[-1])
        # The AUC is the chance that an image of the class ranks above another one.
        inside = probabilities[labels == label, label]
        outside = probabilities[labels != label, label]
        above = (inside[:, None] > outside).mean() + (inside[:, None] == outside).mean() / 2
        assert found[key]["auc"] == pytest.approx(above)
    assert scores.overall(labels, probabilities, 15)["macro_f1"] == pytest.approx(np.mean(f1))


def test_certainty_has_a_bin() -> None:
    table = scores.calibration(np.arange(10), np.eye(10), 15)
    assert table.to_dict("records") == [{"confidence": 1.0, "accuracy": 1.0, "images": 10}]
    assert scores.calibration_error(table) == 0
    wrong = scores.calibration(np.arange(10), np.roll(np.eye(10), 1, axis=1), 15)
    assert scores.calibration_error(wrong) == 1


def test_a_class_that_is_never_predicted_scores_zero() -> None:
    probabilities = np.full((10, 10), 0.05)
    probabilities[:, 0] = 0.55
    found = scores.by_class(np.arange(10), probabilities)
    assert found["bag"]["f1"] == found["bag"]["precision"] == 0
    assert found["t_shirt_top"]["recall"] == 1


def test_roc_goes_from_corner_to_corner(sample) -> None:
    labels, probabilities = sample
    for name, curve in scores.roc(labels, probabilities).groupby("class"):
        assert name in NAMES
        assert len(curve) <= scores.ROC_POINTS
        rates = curve[["false_positive_rate", "true_positive_rate"]]
        assert rates.iloc[0].tolist() == [0, 0]
        assert rates.iloc[-1].tolist() == [1, 1]
        assert rates["false_positive_rate"].is_monotonic_increasing
        area = np.trapezoid(rates["true_positive_rate"], rates["false_positive_rate"])
        key = KEYS[NAMES.index(name)]
        assert area == pytest.approx(scores.by_class(labels, probabilities)[key]["auc"], abs=5e-3)
