"""Changes training images at random, so that a model sees each of them in several forms."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fashion_mnist.data.prepared import Float32
from fashion_mnist.params import Section

# Purpose of a draw, the last number in the seed of its generator. The order's seed has none.
FLIPS, SHIFTS = 1, 2


class Augmentation(Section):
    """How training images are changed.

    flip:
        Mirror an image left to right with probability 1/2.
    shift:
        Move an image by up to this many pixels vertically and horizontally; the edge fills the
        gap (https://github.com/davidcpage/cifar10-fast).
    """

    flip: bool = False
    shift: int = Field(default=0, ge=0)


class Changes(NamedTuple):
    """Changes to n images: mirrored or not (n,) bool, and pixels down and right (n, 2) int64."""

    flipped: NDArray[np.bool_]
    shifts: NDArray[np.int64]

    def of(self, rows: NDArray[np.int64]) -> "Changes":
        """Return the changes to the images at `rows`."""
        return Changes(self.flipped[rows], self.shifts[rows])


def draw(augmentation: Augmentation, images: int, seed: int, epoch: int) -> Changes:
    """Return the changes to each image in an epoch.

    They depend on nothing else, neither on the batches nor on earlier epochs.

    Args:
        augmentation: What to draw.
        images: Number of images.
        seed: Seed of the training.
        epoch: The epoch, from 0.
    """
    flipped = np.zeros(images, bool)
    if augmentation.flip:
        flipped = np.random.default_rng([seed, epoch, FLIPS]).random(images) < 0.5
    reach = augmentation.shift
    generator = np.random.default_rng([seed, epoch, SHIFTS])
    return Changes(flipped, generator.integers(-reach, reach, (images, 2), endpoint=True))


def apply(changes: Changes, images: Float32) -> Float32:
    """Return images (n, height, width, channels) with their changes made."""
    count, height, width, _ = images.shape
    # Outside the image, the nearest pixel inside it counts.
    y = np.clip(np.arange(height) - changes.shifts[:, :1], 0, height - 1)
    x = np.clip(np.arange(width) - changes.shifts[:, 1:], 0, width - 1)
    x = np.where(changes.flipped[:, None], x[:, ::-1], x)
    changed: Float32 = images[np.arange(count)[:, None, None], y[:, :, None], x[:, None, :]]
    return changed
