"""Chooses the images of an epoch: those that the model finds hard, and some of the others."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fashion_mnist.data.prepared import Float32
from fashion_mnist.params import Section


class Selection(Section):
    """Which images an epoch trains on.

    Most images of clothing are soon easy, and hardly change the model any more. To train on those
    with the highest loss instead is an idea of Loshchilov and Hutter (2015,
    https://arxiv.org/abs/1511.06343); that some of the others stay, and weigh more, so that what is
    minimized remains the loss of all images, is one of Qin et al. (2024,
    https://arxiv.org/abs/2303.04947, "InfoBatch").

    share:
        Of all images.
    hardest:
        Of the chosen ones, the share with the highest losses when last trained on. Images that were
        not trained on yet come before all others.
    """

    share: Annotated[float, Field(gt=0, lt=1)]
    hardest: Annotated[float, Field(ge=0, lt=1)] = 0.5


def choose(
    selection: Selection, losses: Float32, generator: np.random.Generator
) -> tuple[NDArray[np.int64], Float32]:
    """Return the rows of the images of an epoch (k,) in random order, and their weights (k,).

    The weights have a mean of 1, and the weighted mean of any score of these images estimates its
    mean over all images without bias.

    Args:
        selection: How many.
        losses: Of each image (n,) when it was last trained on, infinite if it was not.
        generator: Of random numbers.
    """
    count = len(losses)
    chosen = max(1, round(selection.share * count))
    # Before any image was trained on, none is known to be hard.
    hard = round(selection.hardest * chosen) if np.isfinite(losses).any() else 0
    rows = generator.permutation(count)  # so that equal losses stand in no order
    rows = rows[np.argsort(-losses[rows], kind="stable")]
    rest = generator.choice(rows[hard:], chosen - hard, replace=False)
    rows = np.concatenate([rows[:hard], rest])
    # Each of the rest stands for several.
    weights = np.ones(chosen, np.float32)
    weights[hard:] = (count - hard) / (chosen - hard)
    order = generator.permutation(chosen)
    return rows[order], weights[order] * np.float32(chosen / count)
