"""What is wrong or unusual in a delivery is found before anything is trained on it."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fashion_mnist.data import idx
from fashion_mnist.data.labelled import Labels, Uint8
from fashion_mnist.dataset import HALVES, Dataset
from retraining import inspection
from retraining.inspection import (
    NEAR,
    SHIFTED,
    Inspection,
    Reference,
    distances,
    kolmogorov_smirnov,
    sorted_digests,
)

Pair = tuple[Uint8, Labels]


def dataset(shape: tuple[int, ...] = (28, 28), classes: int = 10) -> Dataset:
    height, width, channels = (*shape, 1)[:3]
    names = {str(label): str(label) for label in range(classes)}
    return Dataset(height=height, width=width, channels=channels, classes=names)


@pytest.fixture
def reference(tmp_path: Path) -> Callable[..., Reference]:
    """Return `inspection.read`, of arrays; no image validates unless there are some."""

    def make(
        train: Pair, test: Uint8, validation: Uint8 | None = None, data: Dataset | None = None
    ) -> Reference:
        folder = tmp_path / f"split-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        held_out = test[:0] if validation is None else validation
        for name, (images, labels) in {
            "train": train,
            "test": (test, np.zeros(len(test), np.uint8)),
            "validation": (held_out, np.zeros(len(held_out), np.uint8)),
        }.items():
            np.savez(folder / f"{name}.npz", images=images, labels=labels)
        return inspection.read(folder, data or dataset())

    return make


@pytest.fixture
def inspect(reference: Callable[..., Reference]) -> Callable[..., Inspection]:
    """Return `inspection.inspect`, of arrays."""

    def call(images: Uint8, labels: Labels, train: Pair, test: Uint8) -> Inspection:
        return inspection.inspect(images, labels, reference(train, test))

    return call


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
    inspect: Callable[..., Inspection],
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


def test_images_of_the_test_set_are_a_leak(
    parts: tuple[Pair, Pair, Uint8], inspect: Callable[..., Inspection]
) -> None:
    (images, labels), train, test = parts
    images = images.copy()
    images[[3, 8]] = test[[50, 7]]
    found = inspect(images, labels, train, test)
    assert found.problems == ["images of the test set, a leak: 2 (index 3, 8)"]


def test_images_of_the_validation_set_are_a_leak(
    parts: tuple[Pair, Pair, Uint8], reference: Callable[..., Reference]
) -> None:
    """As `split` would refuse them, together with every other delivery."""
    (images, labels), train, test = parts
    images = images.copy()
    images[[3, 8]] = test[[50, 7]]
    found = inspection.inspect(images, labels, reference(train, test[60:], test[:60]))
    assert found.problems == ["images of the validation set, a leak: 2 (index 3, 8)"]
    # Without a sample the validation set is empty.
    found = inspection.inspect(images, labels, reference(train, test, test[:0]))
    assert found.problems == ["images of the test set, a leak: 2 (index 3, 8)"]


def test_images_of_an_earlier_delivery_are_known(
    parts: tuple[Pair, Pair, Uint8], reference: Callable[..., Reference]
) -> None:
    """The same images in another format have another hash."""
    (images, labels), train, test = parts
    against = reference(train, test)
    against.known["a.npz"] = sorted_digests([images[:60]])
    found = inspection.inspect(images[:60], labels[:60], against)
    assert found.problems == ["all images are in a.npz already"]
    found = inspection.inspect(images, labels, against)
    assert found.problems == []
    assert found.oddities == ["images in a.npz already: 60 (index 0, 1, 2, 3, 4, ...)"]
    both = np.concatenate([images[:60], train[0][:9]])
    found = inspection.inspect(both, np.arange(69, dtype=np.uint8) % 10, against)
    assert found.problems == ["all images are in the training set and a.npz already"]


def test_near_duplicates_of_test_images_are_reported(
    parts: tuple[Pair, Pair, Uint8], inspect: Callable[..., Inspection]
) -> None:
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
    assert distances(images, [others]) == pytest.approx(expected, rel=1e-4)
    # Rounding gives no NaN.
    assert distances(others, [others]) == pytest.approx(np.zeros(9), abs=NEAR / 10)


def test_blank_images_are_a_problem(
    parts: tuple[Pair, Pair, Uint8], inspect: Callable[..., Inspection]
) -> None:
    (images, labels), train, test = parts
    images = images.copy()
    images[2], images[5] = 0, 200
    problems = inspect(images, labels, train, test).problems
    assert problems == ["blank images: 2 (index 2, 5)"]


def test_known_images_are_reported_and_a_problem_if_all_are_known(
    parts: tuple[Pair, Pair, Uint8],
    inspect: Callable[..., Inspection],
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
    inspect: Callable[..., Inspection],
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


def test_missing_classes_and_dark_images_are_drift(
    parts: tuple[Pair, Pair, Uint8], inspect: Callable[..., Inspection]
) -> None:
    (images, labels), train, test = parts
    few = np.flatnonzero(labels < 3)
    found = inspect(images[few], labels[few], train, test)
    assert found.drift.population_stability_index > SHIFTED
    assert found.drift.chi_squared_p < 1e-6
    dark = inspect(images // 3, labels, train, test)
    assert dark.drift.population_stability_index < SHIFTED
    assert dark.drift.mean_p < 1e-6
    assert dark.drift.contrast_p < 1e-6


def test_blocks_give_what_the_whole_arrays_give(
    parts: tuple[Pair, Pair, Uint8],
    reference: Callable[..., Reference],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Plain computations with everything in memory, as for a small data set."""
    (images, labels), train, test = parts
    images, labels = images.copy(), labels.copy()
    images[40:50], labels[40:50] = images[30:40], labels[30:40]
    labels[45] = (labels[35] + 1) % 10
    images[50:60] = train[0][:10]
    images[60:70] = test[:10]
    images[70:80] = np.clip(test[10:20, :, ::-1] * 1.02, 0, 255)
    whole = inspection.inspect(images, labels, reference(train, test))
    counts = Counter(hashlib.sha256(image).digest() for image in images)
    known = {hashlib.sha256(image).digest() for image in train[0]}
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    assert whole.problems == [
        "images of the test set, a leak: 10 (index 60, 61, 62, 63, 64, ...)",
        "repeated images with different labels: 2 (index 35, 45)",
    ]
    assert whole.oddities[0].startswith("near-duplicates of test images, mirrored or not: 10 (")
    assert whole.oddities[1].startswith(
        f"images in the training set already: {sum(digest in known for digest in digests)} ("
    )
    assert whole.oddities[2].startswith(
        f"repeated images: {sum(counts[digest] > 1 for digest in digests)} ("
    )
    for p, function in ((whole.drift.mean_p, np.mean), (whole.drift.contrast_p, np.std)):
        new, usual = (function(part, axis=(1, 2)) for part in (images, train[0]))
        assert p == stats.ks_2samp(new, usual).pvalue
    # Blocks of seven images, and parts of three.
    monkeypatch.setattr("fashion_mnist.data.labelled.BLOCK", 7)
    monkeypatch.setattr(inspection, "VALUES", 3 * 28**2)
    assert inspection.inspect(images, labels, reference(train, test)) == whole


@pytest.mark.parametrize("sizes", [(300, 400), (30, 12_000), (12_000, 30), (11_000, 13_000)])
def test_the_kolmogorov_smirnov_test_is_that_of_scipy(sizes: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    for shift, digits in ((0, 9), (0.05, 9), (0, 1), (0.3, 1), (9, 9)):
        # Few digits: equal values, in one sample and in both.
        values, usual = (
            generator.normal(place, 1, size).round(digits)
            for place, size in zip((shift, 0), sizes, strict=True)
        )
        expected = stats.ks_2samp(values, usual).pvalue
        assert kolmogorov_smirnov(values, np.sort(usual)) == expected


def coloured(images: Uint8) -> Uint8:
    """Return real images in three colours, which differ."""
    return np.stack([images, images // 2, 255 - images], axis=3)


def test_colour_images_are_inspected_in_all_their_channels(
    parts: tuple[Pair, Pair, Uint8], reference: Callable[..., Reference]
) -> None:
    (images, labels), train, test = parts
    images, others, held_out = coloured(images), coloured(train[0]), coloured(test)
    against = reference((others, train[1]), held_out, data=dataset((28, 28, 3)))
    good = inspection.inspect(images, labels, against)
    assert (good.problems, good.oddities) == ([], [])
    means = images.mean(axis=(1, 2, 3)), others.mean(axis=(1, 2, 3))
    assert good.drift.mean_p == stats.ks_2samp(*means).pvalue
    # An image of one colour is blank although its channels differ.
    images[2] = (200, 10, 10)
    # An image in other colours is another image.
    images[3] = held_out[3][:, :, ::-1]
    images[4] = held_out[4]
    images[5], labels[5] = images[6], (labels[6] + 1) % 10
    images[7] = others[7]
    images[8] = np.clip(held_out[8][:, ::-1] * 1.01, 0, 255)
    found = inspection.inspect(images, labels, against)
    assert found.problems == [
        "blank images: 1 (index 2)",
        "images of the test set, a leak: 1 (index 4)",
        "repeated images with different labels: 2 (index 5, 6)",
    ]
    assert found.oddities == [
        "near-duplicates of test images, mirrored or not: 1 (index 8)",
        "images in the training set already: 1 (index 7)",
        "repeated images: 2 (index 5, 6)",
    ]


def test_hundreds_of_classes(
    parts: tuple[Pair, Pair, Uint8], reference: Callable[..., Reference]
) -> None:
    """Labels of 16 bits; neither set has an image of some classes."""
    (images, _), train, test = parts
    data = dataset(classes=300)
    of_train = np.arange(200, dtype=np.uint16) + 90
    against = reference((train[0], of_train), test, data=data)
    assert against.train.classes.tolist() == [0] * 90 + [1] * 200 + [0] * 10
    labels = np.arange(100, dtype=np.uint16) + 190
    images = images.copy()
    images[1] = images[0]
    labels[:2] = 30, 30 + 256  # the same lower byte
    found = inspection.inspect(images, labels, against)
    assert found.problems == ["repeated images with different labels: 2 (index 0, 1)"]
    # A class that nothing was trained on.
    assert found.drift.chi_squared_p == 0
    usual = inspection.inspect(images, of_train[:100], against).drift
    assert 0 < usual.chi_squared_p < 1
    assert usual.population_stability_index > 0
