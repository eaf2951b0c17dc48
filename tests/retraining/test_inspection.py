"""What is wrong or unusual in a delivery is found before anything is trained on it."""

from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.data import idx
from fashion_mnist.data.idx import Uint8
from retraining import inspection
from retraining.inspection import NEAR, SHIFTED, Inspection, digests, distances
from stages.download import HALVES

Pair = tuple[Uint8, Uint8]

TRAIN = "the training set"


def inspect(images: Uint8, labels: Uint8, train: Pair, test: Uint8) -> Inspection:
    """Inspect a delivery where no validation set is held out and nothing else has come."""
    known = {TRAIN: set(digests(train[0]))}
    return inspection.inspect(images, labels, train, {"test": test}, known)


@pytest.fixture
def parts(raw: Path) -> tuple[Pair, Pair, Uint8]:
    """Real images: a delivery (100), a training set (200), a test set (100)."""
    images, labels = idx.read_pair(*(raw / name for name in HALVES["train"]))
    test, _ = idx.read_pair(*(raw / name for name in HALVES["t10k"]))
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order], labels[order]
    return (images[:100], labels[:100]), (images[100:], labels[100:]), test


def test_a_good_delivery_has_neither_problems_nor_oddities_nor_drift(
    parts: tuple[Pair, Pair, Uint8],
) -> None:
    new, train, test = parts
    found = inspect(*new, train, test)
    assert found.images == 100
    assert found.problems == []
    assert found.oddities == []
    assert found.drift.population_stability_index < SHIFTED
    assert found.drift.chi_squared_p > 0.01
    assert found.drift.mean_p > 0.01
    assert found.drift.contrast_p > 0.01


def test_images_of_the_test_set_are_a_leak(parts: tuple[Pair, Pair, Uint8]) -> None:
    (images, labels), train, test = parts
    images = images.copy()
    images[[3, 8]] = test[[50, 7]]
    found = inspect(images, labels, train, test)
    assert found.problems == ["images of the test set, a leak: 2 (index 3, 8)"]


def test_images_of_the_validation_set_are_a_leak(parts: tuple[Pair, Pair, Uint8]) -> None:
    """As `split` would refuse them, together with every other delivery."""
    (images, labels), train, test = parts
    images = images.copy()
    images[[3, 8]] = test[[50, 7]]
    held_out = {"test": test[60:], "validation": test[:60]}
    found = inspection.inspect(images, labels, train, held_out, {})
    assert found.problems == ["images of the validation set, a leak: 2 (index 3, 8)"]
    # Without a sample the validation set is empty.
    held_out = {"test": test, "validation": test[:0]}
    found = inspection.inspect(images, labels, train, held_out, {})
    assert found.problems == ["images of the test set, a leak: 2 (index 3, 8)"]


def test_images_of_an_earlier_delivery_are_known(parts: tuple[Pair, Pair, Uint8]) -> None:
    """The same images in another format have another hash."""
    (images, labels), train, test = parts
    known = {TRAIN: set(digests(train[0])), "a.npz": set(digests(images[:60]))}
    found = inspection.inspect(images[:60], labels[:60], train, {"test": test}, known)
    assert found.problems == ["all images are in a.npz already"]
    found = inspection.inspect(images, labels, train, {"test": test}, known)
    assert found.problems == []
    assert found.oddities == ["images in a.npz already: 60 (index 0, 1, 2, 3, 4, ...)"]
    both = np.concatenate([images[:60], train[0][:9]])
    found = inspection.inspect(
        both, np.arange(69, dtype=np.uint8) % 10, train, {"test": test}, known
    )
    assert found.problems == ["all images are in the training set and a.npz already"]


def test_near_duplicates_of_test_images_are_reported(parts: tuple[Pair, Pair, Uint8]) -> None:
    (images, labels), train, test = parts
    images = images.copy()
    noise = np.random.default_rng(0).normal(0, 5, (28, 28))
    images[11] = np.clip(test[60] + noise, 0, 255)
    images[12] = test[61][:, ::-1]
    images[13] = np.clip(test[62] * 1.05, 0, 255)
    found = inspect(images, labels, train, test)
    assert found.problems == []
    line = "near-duplicates of test images, mirrored or not: 3 (index 11, 12, 13)"
    assert found.oddities == [line]


def test_distance_is_to_the_nearest_image_in_either_orientation() -> None:
    generator = np.random.default_rng(0)
    images, others = (generator.integers(0, 256, (n, 28, 28), np.uint8) for n in (7, 9))
    expected = [
        min(
            np.sqrt(((view.astype(float) - other.astype(float)) ** 2).mean())
            for view in (image, image[:, ::-1])
            for other in others
        )
        for image in images
    ]
    assert distances(images, others) == pytest.approx(expected, rel=1e-4)
    # Rounding gives no NaN.
    assert distances(others, others) == pytest.approx(np.zeros(9), abs=NEAR / 10)


def test_blank_images_are_a_problem(parts: tuple[Pair, Pair, Uint8]) -> None:
    (images, labels), train, test = parts
    images = images.copy()
    images[2], images[5] = 0, 200
    problems = inspect(images, labels, train, test).problems
    assert problems == ["blank images: 2 (index 2, 5)"]


def test_known_images_are_reported_and_a_problem_if_all_are_known(
    parts: tuple[Pair, Pair, Uint8],
) -> None:
    (images, labels), train, test = parts
    images = images.copy()
    images[:7] = train[0][:7]
    found = inspect(images, labels, train, test)
    assert found.problems == []
    line = "images in the training set already: 7 (index 0, 1, 2, 3, 4, ...)"
    assert found.oddities == [line]
    found = inspect(*train, train, test)
    assert found.problems == ["all images are in the training set already"]
    assert found.oddities == []


def test_repeated_images_are_reported_and_a_problem_if_their_labels_differ(
    parts: tuple[Pair, Pair, Uint8],
) -> None:
    (images, labels), train, test = parts
    images, labels = images.copy(), labels.copy()
    images[20], labels[20] = images[10], labels[10]
    found = inspect(images, labels, train, test)
    assert found.problems == []
    assert found.oddities == ["repeated images: 2 (index 10, 20)"]
    images[30], labels[30] = images[10], (labels[10] + 1) % 10
    found = inspect(images, labels, train, test)
    assert found.problems == ["repeated images with different labels: 3 (index 10, 20, 30)"]
    assert found.oddities == ["repeated images: 3 (index 10, 20, 30)"]


def test_missing_classes_and_dark_images_are_drift(parts: tuple[Pair, Pair, Uint8]) -> None:
    (images, labels), train, test = parts
    few = np.flatnonzero(labels < 3)
    found = inspect(images[few], labels[few], train, test)
    assert found.drift.population_stability_index > SHIFTED
    assert found.drift.chi_squared_p < 1e-6
    dark = inspect(images // 3, labels, train, test)
    assert dark.drift.population_stability_index < SHIFTED
    assert dark.drift.mean_p < 1e-6
    assert dark.drift.contrast_p < 1e-6
