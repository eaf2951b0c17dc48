"""Trains one model with the shards of each batch on the machines of a cluster."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from cluster import session
from cluster.session import Node
from cluster.worker import Arrays, Network, Worker
from fashion_mnist.errors import InputError, reason
from fashion_mnist.training.shards import Pass, Result, ShardedModel

# Of all workers of a training together, on machines that are still there.
RESTARTS = 3


@contextmanager
def on_cluster(model: ShardedModel, network: Network) -> Iterator[None]:
    """Let the shards of a model run on the cluster that RAY_ADDRESS names, until the block ends.

    Args:
        model: The model, before its first step.
        network: What it consists of.

    Raises:
        InputError: See `session.connected` and `Workers`.
    """
    with session.connected() as machines:
        workers = Workers(machines.nodes, partial(start, network))
        model.run_passes = partial(run_passes, model, workers)
        try:
            yield
        except tf.errors.OpError:
            if workers.failure:  # TensorFlow shows its text alone
                raise workers.failure from None
            raise


def start(network: Network, node: Node) -> Any:
    """Return a new worker on a machine, an actor of Ray that has all its cores."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node.id, soft=False)
    actor = ray.remote(num_cpus=node.cores, scheduling_strategy=there)(Worker)
    return actor.remote(network, node.cores)


class Workers:
    """A worker on each machine of a cluster; the others do the work of one that dies.

    Args:
        nodes: The machines.
        start: Returns a new worker on a machine.

    Raises:
        InputError: A worker did not start.
    """

    def __init__(self, nodes: Sequence[Node], start: Callable[[Node], Any]) -> None:
        import ray

        self.start = start
        self.restarts = RESTARTS
        self.failure: InputError | None = None
        _say(f"starts workers on {_count(len(nodes))}")
        self.alive = {node: self.start(node) for node in nodes}
        try:
            ray.get([worker.__ray_ready__.remote() for worker in self.alive.values()])
        except ray.exceptions.RayError as error:
            raise InputError(f"a worker did not start: {reason(error)}") from error

    def run(self, training: bool, trainable: Arrays, passes: Sequence[Pass]) -> list[Arrays]:
        """Return the results of passes in their order: see `Worker.run`.

        Raises:
            InputError: No worker is left.
        """
        import ray

        weights = ray.put(trainable)
        found: dict[int, Arrays] = {}
        while missing := [number for number in range(len(passes)) if number not in found]:
            if not self.alive:
                self.failure = InputError(
                    "every machine of the cluster is gone; run the same command again: "
                    "the training resumes after its last finished epoch"
                )
                raise self.failure
            parts = [missing[rank :: len(self.alive)] for rank in range(len(self.alive))]
            at_work = {
                node: (part, worker.run.remote(training, weights, [passes[i] for i in part]))
                for (node, worker), part in zip(self.alive.items(), parts, strict=True)
                if part
            }
            for node, (part, results) in at_work.items():
                try:
                    found |= zip(part, ray.get(results), strict=True)
                except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError):
                    self._replace(node)
        return [found[number] for number in range(len(passes))]

    def _replace(self, node: Node) -> None:
        """Start a dead worker again if its machine is still there."""
        import ray

        del self.alive[node]
        if self.restarts and any(one["NodeID"] == node.id for one in ray.nodes() if one["Alive"]):
            self.restarts -= 1
            self.alive[node] = self.start(node)
        _say(f"the worker on {node.name} died; the step resumes on {_count(len(self.alive))}")


def run_passes(
    model: ShardedModel, workers: Workers, training: bool, passes: Sequence[Pass]
) -> list[Result]:
    """Return what `ShardedModel.run_here` returns, computed by workers."""
    # All passes return tensors of the same types.
    one = model.function(training).get_concrete_function(*passes[0]).structured_outputs
    types = tf.nest.flatten(one)
    sent = [passes[0][0], [others for _, *others in passes]]

    def exchange(*tensors: Any) -> Arrays:
        arrays = [tensor.numpy() for tensor in tensors]
        results = workers.run(training, *tf.nest.pack_sequence_as(sent, arrays))
        # Arrays from Ray are views of its memory, which TensorFlow would keep.
        return [np.array(part) for result in results for part in result]

    received = tf.py_function(
        exchange, tf.nest.flatten(sent), [part.dtype for part in types] * len(passes)
    )
    results = []
    for first in range(0, len(received), len(types)):
        parts = received[first : first + len(types)]
        for part, expected in zip(parts, types, strict=True):
            part.set_shape(expected.shape)
        results.append(tf.nest.pack_sequence_as(one, parts))
    return results


def _count(machines: int) -> str:
    return f"{machines} machine" + "s" * (machines != 1)


def _say(text: str) -> None:
    print(f"train: {text}", file=sys.stderr, flush=True)
