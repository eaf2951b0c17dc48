"""Inspects a delivery before anything is trained on it: what is wrong, what is unusual.

A problem refuses the delivery. Oddities and drift are reported to whoever merges it.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
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


def inspect(
    images: Uint8,
    labels: Uint8,
    train: tuple[Uint8, Uint8],
    held_out: Mapping[str, Uint8],
    known: Mapping[str, set[bytes]],
) -> Inspection:
    """Return what is wrong with a delivery, and what is unusual.

    Args:
        images: The delivery's images (n, 28, 28).
        labels: The delivery's labels (n,).
        train: Images (m, 28, 28) and labels (m,) of the training set.
        held_out: Images (k, 28, 28) of the sets that nothing may train on: test and validation.
        known: Digests of the images that are trained on already, by the name of their set.
    """
    own = digests(images)
    repeated, contradicted = repetitions(own, labels)
    blank = images.max(axis=(1, 2)) == images.min(axis=(1, 2))
    leaks = {name: _among(own, set(digests(others))) for name, others in held_out.items()}
    near = (distances(images, held_out["test"]) < NEAR) & ~leaks["test"]
    there = {name: found for name in known if (found := _among(own, known[name])).any()}
    nothing_new = bool(there) and bool(np.any(list(there.values()), axis=0).all())
    problems = [
        *_listed("blank images", blank),
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
        drift=drift(images, labels, *train),
    )


def digests(images: Uint8) -> list[bytes]:
    """Return the hash of each image (n, 28, 28)."""
    return [hashlib.sha256(image.tobytes()).digest() for image in images]


def repetitions(hashes: list[bytes], labels: Uint8) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which images occur more than once, and which of those with different labels.

    Args:
        hashes: Hash of each image, n of them.
        labels: Label of each image (n,).

    Returns:
        Two masks (n,).
    """
    images = Counter(hashes)
    pairs = Counter(zip(hashes, labels.tolist(), strict=True))
    repeated = np.array([images[digest] > 1 for digest in hashes])
    # The image occurs more often than its pair with this label, so it has another label too.
    contradicted = np.array(
        [
            images[digest] > pairs[digest, label]
            for digest, label in zip(hashes, labels.tolist(), strict=True)
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


def _among(found: list[bytes], others: set[bytes]) -> NDArray[np.bool_]:
    return np.array([digest in others for digest in found])


def _listed(what: str, mask: NDArray[np.bool_]) -> list[str]:
    """Return one line that counts the images of a mask (n,), or none if there are none."""
    rows = np.flatnonzero(mask)
    if not len(rows):
        return []
    shown = ", ".join(map(str, rows[:SHOWN])) + (", ..." if len(rows) > SHOWN else "")
    return [f"{what}: {len(rows)} (index {shown})"]
