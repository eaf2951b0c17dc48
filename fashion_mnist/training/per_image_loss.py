"""Keeps the loss of each image while a model trains."""

from typing import Any

import keras
import numpy as np
from keras import ops

from fashion_mnist.data.prepared import Float32


class Recorder(keras.Model):  # type: ignore[misc]
    """A model with the layers and weights of another one, whose training keeps each image's loss.

    Args:
        model: Which one; to train the recorder is to train it.
        images: How many an epoch has.
    """

    def __init__(self, model: keras.Model, images: int) -> None:
        super().__init__(model.inputs, model.outputs[0])
        self.kept = keras.Variable(np.zeros(images, np.float32), trainable=False)
        self.count = keras.Variable(0, dtype="int32", trainable=False)

    def begin(self) -> None:
        """Forget the losses of the epoch before."""
        self.count.assign(0)

    def recorded(self) -> Float32:
        """Return the losses since `begin`, unweighted, in the order of training."""
        kept: Float32 = np.asarray(self.kept)[: int(self.count)]
        return kept

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of a batch, as Keras asks for it."""
        if training:
            losses = keras.losses.get(self.loss)(y, y_pred)
            size = ops.shape(losses)[0]
            places = self.count + ops.arange(size)
            self.kept.assign(ops.scatter_update(self.kept, places[:, None], losses))
            self.count.assign_add(size)
        return super().compute_loss(x, y, y_pred, sample_weight, training)
