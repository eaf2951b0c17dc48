"""Inspects a delivery before anything is trained on it: what is wrong, what is unusual.

A problem refuses the delivery. Oddities and drift are reported to whoever merges it.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import pairwise_distances_argmin_min

from fashion_mnist.data import class_counts, npz
from fashion_mnist.data.labelled import Labels, Uint8
from fashion_mnist.dataset import Dataset

# Root mean square of the differences in grey value. One of 10,000 training images, and one of the
# t10k images, is closer than this to a test image; noise of 10 grey levels stays below.
NEAR = 10.0
# Population stability index: below .1 is called stable and above .25 a shift (Siddiqi 2006).
SHIFTED = 0.25
SHOWN = 5  # indices in a message
VALUES = 1 << 21  # pixel values that are floating-point numbers at a time
EXACT = 10_000  # values: SciPy's Kolmogorov-Smirnov test is exact up to here

Mask = NDArray[np.bool_]
Digests = NDArray[np.uint64]
Numbers = NDArray[np.float64]


class Drift(NamedTuple):
    """How far a delivery is from the training set.

    population_stability_index, chi_squared_p:
        Of the class distribution.
    mean_p, contrast_p:
        Two-sample Kolmogorov-Smirnov test of the mean and the standard deviation of each image's
        pixels.
    """

    population_stability_index: float
    chi_squared_p: float
    mean_p: float
    contrast_p: float


class Inspection(NamedTuple):
    """What is known about a delivery's content.

    images:
        Number of images.
    problems, oddities:
        Why it is refused, and what is only reported; indices count its images from 0.
    """

    images: int
    problems: list[str]
    oddities: list[str]
    drift: Drift


class Summary(NamedTuple):
    """What is kept of a training set: 24 bytes of each image, whatever its size.

    digests:
        Of the images (m,), sorted.
    classes:
        Number of images of each class, in label order.
    means, contrasts:
        Mean and standard deviation of the pixels of each image (m,), both sorted.
    """

    digests: Digests
    classes: NDArray[np.int64]
    means: Numbers
    contrasts: Numbers


class Reference(NamedTuple):
    """What a delivery is compared with.

    train:
        Summary of the training set.
    held_out:
        Sorted digests of the sets that nothing may train on, test and validation, by name.
    test:
        Returns the images of the test set in blocks, from the first one at each call.
    known:
        Sorted digests of the images that are trained on already, by the name of their set.
    """

    train: Summary
    held_out: dict[str, Digests]
    test: Callable[[], Iterable[Uint8]]
    known: dict[str, Digests]


def read(folder: Path, dataset: Dataset) -> Reference:
    """Return what `split` wrote, for deliveries to be compared with.

    Raises:
        InputError: A file is missing or damaged.
    """
    train = summarize(folder / "train.npz", dataset)
    test, validation = (
        partial(npz.blocks, folder / f"{name}.npz", "images") for name in ("test", "validation")
    )
    held_out = {"test": sorted_digests(test()), "validation": sorted_digests(validation())}
    return Reference(train, held_out, test, {"the training set": train.digests})


def summarize(path: Path, dataset: Dataset) -> Summary:
    """Return the summary of a set, which is read in blocks.

    Raises:
        InputError: The file is missing or damaged.
    """
    counts = class_counts.count(npz.blocks(path, "labels"), dataset)
    classes = np.array([*counts.values()], np.int64)
    images = int(classes.sum())
    hashes, means, contrasts = np.empty(images, np.uint64), np.empty(images), np.empty(images)
    start = 0
    for block in npz.blocks(path, "images"):
        rows = slice(start, start + len(block))
        hashes[rows] = digests(block)
        means[rows], contrasts[rows] = brightness(block)
        start = rows.stop
    for values in (hashes, means, contrasts):
        values.sort()
    return Summary(hashes, classes, means, contrasts)


def inspect(images: Uint8, labels: Labels, reference: Reference) -> Inspection:
    """Return what is wrong with a delivery, and what is unusual.

    Args:
        images: The delivery's images, (n, height, width) or (n, height, width, 3).
        labels: The delivery's labels (n,).
        reference: What it is compared with.
    """
    own = digests(images)
    repeated, contradicted = repetitions(own, labels)
    leaks = {name: _among(own, others) for name, others in reference.held_out.items()}
    near = (distances(images, reference.test()) < NEAR) & ~leaks["test"]
    there = {
        name: found
        for name, others in reference.known.items()
        if (found := _among(own, others)).any()
    }
    nothing_new = bool(there) and bool(np.any(list(there.values()), axis=0).all())
    problems = [
        *_listed("blank images", blank(images)),
        *(
            line
            for name in leaks
            for line in _listed(f"images of the {name} set, a leak", leaks[name])
        ),
        *([f"all images are in {' and '.join(there)} already"] if nothing_new else []),
        *_listed("repeated images with different labels", contradicted),
    ]
    oddities = [
        *_listed("near-duplicates of test images, mirrored or not", near),
        *(
            line
            for name in there
            if not nothing_new
            for line in _listed(f"images in {name} already", there[name])
        ),
        *_listed("repeated images", repeated),
    ]
    return Inspection(
        images=len(images),
        problems=problems,
        oddities=oddities,
        drift=drift(images, labels, reference.train),
    )


def digests(images: Uint8) -> Digests:
    """Return a hash of each image, uint64 (n,).

    A million images and ten million different ones share a hash with a probability of 1 in two
    million.
    """
    hashes = (hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images)
    return np.fromiter((int.from_bytes(found, "little") for found in hashes), np.uint64)


def sorted_digests(blocks: Iterable[Uint8]) -> Digests:
    """Return the digests of the images in all blocks, sorted."""
    return np.sort(np.concatenate([np.empty(0, np.uint64), *map(digests, blocks)]))


def repetitions(hashes: Digests, labels: Labels) -> tuple[Mask, Mask]:
    """Return which images occur more than once, and which of those with different labels.

    Args:
        hashes: Hash of each image, n of them.
        labels: Label of each image (n,).

    Returns:
        Two masks (n,).
    """
    number, occurrences = _occurrences(hashes)
    _, of_pair = _occurrences(number << 16 | labels)
    # The image occurs more often than its pair with this label, so it has another label too.
    return occurrences > 1, occurrences > of_pair


def blank(images: Uint8) -> Mask:
    """Return which images are of a single grey value, or a single colour."""
    same = images.max(axis=(1, 2)) == images.min(axis=(1, 2))
    all_channels: Mask = np.all(same.reshape(len(images), -1), axis=1)
    return all_channels


def drift(images: Uint8, labels: Labels, train: Summary) -> Drift:
    """Return how far images and labels are from those of a training set."""
    expected = train.classes.astype(float)
    counts = np.bincount(labels, minlength=len(expected)).astype(float)
    # Half an image in each class keeps the index finite where a class is absent.
    found, usual = ((part + 0.5) / (part + 0.5).sum() for part in (counts, expected))
    means, contrasts = brightness(images)
    return Drift(
        population_stability_index=float(((found - usual) * np.log(found / usual)).sum()),
        chi_squared_p=_chi_squared(counts, expected),
        mean_p=kolmogorov_smirnov(means, train.means),
        contrast_p=kolmogorov_smirnov(contrasts, train.contrasts),
    )


def brightness(images: Uint8) -> tuple[Numbers, Numbers]:
    """Return mean and standard deviation of the pixels of each image, float64 (n,)."""
    found = [
        (part.mean(axis=1), part.std(axis=1)) for _, part in _parts(images.reshape(len(images), -1))
    ]
    means, contrasts = zip(*found, strict=True)
    return np.concatenate(means), np.concatenate(contrasts)


def distances(images: Uint8, others: Iterable[Uint8]) -> Numbers:
    """Return each image's distance to the nearest of the others, as it is or mirrored.

    Args:
        images: Images (n, height, width) or (n, height, width, 3).
        others: Blocks of images of the same shape.

    Returns:
        Root mean square of the differences in grey value, float64 (n,).
    """
    nearest = np.full(len(images), np.inf)
    for block in others:
        for _, targets in _parts(block):
            theirs = _rows(targets)
            for rows, part in _parts(images):
                for view in (part, part[:, :, ::-1]):
                    found = pairwise_distances_argmin_min(_rows(view), theirs)[1]
                    nearest[rows] = np.minimum(nearest[rows], found)
    scaled: Numbers = nearest / np.sqrt(images[0].size)
    return scaled


def kolmogorov_smirnov(values: Numbers, usual: Numbers) -> float:
    """Return the p-value of the two-sample test.

    SciPy gives the same value, but makes several copies of both.

    Args:
        values: Values (n,).
        usual: Other values (m,), sorted.
    """
    if max(len(values), len(usual)) <= EXACT:
        return float(stats.ks_2samp(values, usual).pvalue)
    # The distributions differ most at one of the values or just before it.
    values = np.sort(values)
    differences = [
        np.searchsorted(values, values, side) / len(values)
        - np.searchsorted(usual, values, side) / len(usual)
        for side in ("left", "right")
    ]
    size = len(values) * len(usual) / (len(values) + len(usual))
    return float(np.clip(stats.kstwo.sf(np.abs(differences).max(), np.round(size)), 0, 1))


def _chi_squared(counts: Numbers, expected: Numbers) -> float:
    """Return the p-value of counts in each class if they were drawn as the expected ones."""
    # A class that neither has would be 0 / 0.
    some = (counts > 0) | (expected > 0)
    counts, share = counts[some], expected[some] / expected.sum()
    with np.errstate(divide="ignore"):
        return float(stats.chisquare(counts, share * counts.sum()).pvalue)


def _parts(images: Uint8) -> Iterator[tuple[slice, Uint8]]:
    """Yield consecutive images as slices of `VALUES` values at most, with their places."""
    step = max(1, VALUES // images[0].size)
    for start in range(0, len(images), step):
        rows = slice(start, start + step)
        yield rows, images[rows]


def _rows(images: Uint8) -> Numbers:
    # scikit-learn would convert float32 again, many times.
    return images.reshape(len(images), -1).astype(np.float64)


def _occurrences(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each value the number that all equal ones share, and how many of these are."""
    _, number, counts = np.unique(values, return_inverse=True, return_counts=True)
    return number, counts[number]


def _among(found: Digests, others: Digests) -> Mask:
    """Return which digests (n,) are among others, which are sorted."""
    # `np.isin` would copy the others and sort them again.
    return np.searchsorted(others, found, "right") > np.searchsorted(others, found, "left")


def _listed(what: str, mask: Mask) -> list[str]:
    """Return one line that counts the images of a mask (n,), or none if there are none."""
    rows = np.flatnonzero(mask)
    if not len(rows):
        return []
    shown = ", ".join(map(str, rows[:SHOWN])) + (", ..." if len(rows) > SHOWN else "")
    return [f"{what}: {len(rows)} (index {shown})"]
