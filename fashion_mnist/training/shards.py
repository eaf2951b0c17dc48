"""Trains a model on shards of each batch, so that the bytes do not depend on the number of cores.

How a sum is split among threads decides how it is rounded, so here the recipe splits it. A step
cuts its batch into shards. The forward and backward pass of a shard is a pure function, each of
whose operations runs on one thread. The results are combined in the order of the shards. How many
shards are at work at the same time, and on which machine, changes nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from fashion_mnist.data.prepared import Float32
from fashion_mnist.errors import InputError

Batch = tuple[tf.Tensor, ...]  # images, labels and weights in the loss

# Name of the variables from which Keras's layers draw: a seed, and a counter of draws.
SEED = "seed_generator_state"
# Seeds of the shards of one step are this far apart: 2**32 divided by the golden ratio.
SEED_DISTANCE = 0x9E3779B9


class Result(NamedTuple):
    """Result of the pass of a shard, or of a batch, of n images.

    outputs: probabilities (n, classes).
    losses: loss of each image (n,), unweighted.
    loss: the shard's part of the batch's loss ().
    gradients: gradients of `loss`, one for each trainable variable; none without a backward pass.
    updates: new values of the variables that the pass changes, such as BatchNorm's averages, by
        their place among the variables that are not trainable.
    """

    outputs: tf.Tensor
    losses: tf.Tensor
    loss: tf.Tensor
    gradients: list[tf.Tensor]
    updates: dict[int, tf.Tensor]


# A pass is the arguments of `ShardedModel._forward`, in the order in which they stand there.
Pass = tuple[Any, ...]
RunPasses = Callable[[bool, Sequence[Pass]], list[Result]]


class ShardedModel(keras.Model):  # type: ignore[misc]
    """A model that shares layers and weights with another one and trains it shard by shard.

    Each shard normalizes by its own statistics ("ghost batch normalization", Hoffer et al. 2017,
    https://arxiv.org/abs/1705.08741), and its layers draw from seeds of its own, if their seeds are
    in a `keras.random.SeedGenerator`. With one shard, a step is that of `keras.Model`, except that
    a weight without a gradient gets one of zero. The loss of each image is recorded; call `begin`
    before each epoch. `run_passes` may be replaced before `fit` by what runs the passes elsewhere.

    Args:
        model: The other model. Variables that a training pass changes must be averages or seeds.
        shards: Number of shards; their sizes differ by at most one. A batch of fewer images is one
            shard.
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
        self.forward = tf.function(self._forward, **alone)
        self.forward_backward = tf.function(self._forward_backward, **alone)
        self.run_passes: RunPasses = self.run_here

    def begin(self) -> None:
        """Forget the losses of the last epoch."""
        self.count.assign(0)

    def recorded(self) -> Float32:
        """Return the losses since `begin`, unweighted, in the order of training."""
        losses: Float32 = np.asarray(self.losses_by_image)[: int(self.count)]
        return losses

    def train_step(self, data: Any) -> dict[str, Any]:
        """Update the weights by a batch, and return the scores of the epoch so far."""
        result = self._in_shards(data, training=True)
        for place, value in result.updates.items():
            self.network.non_trainable_variables[place].assign(value)
        self.optimizer.apply(result.gradients, self.network.trainable_variables)
        size = tf.size(result.losses)
        places = self.count + tf.range(size)
        self.losses_by_image.assign(
            tf.tensor_scatter_nd_update(self.losses_by_image, places[:, None], result.losses)
        )
        self.count.assign_add(size)
        return self._update_metrics(data, result)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Score a batch, and return the scores of the data so far."""
        return self._update_metrics(data, self._in_shards(data, training=False))

    def run_here(self, training: bool, passes: Sequence[Pass]) -> list[Result]:
        """Return the results of the passes of shards.

        Args:
            training: Whether to run them as in training, and backward too.
            passes: Arguments of `_forward` for each shard.
        """
        return [self.function(training)(*arguments) for arguments in passes]

    def function(self, training: bool) -> Any:
        """Return the `tf.function` of a pass: see `run_here`."""
        return self.forward_backward if training else self.forward

    def _in_shards(self, data: Any, training: bool) -> Result:
        """Return the result of a batch, of whose shards none is empty."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        size = tf.shape(images)[0]
        batch = images, labels, tf.ones(size) if weights is None else weights
        result: Result = tf.cond(
            size < self.shards,
            lambda: self._combined([batch], training, size),
            lambda: self._combined(cut(batch, self.shards), training, size),
        )
        return result

    def _combined(self, shards: list[Batch], training: bool, size: tf.Tensor) -> Result:
        """Return the result of a batch of `size` images, combined from those of its shards."""
        trainable = [variable.value for variable in self.network.trainable_variables]
        variables = self.network.non_trainable_variables
        share = tf.constant(1 / len(shards))
        passes = [
            (trainable, with_own_seeds(variables, number), size, share, *shard)
            for number, shard in enumerate(shards)
        ]
        results = self.run_passes(training, passes)
        outputs, losses, loss, gradients, updates = zip(*results, strict=True)
        return Result(
            outputs=tf.concat(outputs, 0),
            losses=tf.concat(losses, 0),
            loss=sum_in_order(loss),
            gradients=[sum_in_order(one) for one in zip(*gradients, strict=True)],
            updates={
                place: combined_update(variables[place], [one[place] for one in updates])
                for place in updates[0]
            },
        )

    def _forward(
        self,
        trainable: list[tf.Tensor],
        state: list[tf.Tensor],
        size: tf.Tensor,
        share: tf.Tensor,
        images: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor,
        *,
        training: bool = False,
    ) -> Result:
        """Return the result of a shard without a backward pass. No variable changes.

        Args:
            trainable: Values of the trainable variables.
            state: Values of the others, with this shard's seeds.
            size: Images in the batch ().
            share: Part of the layers' own losses, such as a penalty for large weights, that falls
                to this shard ().
            images: Images of the shard (n, height, width, channels).
            labels: Their labels.
            weights: Their weights in the loss (n,).
            training: Whether layers are to work as in training.
        """
        outputs, updated, penalties = self.network.stateless_call(
            trainable, state, images, training=training, return_losses=True
        )
        losses = keras.losses.get(self.loss)(labels, outputs)
        loss = tf.reduce_sum(losses * weights) / tf.cast(size, losses.dtype)
        if penalties:
            loss += share * tf.add_n(penalties)
        changed = enumerate(zip(state, updated, strict=True))
        updates = {place: new for place, (old, new) in changed if new is not old}
        return Result(outputs, losses, loss, [], updates)

    def _forward_backward(self, trainable: list[tf.Tensor], *arguments: Any) -> Result:
        """Return the result of a shard; the arguments are those of `_forward`."""
        with tf.GradientTape() as tape:
            tape.watch(trainable)
            result = self._forward(trainable, *arguments, training=True)
        zero = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(result.loss, trainable, unconnected_gradients=zero)
        return result._replace(gradients=gradients)

    def _update_metrics(self, data: Any, result: Result) -> dict[str, Any]:
        _, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(result.loss, sample_weight=tf.size(result.losses))
            else:
                metric.update_state(labels, result.outputs, sample_weight=weights)
        scores: dict[str, Any] = self.get_metrics_result()
        return scores


def cut(batch: Batch, shards: int) -> list[Batch]:
    """Cut each part of a batch into shards, of which the first ones may be longer by one image."""
    size = tf.shape(batch[0])[0]
    sizes = size // shards + tf.cast(tf.range(shards) < size % shards, size.dtype)
    return list(zip(*(tf.split(part, sizes, num=shards) for part in batch), strict=True))


def with_own_seeds(variables: list[keras.Variable], number: int) -> list[tf.Tensor]:
    """Return the values of variables, with the seeds of shard `number`."""
    distance = tf.constant([number * SEED_DISTANCE, 0], tf.int64)
    return [
        variable.value + tf.cast(distance, variable.dtype)
        if variable.name == SEED
        else variable.value
        for variable in variables
    ]


def combined_update(variable: keras.Variable, values: list[tf.Tensor]) -> tf.Tensor:
    """Return the new value of a variable from its values after each shard.

    Raises:
        InputError: It is neither an average nor a seed.
    """
    if variable.name == SEED:
        return values[0]  # whose seeds are those with which the step began
    if len(values) > 1 and not values[0].dtype.is_floating:
        raise InputError(
            f"train.shards: got {len(values)}, expected 1, since the model counts in a variable, "
            f"{variable.path}"
        )
    return sum_in_order(values) / len(values)


def sum_in_order(values: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the sum of tensors of one shape, rounded in a way that their order alone decides.

    `tf.add_n` is rounded in the order of the names of the operations that made its inputs, and
    begins with an input whose memory it can reuse.
    """
    stacked = tf.stack(values)
    # A scalar loss is added from the first to the last, as a vectorized sum would not do.
    return tf.cumsum(stacked)[-1] if stacked.shape.rank == 1 else tf.reduce_sum(stacked, 0)
