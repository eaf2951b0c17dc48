"""Losses that params.yaml offers, and label smoothing."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

# Losses with `sparse` in their name take classes as integers, the others one-hot rows.
Loss = Literal[
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "mean_squared_error",
    "sparse_categorical_crossentropy",
]


def smoothed(loss: Loss, label_smoothing: float) -> Loss | Callable[..., Any]:
    """Return the loss with smoothed labels, in the form that `keras.Model.compile` takes.

    A share of a smoothed label's weight is spread evenly over all classes (Szegedy et al. 2016,
    https://arxiv.org/abs/1512.00567).

    Args:
        loss: Its name in Keras.
        label_smoothing: That share, 0 or more and below 1.
    """
    if not label_smoothing:
        return loss
    import keras

    return partial(keras.losses.get(loss), label_smoothing=label_smoothing)
