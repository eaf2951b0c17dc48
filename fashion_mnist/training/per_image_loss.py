"""Records the loss of each image while a model trains."""

from typing import Any

import keras
import numpy as np
from keras import ops

from fashion_mnist.data.prepared import Float32


class LossRecorder(keras.Model):  # type: ignore[misc]
    """A model that shares layers and weights with another one and records each image's loss.

    Args:
        model: The other model; training the recorder trains it.
        images: Number of images per epoch.
    """

    def __init__(self, model: keras.Model, images: int) -> None:
        super().__init__(model.inputs, model.outputs[0])
        self.losses_by_image = keras.Variable(np.zeros(images, np.float32), trainable=False)
        self.count = keras.Variable(0, dtype="int32", trainable=False)

    def begin(self) -> None:
        """Forget the losses of the last epoch."""
        self.count.assign(0)

    def recorded(self) -> Float32:
        """Return the losses since `begin`, unweighted, in the order of training."""
        losses: Float32 = np.asarray(self.losses_by_image)[: int(self.count)]
        return losses

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of a batch; Keras calls this in each step."""
        if training:
            losses = keras.losses.get(self.loss)(y, y_pred)
            size = ops.shape(losses)[0]
            places = self.count + ops.arange(size)
            self.losses_by_image.assign(
                ops.scatter_update(self.losses_by_image, places[:, None], losses)
            )
            self.count.assign_add(size)
        return super().compute_loss(x, y, y_pred, sample_weight, training)
