"""Chooses settings for a user's own data from the number of its images and classes."""

import math
from collections.abc import Sequence
from typing import Any

from fashion_mnist.errors import InputError

SHARE = 0.1  # of the training file, in each sample that is drawn
LARGEST_SHARE = 0.25
# A training set of this many images is trained like Fashion-MNIST.
MANY = 20_000
BATCH = 64
STEPS = 600
EPOCHS = 30, 100  # lowest and highest number for a small training set


def split(counts: Sequence[int], names: Sequence[str], has_test: bool) -> dict[str, Any]:
    """Return section `split` for a training file.

    Args:
        counts: Number of its images of each class.
        names: Name of each class.
        has_test: Whether there is an official test file; otherwise two samples are drawn.

    Raises:
        InputError: There are too few images of a class.
    """
    samples = 1 if has_test else 2
    total, least, classes = sum(counts), min(counts), len(counts)
    role = "validation" if has_test else "test"
    share = max(1, round(SHARE * total / classes))
    if 2 * samples * share <= least:
        return {"sample": "balanced", "size": share * classes, "role": role}
    # So many that the rarest class is in each sample.
    size = max(share * classes, math.ceil(total / least))
    if size > LARGEST_SHARE * total:
        raise InputError(
            f"the training file has {least} images of class {names[list(counts).index(least)]!r} "
            f"and {total} in all, expected at least {math.ceil(1 / LARGEST_SHARE)} of each class"
        )
    return {"sample": "stratified", "size": size, "role": role}


def train(images: int) -> dict[str, Any]:
    """Return what depends on the size of the training set in section `train`."""
    section: dict[str, Any] = {
        "augmentation": {"flip": False, "shift": 1},
        "selection": None,
        "class_weights": None,
        "shards": 8,
    }
    if images >= MANY:
        half = {"share": 0.5, "hardest": 0.5}
        return section | {"selection": half, "batch_size": 256, "epochs": 14}
    low, high = EPOCHS
    epochs = min(high, max(low, round(STEPS * BATCH / images)))
    return section | {"batch_size": BATCH, "epochs": epochs}


def margin(images: int) -> float:
    """Return how much accuracy a change may lose, on a test set of so many images.

    That is ten images, which a few lost at random do not reach, but half a point at least and ten
    at most.
    """
    return round(min(0.1, max(0.005, 10 / images)), 3)


def changes(counts: dict[str, list[int]], names: Sequence[str]) -> dict[str, Any]:
    """Return all sections but `download`.

    Args:
        counts: Number of images of each class, for each half of the release.
        names: Name of each class.

    Raises:
        InputError: See `split`.
    """
    has_test = "t10k" in counts
    drawn = split(counts["train"], names, has_test)
    left = sum(counts["train"]) - drawn["size"] * (1 if has_test else 2)
    return {
        "split": drawn,
        "train": train(left),
        "evaluate": {"mirror_average": False},
        "review": {
            "margin": margin(sum(counts["t10k"]) if "t10k" in counts else drawn["size"]),
            "floors": {"accuracy": 0.5, "class_recall": 0.0},
        },
    }
