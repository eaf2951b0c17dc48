"""The scores agree with their definitions, worked out another way."""

import numpy as np
import pytest

from fashion_mnist import scores
from tests.conftest import FASHION

KEYS, NAMES = FASHION.keys, FASHION.names


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
    confidence = probabilities.max(axis=1).round(6)
    expected = sum(
        abs(right[inside].sum() - confidence[inside].sum())
        for low in range(15)
        for inside in [(confidence > low / 15) & (confidence <= (low + 1) / 15)]
    )
    assert found["expected_calibration_error"] == pytest.approx(expected / n, rel=1e-9)


def test_by_class(sample) -> None:
    labels, probabilities = sample
    predictions = probabilities.argmax(axis=1)
    found = scores.by_class(labels, probabilities, KEYS)
    assert list(found) == list(KEYS)
    f1 = []
    for label, key in enumerate(KEYS):
        hits = int(((labels == label) & (predictions == label)).sum())
        precision, recall = hits / (predictions == label).sum(), hits / (labels == label).sum()
        f1.append(2 * precision * recall / (precision + recall))
        assert found[key]["precision"] == pytest.approx(precision)
        assert found[key]["recall"] == pytest.approx(recall)
        assert found[key]["f1"] == pytest.approx(f1[-1])
        assert found[key]["support"] == 200
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


def test_bins_of_the_reliability_diagram() -> None:
    """Four bins of which one stays empty; one is too sure of itself, the others too modest."""
    confidence = np.array([0.5, 0.4, 0.3, 0.7, 0.6, 0.8])
    probabilities = np.repeat((1 - confidence)[:, None] / 9, 10, axis=1)
    probabilities[:, 2] = confidence
    labels = np.array([2, 2, 0, 0, 0, 2])
    table = scores.calibration(labels, probabilities, 4)
    assert table["images"].tolist() == [3, 2, 1]
    assert table["confidence"].tolist() == pytest.approx([0.4, 0.65, 0.8])
    assert table["accuracy"].tolist() == pytest.approx([2 / 3, 0, 1])
    expected = (3 * (2 / 3 - 0.4) + 2 * 0.65 + 0.2) / 6
    assert scores.calibration_error(table) == pytest.approx(expected)
    # One bin: too much in one place and too little in another cancel out.
    (row,) = scores.calibration(labels, probabilities, 1).to_dict("records")
    assert row == pytest.approx({"confidence": 0.55, "accuracy": 0.5, "images": 6})


def test_a_class_that_is_never_predicted_scores_zero() -> None:
    probabilities = np.full((10, 10), 0.05)
    probabilities[:, 0] = 0.55
    found = scores.by_class(np.arange(10), probabilities, KEYS)
    assert found["bag"]["f1"] == found["bag"]["precision"] == 0
    assert found["t_shirt_top"]["recall"] == 1


def test_roc_goes_from_corner_to_corner(sample) -> None:
    labels, probabilities = sample
    curves = scores.roc(labels, probabilities, NAMES)
    assert curves.index.is_unique
    assert curves["class"].unique().tolist() == list(NAMES)
    for name, curve in curves.groupby("class"):
        # The curve of so many images has more points than that.
        assert len(curve) == scores.ROC_POINTS
        rates = curve[["false_positive_rate", "true_positive_rate"]]
        assert rates.iloc[0].tolist() == [0, 0]
        assert rates.iloc[-1].tolist() == [1, 1]
        assert rates["false_positive_rate"].is_monotonic_increasing
        area = np.trapezoid(rates["true_positive_rate"], rates["false_positive_rate"])
        key = KEYS[NAMES.index(name)]
        assert area == pytest.approx(
            scores.by_class(labels, probabilities, KEYS)[key]["auc"], abs=5e-3
        )


def test_roc_of_many_classes_shows_the_worst() -> None:
    generator = np.random.default_rng(2)
    labels = np.arange(2500) % 25
    # A class is the harder the higher its label; the order of the names is that of the labels.
    logits = (
        generator.normal(size=(2500, 25))
        + np.linspace(4, 0, 25)[labels][:, None] * (np.eye(25)[labels])
    )
    odds = np.exp(logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    names = [f"name {label}" for label in range(25)]
    areas = scores.class_areas(labels, probabilities)
    by_class = scores.by_class(labels, probabilities, names)
    assert [scored["auc"] for scored in by_class.values()] == areas.tolist()
    expected = sorted(sorted(range(25), key=lambda label: areas[label])[:20])
    found = scores.roc(labels, probabilities, names)["class"].unique().tolist()
    assert found == [names[label] for label in expected]
    assert "name 0" not in found
    assert (
        scores.roc(labels[labels < 20], np.eye(20)[labels[labels < 20]], names[:20])[
            "class"
        ].nunique()
        == 20
    )


def test_scores_of_two_classes() -> None:
    labels = np.array([0, 1, 1, 0])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    overall = scores.overall(labels, probabilities, 15)
    assert overall["accuracy"] == 0.75
    assert overall["loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7]).mean())
    assert overall["brier_score"] == pytest.approx(2 * np.mean([0.01, 0.04, 0.36, 0.09]))
    by_class = scores.by_class(labels, probabilities, ["no", "yes"])
    assert by_class["no"]["auc"] == by_class["yes"]["auc"] == 1
    assert by_class["yes"]["recall"] == 0.5
