"""Labelled images in blocks, whatever file they come from, with their checks."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion_mnist.dataset import Dataset
from fashion_mnist.errors import InputError

Uint8 = NDArray[np.uint8]
Labels = NDArray[np.uint8] | NDArray[np.uint16]
# Images (n, height, width) or (n, height, width, 3), and labels (n,), in consecutive blocks.
Blocks = Iterator[tuple[Uint8, NDArray[Any]]]

BLOCK = 4096  # images of 28x28
PIXELS = BLOCK * 28 * 28  # values in a block


def rows_of(shape: Sequence[int]) -> int:
    """Return how many rows of this shape make a block."""
    return max(1, min(BLOCK, PIXELS // max(1, math.prod(shape))))


def checked(blocks: Blocks, dataset: Dataset, source: str, first_label: int = 0) -> Blocks:
    """Yield blocks whose labels count from 0, in the label type of the data set.

    Args:
        blocks: Blocks of a file.
        dataset: What the images must be.
        source: What errors call the file.
        first_label: Label of the first class.

    Raises:
        InputError: Images have another size, a label is out of range, or there are no images.
    """
    count = 0
    highest = first_label + len(dataset.classes) - 1
    for images, labels in blocks:
        if images.shape[1:] != dataset.image_shape:
            raise InputError(
                f"{source}: {_kind(images.shape[1:])}, expected {_kind(dataset.image_shape)}"
            )
        wrong = (labels < first_label) | (labels > highest)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{source}: label {labels[row]} at index {count + row}, "
                f"expected {first_label} to {highest}"
                + advice(int(labels[row]), range(first_label, highest + 1))
            )
        count += len(images)
        yield images, (labels - first_label if first_label else labels).astype(dataset.label_type)
    if not count:
        raise InputError(f"{source}: no images")


def advice(label: int, allowed: range) -> str:
    """Return what to do about a label that is out of range; empty if that is not obvious."""
    if not allowed.start and label == allowed.stop:
        return "; if labels count from 1, say so with download.first_label: 1"
    return ""


def _kind(shape: Sequence[int]) -> str:
    """Return the shape of an image as text."""
    channels = "grey" if len(shape) == 2 else f"{shape[2]}-channel"
    return f"{channels} images of {shape[0]}x{shape[1]}"


def gathered(blocks: Blocks) -> tuple[Uint8, Labels]:
    """Return all images and labels of a file that fits into the memory; `checked` has some."""
    images, labels = zip(*blocks, strict=True)
    return np.concatenate(images), np.concatenate(labels)
