"""Looks at a batch of new images before anything is trained on it: what is wrong, what is unusual.

A problem refuses the batch. Drift and oddities are told to whoever merges it.
"""

import hashlib
from collections import Counter

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import stats

from fashion_mnist.data.idx import Uint8
from fashion_mnist.dataset import KEYS

BLOCK = 500  # images, whose distances to the test set are in memory together
# Root mean square of the differences in grey value. Of 10,000 training images one is nearer than
# this to an image of the test set, of as many of t10k one; noise of 10 grey levels stays below.
NEAR = 10.0
# Population stability index: below .1 is called stable and above .25 a shift (Siddiqi 2006).
SHIFTED = 0.25


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Drift(_Result):
    """How far a batch is from the training set.

    population_stability_index, chi_squared_p:
        Of the classes.
    mean_p, contrast_p:
        Two-sample Kolmogorov-Smirnov test of the mean and the standard deviation of each image's
        pixels.
    """

    population_stability_index: float
    chi_squared_p: float
    mean_p: float
    contrast_p: float


class Inspection(_Result):
    """What was found in a batch; indices are places in it."""

    images: int
    classes: dict[str, int]
    problems: list[str]
    oddities: list[str]
    drift: Drift


def inspect(images: Uint8, labels: Uint8, train: tuple[Uint8, Uint8], test: Uint8) -> Inspection:
    """Return what is wrong with a batch, and what is unusual.

    Args:
        images: Of the batch, (n, 28, 28).
        labels: Of the batch, (n,).
        train: Images and labels of the training set.
        test: Images of the test set.
    """
    problems, oddities = [], []
    blank = np.flatnonzero(images.max(axis=(1, 2)) == images.min(axis=(1, 2)))
    if len(blank):
        problems.append(_told(blank, "of one grey value"))
    own = _digests(images)
    in_test, in_train = set(_digests(test)), set(_digests(train[0]))
    leaked = np.array([digest in in_test for digest in own])
    if leaked.any():
        problems.append(_told(np.flatnonzero(leaked), "in the test set too: a leak"))
    near = (distances(images, test) < NEAR) & ~leaked
    if near.any():
        oddities.append(_told(np.flatnonzero(near), "nearly in the test set, or mirrored"))
    known = np.array([digest in in_train for digest in own])
    if known.all():
        problems.append("all images are in the training set already")
    elif known.any():
        oddities.append(_told(np.flatnonzero(known), "in the training set already"))
    problems += _twice(own, labels, oddities)
    return Inspection(
        images=len(images),
        classes=dict(zip(KEYS, np.bincount(labels, minlength=len(KEYS)).tolist(), strict=True)),
        problems=problems,
        oddities=oddities,
        drift=drift(images, labels, *train),
    )


def drift(images: Uint8, labels: Uint8, train_images: Uint8, train_labels: Uint8) -> Drift:
    """Return how far images (n, 28, 28) and labels (n,) are from those of a training set."""
    counts, expected = (
        np.bincount(part, minlength=len(KEYS)).astype(float) for part in (labels, train_labels)
    )
    # Half an image in each class, so that an absent one does not count without bound.
    found, usual = ((part + 0.5) / (part + 0.5).sum() for part in (counts, expected))
    share = expected / expected.sum()
    return Drift(
        population_stability_index=float(((found - usual) * np.log(found / usual)).sum()),
        chi_squared_p=float(stats.chisquare(counts, share * counts.sum()).pvalue),
        mean_p=_same(images.mean(axis=(1, 2)), train_images.mean(axis=(1, 2))),
        contrast_p=_same(images.std(axis=(1, 2)), train_images.std(axis=(1, 2))),
    )


def distances(images: Uint8, others: Uint8) -> NDArray[np.float64]:
    """Return how near each image (n, 28, 28) comes to one of the others, or to its mirror image.

    In grey values, the root of the mean square over the pixels; float64 (n,).
    """
    pixels = others[0].size
    flat = others.reshape(len(others), pixels).astype(np.float32)
    squares = (flat**2).sum(axis=1)
    nearest = np.full(len(images), np.inf)
    for view in (images, images[:, :, ::-1]):
        for start in range(0, len(images), BLOCK):
            part = view[start : start + BLOCK].reshape(-1, pixels).astype(np.float32)
            # |a - b|^2 = |a|^2 + |b|^2 - 2ab; rounding can take it below 0.
            squared = (part**2).sum(axis=1)[:, None] + squares - 2 * part @ flat.T
            found = np.sqrt(np.maximum(squared.min(axis=1), 0) / pixels)
            rows = slice(start, start + BLOCK)
            nearest[rows] = np.minimum(nearest[rows], found)
    return nearest


def _same(values: NDArray[np.float64], usual: NDArray[np.float64]) -> float:
    return float(stats.ks_2samp(values, usual).pvalue)


def _digests(images: Uint8) -> list[bytes]:
    return [hashlib.sha256(image.tobytes()).digest() for image in images]


def _twice(digests: list[bytes], labels: Uint8, oddities: list[str]) -> list[str]:
    """Return problems with images that a batch has more than once; add those to `oddities`."""
    often = {digest for digest, count in Counter(digests).items() if count > 1}
    rows = [row for row, digest in enumerate(digests) if digest in often]
    if not rows:
        return []
    oddities.append(_told(np.array(rows), "more than once in the batch"))
    given: dict[bytes, set[int]] = {}
    for row in rows:
        given.setdefault(digests[row], set()).add(int(labels[row]))
    contradicted = [row for row in rows if len(given[digests[row]]) > 1]
    return [_told(np.array(contradicted), "labelled in two ways")] if contradicted else []


def _told(rows: NDArray[np.intp], what: str) -> str:
    shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    return f"{len(rows)} {'images are' if len(rows) > 1 else 'image is'} {what} (index {shown})"
