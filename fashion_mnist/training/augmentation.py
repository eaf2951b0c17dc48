"""Changes training images at random, so that a model sees each of them in several forms."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fashion_mnist.data.prepared import Float32
from fashion_mnist.dataset import SIDE
from fashion_mnist.params import Section

# Which draw, in the seed of its generator. That of the order has no such number.
FLIPS, SHIFTS = 1, 2


class Augmentation(Section):
    """What is done to the training images.

    flip:
        Mirror an image left to right, or not, with equal chances.
    shift:
        Move by up to so many pixels up or down and left or right; the edge fills the gap
        (https://github.com/davidcpage/cifar10-fast).
    """

    flip: bool = False
    shift: int = Field(default=0, ge=0, lt=SIDE)


class Changes(NamedTuple):
    """What happens to each of n images.

    Whether it is mirrored (n,) bool, and its shift down and right (n, 2) int64.
    """

    flipped: NDArray[np.bool_]
    shifts: NDArray[np.int64]

    def of(self, rows: NDArray[np.int64]) -> "Changes":
        """Return those of the images at `rows`."""
        return Changes(self.flipped[rows], self.shifts[rows])


def draw(augmentation: Augmentation, images: int, seed: int, epoch: int) -> Changes:
    """Return what happens to each of so many images in `epoch`, counted from 0.

    It depends on nothing else, neither on the batches nor on the epochs before.
    """
    flipped = np.zeros(images, bool)
    if augmentation.flip:
        flipped = np.random.default_rng([seed, epoch, FLIPS]).random(images) < 0.5
    reach = augmentation.shift
    generator = np.random.default_rng([seed, epoch, SHIFTS])
    return Changes(flipped, generator.integers(-reach, reach, (images, 2), endpoint=True))


def change(images: Float32, changes: Changes) -> Float32:
    """Return images (n, height, width, 1) with their changes made."""
    count, height, width, _ = images.shape
    # A place outside the image is the nearest one inside it.
    y = np.clip(np.arange(height) - changes.shifts[:, :1], 0, height - 1)
    x = np.clip(np.arange(width) - changes.shifts[:, 1:], 0, width - 1)
    x = np.where(changes.flipped[:, None], x[:, ::-1], x)
    changed: Float32 = images[np.arange(count)[:, None, None], y[:, :, None], x[:, None, :]]
    return changed
