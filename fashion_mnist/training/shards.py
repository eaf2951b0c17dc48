"""Trains a model on slices of each batch, so that the bytes do not depend on the number of cores.

How a sum is split among threads decides how it is rounded, so here the recipe splits it. A step
cuts its batch into slices. The forward and backward pass of a slice is a pure function, each of
whose operations runs on one thread. The results are combined in the order of the slices. How many
slices run at the same time changes nothing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from fashion_mnist.data.prepared import Float32

Batch = tuple[tf.Tensor, ...]  # images, labels, and weights if they are trained on

# Name of the variables from which Keras's layers draw: a seed, and a counter of draws.
SEED = "seed_generator_state"
# Seeds of the slices of one step are this far apart: 2**32 divided by the golden ratio.
SEED_DISTANCE = 0x9E3779B9


class Pass(NamedTuple):
    """Result of a forward and backward pass of n images.

    outputs: probabilities (n, classes).
    losses: loss of each image (n,), unweighted.
    loss: the images' share of the batch's loss ().
    gradients: gradients of `loss`, one for each trainable variable.
    state: new values of the variables that the pass updates, such as BatchNorm's averages, by their
        place among the variables that are not trainable.
    """

    outputs: tf.Tensor
    losses: tf.Tensor
    loss: tf.Tensor
    gradients: list[tf.Tensor]
    state: dict[int, tf.Tensor]


class ShardedModel(keras.Model):  # type: ignore[misc]
    """A model that shares layers and weights with another one and trains it slice by slice.

    Each slice normalizes by its own statistics ("ghost batch normalization", Hoffer et al. 2017,
    https://arxiv.org/abs/1705.08741), and its layers draw from seeds of its own. With one slice, a
    step is that of `keras.Model`. The loss of each image is recorded.

    Args:
        model: The other model.
        shards: Number of slices; their sizes differ by at most one. A batch of fewer images is one
            slice.
        images: Number of images per epoch.
    """

    def __init__(self, model: keras.Model, shards: int, images: int) -> None:
        super().__init__(model.inputs, model.outputs[0])
        self.network = model
        self.shards = shards
        self.losses_by_image = keras.Variable(np.zeros(images, np.float32), trainable=False)
        self.count = keras.Variable(0, dtype="int32", trainable=False)
        # TensorFlow optimizes a function that it does not inline by itself, so that its rounding
        # does not depend on the graph around it.
        alone = {"experimental_attributes": {"_noinline": True}, "autograph": False}
        self.passed = tf.function(self._passed, **alone)
        self.scored = tf.function(self._scored, **alone)

    def begin(self) -> None:
        """Forget the losses of the last epoch."""
        self.count.assign(0)

    def recorded(self) -> Float32:
        """Return the losses since `begin`, unweighted, in the order of training."""
        losses: Float32 = np.asarray(self.losses_by_image)[: int(self.count)]
        return losses

    def train_step(self, data: Any) -> dict[str, Any]:
        """Update the weights by a batch, and return the scores of the epoch so far."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        size = tf.shape(images)[0]
        each = tf.ones(size) if weights is None else weights
        found = self._in_slices((images, labels, each), self._trained)
        for place, value in found.state.items():
            self.network.non_trainable_variables[place].assign(value)
        self.optimizer.apply(found.gradients, self.network.trainable_variables)
        places = self.count + tf.range(size)
        self.losses_by_image.assign(
            tf.tensor_scatter_nd_update(self.losses_by_image, places[:, None], found.losses)
        )
        self.count.assign_add(size)
        return self._scores(labels, found.outputs, weights, found.loss)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Score a batch slice by slice, and return the scores of the data so far."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        outputs, losses = self._in_slices((images, labels), self._predicted)
        return self._scores(labels, outputs, weights, tf.reduce_mean(losses))

    def _in_slices(self, batch: Batch, step: Callable[[list[Batch]], Any]) -> Any:
        """Return what a step makes of the slices of a batch; there are no empty slices."""
        return tf.cond(
            tf.shape(batch[0])[0] < self.shards,
            lambda: step([batch]),
            lambda: step(cut(batch, self.shards)),
        )

    def _predicted(self, slices: list[Batch]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the probabilities (n, classes) and losses (n,) of a batch of n images."""
        outputs, losses = zip(*(self.scored(*part) for part in slices), strict=True)
        return tf.concat(outputs, 0), tf.concat(losses, 0)

    def _trained(self, slices: list[Batch]) -> Pass:
        """Return the pass of a batch, combined from those of its slices."""
        trainable = [variable.value for variable in self.network.trainable_variables]
        variables = self.network.non_trainable_variables
        state = [variable.value for variable in variables]
        size = tf.add_n([tf.shape(images)[0] for images, _, _ in slices])
        share = tf.constant(1 / len(slices))
        passes = [
            self.passed(trainable, with_own_seeds(variables, number), size, share, *part)
            for number, part in enumerate(slices)
        ]
        outputs, losses, loss, gradients, states = zip(*passes, strict=True)
        return Pass(
            outputs=tf.concat(outputs, 0),
            losses=tf.concat(losses, 0),
            loss=tf.add_n(loss),
            gradients=[tf.add_n(one) for one in zip(*gradients, strict=True)],
            state={
                place: tf.add_n([one[place] for one in states]) * share
                # The seeds of the first slice are those with which the step began.
                if state[place].dtype.is_floating
                else value
                for place, value in states[0].items()
            },
        )

    def _passed(
        self,
        trainable: list[tf.Tensor],
        state: list[tf.Tensor],
        size: tf.Tensor,
        share: tf.Tensor,
        images: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor,
    ) -> Pass:
        """Return the pass of a slice, which changes no variable.

        Args:
            trainable: Values of the trainable variables.
            state: Values of the others, with this slice's seeds.
            size: Images in the batch ().
            share: The slice's share of losses that do not come from images, such as a penalty for
                large weights ().
            images: Images of the slice (n, height, width, channels).
            labels: Their labels.
            weights: Their weights in the loss (n,).
        """
        with tf.GradientTape() as tape:
            tape.watch(trainable)
            outputs, updated, others = self.network.stateless_call(
                trainable, state, images, training=True, return_losses=True
            )
            losses = keras.losses.get(self.loss)(labels, outputs)
            loss = tf.reduce_sum(losses * weights) / tf.cast(size, losses.dtype)
            loss += share * tf.add_n(others) if others else 0
        zero = tf.UnconnectedGradients.ZERO
        return Pass(
            outputs=outputs,
            losses=losses,
            loss=loss,
            gradients=tape.gradient(loss, trainable, unconnected_gradients=zero),
            state={
                place: new
                for place, (old, new) in enumerate(zip(state, updated, strict=True))
                if new is not old
            },
        )

    def _scored(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return probabilities (n, classes) and losses (n,) of a slice."""
        outputs = self.network(images, training=False)
        return outputs, keras.losses.get(self.loss)(labels, outputs)

    def _scores(self, labels: Any, outputs: Any, weights: Any, loss: Any) -> dict[str, Any]:
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=tf.shape(outputs)[0])
            else:
                metric.update_state(labels, outputs, sample_weight=weights)
        scores: dict[str, Any] = self.get_metrics_result()
        return scores


def cut(batch: Batch, shards: int) -> list[Batch]:
    """Cut each part of a batch into slices, of which the first may be longer by one image."""
    size = tf.shape(batch[0])[0]
    sizes = size // shards + tf.cast(tf.range(shards) < size % shards, size.dtype)
    return list(zip(*(tf.split(part, sizes, num=shards) for part in batch), strict=True))


def with_own_seeds(variables: list[keras.Variable], number: int) -> list[tf.Tensor]:
    """Return the values of variables, with the seeds of slice `number`."""
    distance = tf.constant([number * SEED_DISTANCE, 0], tf.int64)
    return [
        variable.value + tf.cast(distance, variable.dtype)
        if variable.name == SEED
        else variable.value
        for variable in variables
    ]
