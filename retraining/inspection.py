"""Inspects a delivery before anything is trained on it: what is wrong, what is unusual.

A problem refuses the delivery. Oddities and drift are reported to whoever merges it.
"""

import hashlib
from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import pairwise_distances_argmin_min

from fashion_mnist.data.idx import Uint8
from fashion_mnist.dataset import KEYS

# Root mean square of the differences in grey value. One of 10,000 training images, and one of the
# t10k images, is closer than this to a test image; noise of 10 grey levels stays below.
NEAR = 10.0
# Population stability index: below .1 is called stable and above .25 a shift (Siddiqi 2006).
SHIFTED = 0.25
SHOWN = 5  # indices in a message


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


def inspect(images: Uint8, labels: Uint8, train: tuple[Uint8, Uint8], test: Uint8) -> Inspection:
    """Return what is wrong with a delivery, and what is unusual.

    Args:
        images: The delivery's images (n, 28, 28).
        labels: The delivery's labels (n,).
        train: Images (m, 28, 28) and labels (m,) of the training set.
        test: Images (k, 28, 28) of the test set.
    """
    digests = _digests(images)
    in_test, in_train = (_among(digests, others) for others in (test, train[0]))
    repeated, contradicted = repetitions(digests, labels)
    blank = images.max(axis=(1, 2)) == images.min(axis=(1, 2))
    near = (distances(images, test) < NEAR) & ~in_test
    known = in_train & ~in_train.all()
    problems = [
        *_listed("blank images", blank),
        *_listed("images of the test set, a leak", in_test),
        *(["all images are in the training set already"] if in_train.all() else []),
        *_listed("repeated images with different labels", contradicted),
    ]
    oddities = [
        *_listed("near-duplicates of test images, mirrored or not", near),
        *_listed("images in the training set already", known),
        *_listed("repeated images", repeated),
    ]
    return Inspection(
        images=len(images),
        problems=problems,
        oddities=oddities,
        drift=drift(images, labels, *train),
    )


def repetitions(digests: list[bytes], labels: Uint8) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which images occur more than once, and which of those with different labels.

    Args:
        digests: Hash of each image, n of them.
        labels: Label of each image (n,).

    Returns:
        Two masks (n,).
    """
    images = Counter(digests)
    pairs = Counter(zip(digests, labels.tolist(), strict=True))
    repeated = np.array([images[digest] > 1 for digest in digests])
    # The image occurs more often than its pair with this label, so it has another label too.
    contradicted = np.array(
        [
            images[digest] > pairs[digest, label]
            for digest, label in zip(digests, labels.tolist(), strict=True)
        ]
    )
    return repeated, contradicted


def drift(images: Uint8, labels: Uint8, train_images: Uint8, train_labels: Uint8) -> Drift:
    """Return how far images (n, 28, 28) and labels (n,) are from those of a training set."""
    counts, expected = (
        np.bincount(part, minlength=len(KEYS)).astype(float) for part in (labels, train_labels)
    )
    # Half an image in each class keeps the index finite where a class is absent.
    found, usual = ((part + 0.5) / (part + 0.5).sum() for part in (counts, expected))
    share = expected / expected.sum()
    return Drift(
        population_stability_index=float(((found - usual) * np.log(found / usual)).sum()),
        chi_squared_p=float(stats.chisquare(counts, share * counts.sum()).pvalue),
        mean_p=_kolmogorov_smirnov(images.mean(axis=(1, 2)), train_images.mean(axis=(1, 2))),
        contrast_p=_kolmogorov_smirnov(images.std(axis=(1, 2)), train_images.std(axis=(1, 2))),
    )


def distances(images: Uint8, others: Uint8) -> NDArray[np.float64]:
    """Return each image's distance to the nearest of the others, as it is or mirrored.

    Args:
        images: Images (n, 28, 28).
        others: Images (m, 28, 28).

    Returns:
        Root mean square of the differences in grey value, float64 (n,).
    """
    targets = _rows(others)
    nearest = [
        pairwise_distances_argmin_min(_rows(view), targets)[1]
        for view in (images, images[:, :, ::-1])
    ]
    found: NDArray[np.float64] = np.min(nearest, axis=0) / np.sqrt(targets.shape[1])
    return found


def _rows(images: Uint8) -> NDArray[np.float32]:
    return images.reshape(len(images), -1).astype(np.float32)


def _kolmogorov_smirnov(values: NDArray[np.float64], usual: NDArray[np.float64]) -> float:
    return float(stats.ks_2samp(values, usual).pvalue)


def _digests(images: Uint8) -> list[bytes]:
    return [hashlib.sha256(image.tobytes()).digest() for image in images]


def _among(digests: list[bytes], images: Uint8) -> NDArray[np.bool_]:
    there = set(_digests(images))
    return np.array([digest in there for digest in digests])


def _listed(what: str, mask: NDArray[np.bool_]) -> list[str]:
    """Return one line that counts the images of a mask (n,), or none if there are none."""
    rows = np.flatnonzero(mask)
    if not len(rows):
        return []
    shown = ", ".join(map(str, rows[:SHOWN])) + (", ..." if len(rows) > SHOWN else "")
    return [f"{what}: {len(rows)} (index {shown})"]
