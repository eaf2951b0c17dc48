"""Runs passes of shards on one machine of a cluster; keeps nothing from step to step."""

import os
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fashion_mnist import determinism, models
from fashion_mnist.training.losses import Loss, smoothed

Arrays = list[NDArray[Any]]


class Network(NamedTuple):
    """What the passes of a training are made of.

    shape, classes: height, width and channels of an image, and number of classes. The other fields
    are keys of section `train` of params.yaml.
    """

    model: str
    arguments: dict[str, Any] | None
    shape: models.Shape
    classes: int
    loss: Loss
    label_smoothing: float


class Worker:
    """Builds the network once, and runs passes with the weights that it is given.

    Args:
        network: The network and its loss.
        cores: Number of cores to work with.
    """

    def __init__(self, network: Network, cores: int) -> None:
        os.environ[determinism.CORES] = str(cores)
        determinism.start(0)  # no pass draws from a global generator

        import tensorflow as tf

        from fashion_mnist.training.shards import ShardedModel

        network_model = models.build(
            network.model, network.arguments, network.shape, network.classes
        )
        model = ShardedModel(network_model, shards=1, images=1)
        model.compile(loss=smoothed(network.loss, network.label_smoothing))

        # Not a method, to which Ray would add an argument.
        def results(training: bool, trainable: Any, passes: Any) -> Any:
            return model.run_here(training, [(trainable, *others) for others in passes])

        self.graph = tf.function(results, autograph=False)

    def run(self, training: bool, trainable: Arrays, passes: list[list[Any]]) -> list[Arrays]:
        """Return the results of passes, each as its arrays in the order of `tf.nest.flatten`.

        Args:
            training: Whether to run them as in training, and backward too.
            trainable: Values of the trainable variables.
            passes: The other arguments of `ShardedModel._forward` for each shard.
        """
        import tensorflow as tf

        tensors = tf.nest.map_structure(tf.constant, [trainable, passes])
        graph = self.graph.get_concrete_function(training, *_signature(*tensors))
        results = graph(*tf.nest.flatten(tensors))
        return [[part.numpy() for part in tf.nest.flatten(result)] for result in results]


def _signature(trainable: Any, passes: Any) -> Any:
    """Return the types of the arguments, with shards of any size.

    So they are in `Model.fit` too; operations for a known size would round differently.
    """
    import tensorflow as tf

    def any_size(part: Any) -> Any:
        return tf.TensorSpec((None, *part.shape[1:]), part.dtype)

    exact = tf.TensorSpec.from_tensor
    return (
        [exact(value) for value in trainable],
        [
            [*tf.nest.map_structure(exact, [state, size, share]), *map(any_size, batch)]
            for state, size, share, *batch in passes
        ],
    )
