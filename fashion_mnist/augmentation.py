"""Changes training images at random, so that a model sees each of them in several forms."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fashion_mnist.idx import SIDE
from fashion_mnist.params import Section
from fashion_mnist.prepared import Float32

# Which draw, in the seed of its generator. That of the order has no such number.
FLIPS, SHIFTS, ERASED = 1, 2, 3


class Augmentation(Section):
    """What is done to the training images.

    flip:
        Mirror left to right: no image (`none`), half of them (`random`), or half of them in the
        first epoch, the other half in the second, and so on (`alternating`), so that two epochs
        show every image in both forms, where chance shows half of them twice in the same
        (Jordan 2024, https://arxiv.org/abs/2404.00498).
    shift:
        Move by up to so many pixels up or down and left or right; the edge fills the gap
        (https://github.com/davidcpage/cifar10-fast).
    erase:
        Put the image's mean in place of a square with sides of so many pixels, whose centre is
        anywhere in the image ("cutout", DeVries and Taylor 2017,
        https://arxiv.org/abs/1708.04552).
    """

    flip: Literal["none", "random", "alternating"] = "none"
    shift: int = Field(default=0, ge=0, lt=SIDE)
    erase: int = Field(default=0, ge=0, le=SIDE)


class Changes(NamedTuple):
    """What happens to each of n images.

    Whether it is mirrored (n,) bool; its shift down and right (n, 2) int64; the first row and
    column of what is erased (n, 2) int64, and how many of them.
    """

    flipped: NDArray[np.bool_]
    shifts: NDArray[np.int64]
    erased: NDArray[np.int64]
    side: int

    def of(self, rows: NDArray[np.int64]) -> "Changes":
        """Return those of the images at `rows`."""
        return Changes(self.flipped[rows], self.shifts[rows], self.erased[rows], self.side)


def draw(augmentation: Augmentation, images: int, seed: int, epoch: int) -> Changes:
    """Return what happens to each of so many images in `epoch`, counted from 0.

    It depends on nothing else, neither on the batches nor on the epochs before.
    """
    if augmentation.flip == "none":
        flipped = np.zeros(images, bool)
    elif augmentation.flip == "random":
        flipped = np.random.default_rng([seed, epoch, FLIPS]).random(images) < 0.5
    else:
        first = np.random.default_rng([seed, 0, FLIPS]).random(images) < 0.5
        flipped = first ^ (epoch % 2 == 1)
    reach, side = augmentation.shift, augmentation.erase
    generator = np.random.default_rng([seed, epoch, SHIFTS])
    shifts = generator.integers(-reach, reach, (images, 2), endpoint=True)
    centres = np.random.default_rng([seed, epoch, ERASED]).integers(0, SIDE, (images, 2))
    return Changes(flipped, shifts, centres - side // 2, side)


def change(images: Float32, changes: Changes) -> Float32:
    """Return images (n, height, width, 1) with their changes made."""
    count, height, width, _ = images.shape
    # A place outside the image is the nearest one inside it.
    y = np.clip(np.arange(height) - changes.shifts[:, :1], 0, height - 1)
    x = np.clip(np.arange(width) - changes.shifts[:, 1:], 0, width - 1)
    x = np.where(changes.flipped[:, None], x[:, ::-1], x)
    changed: Float32 = images[np.arange(count)[:, None, None], y[:, :, None], x[:, None, :]]
    if changes.side:
        rows, columns = (
            (np.arange(length) >= start) & (np.arange(length) < start + changes.side)
            for length, start in ((height, changes.erased[:, :1]), (width, changes.erased[:, 1:]))
        )
        square = (rows[:, :, None] & columns[:, None, :])[..., None]
        changed = np.where(square, changed.mean(axis=(1, 2, 3), keepdims=True), changed)
    return changed
