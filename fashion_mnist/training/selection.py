"""Selects the images of an epoch: those with the highest loss, and some of the others."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fashion_mnist.data.prepared import Float32
from fashion_mnist.params import Section


class Selection(Section):
    """Which images an epoch trains on.

    Most images of clothing soon become easy and hardly change the model. Training on those with
    the highest loss is an idea of Loshchilov and Hutter (2015, https://arxiv.org/abs/1511.06343).
    Keeping some of the others with a higher weight, so that the objective is still the loss over
    all images, is one of Qin et al. (2024, https://arxiv.org/abs/2303.04947, "InfoBatch").

    share:
        Share of all images that an epoch trains on.
    hardest:
        Share of these that had the highest loss when last trained on. Images that were never
        trained on come first. The others are drawn at random and weigh more.
    """

    share: Annotated[float, Field(gt=0, lt=1)]
    hardest: Annotated[float, Field(ge=0, lt=1)] = 0.5


def select(
    selection: Selection, losses: Float32, generator: np.random.Generator
) -> tuple[NDArray[np.int64], Float32]:
    """Return the rows of an epoch's images (k,) in random order, and their weights (k,).

    The weights have a mean of 1. The weighted mean of any score over these images is an unbiased
    estimate of its mean over all images.

    Args:
        selection: How many images to take.
        losses: Loss of each image (n,) when last trained on, infinite if it never was.
        generator: Source of random numbers.
    """
    count = len(losses)
    size = max(1, round(selection.share * count))
    # Before the first epoch, no image is known to be hard.
    hard = round(selection.hardest * size) if np.isfinite(losses).any() else 0
    rows = generator.permutation(count)  # breaks ties at random
    rows = rows[np.argsort(-losses[rows], kind="stable")]
    others = generator.choice(rows[hard:], size - hard, replace=False)
    rows = np.concatenate([rows[:hard], others])
    # Each of the others represents several images.
    weights = np.ones(size, np.float32)
    weights[hard:] = (count - hard) / (size - hard)
    order = generator.permutation(size)
    return rows[order], weights[order] * np.float32(size / count)
