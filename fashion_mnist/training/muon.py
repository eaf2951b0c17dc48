"""Muon for the kernels of convolutions."""

from typing import Any

import keras
from keras import ops


class ConvolutionMuon(keras.optimizers.Muon):  # type: ignore[misc]
    """Keras's Muon, applied to the kernels of convolutions instead of to matrices.

    Muon makes the update of a matrix nearly orthogonal, so that it changes all directions alike.
    Keras applies it to matrices only and leaves kernels of convolutions to AdamW. Its author
    flattens those to (height * width * channels in, channels out) and leaves the matrix of the
    last layer to the other optimizer (Jordan 2024, https://kellerjordan.github.io/posts/muon/).

    Takes the arguments of `keras.optimizers.Muon`. It is not stored with a model.
    """

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        return len(variable.shape) != 4

    def _muon_update_step(self, gradient: Any, variable: keras.Variable, lr: Any, m: Any) -> None:
        self.assign_add(m, gradient + m * (self.momentum - 1))
        update = ops.reshape(gradient + self.momentum * m, (-1, variable.shape[-1]))
        update = self.lr_adjust(self.zeropower_via_newtonschulz5(update, self.ns_steps))
        self.assign_sub(variable, lr * ops.reshape(update, variable.shape))
