"""What a step of a training on a cluster costs apart from its passes, and how far that scales.

Trains the recipe of params.yaml for some steps on workers that compute each answer once and then
repeat it. Such a step takes the time of the exchange, and of all that one machine does alone: the
batch, the sums, the optimizer. Beside that, trains without a cluster. Then computes how many
images per second 1 to 64 machines would train. Writes both tables into docs/cluster.md.

Run `dvc repro preprocess` first, then `python -m benchmarks.exchange`. It starts Ray on this
machine (`make .venv/installed-cluster`).
"""

import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import cluster
from benchmarks import command_line, cores, isolated_training, markdown
from benchmarks.cores import Run
from cluster import session
from cluster.session import Node
from cluster.worker import Arrays, Network, Worker
from fashion_mnist import determinism, marked_table, params
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared
from fashion_mnist.errors import reported
from stages import train

# TensorFlow may load only after its settings are fixed.
if TYPE_CHECKING:
    from fashion_mnist.training.shards import ShardedModel

PAGE = Path("docs/cluster.md")
PICTURE = Path("docs/cluster.png")
BATCHES = (256, 2048, 8192)
SHARDS = (8, 64)
WORKERS = (1, 2, 4)
STEPS = 8
UNTIMED = 2  # steps, in which TensorFlow builds its graph
MACHINE_CORES = 2

MACHINES = (1, 2, 4, 8, 16, 32, 64)
BANDWIDTHS = {"1 Gbit/s": 1.25e8, "10 Gbit/s": 1.25e9, "100 Gbit/s": 1.25e10}  # bytes per second
MEGABYTE = 1e6


class Setting(NamedTuple):
    """Images in a batch, its shards, and workers."""

    batch: int
    shards: int
    workers: int


class Cost(NamedTuple):
    """Seconds of a step, and the bytes of weights, other arguments and results.

    hash: SHA-256 of the trained weights.
    """

    seconds: float
    hash: str
    weights: int
    arguments: int
    results: int

    def exchanged(self, workers: int) -> int:
        """Return the bytes that pass the network connection of the machine that combines."""
        return workers * self.weights + self.arguments + self.results


class Echo(Worker):
    """A worker that computes an answer once and then repeats it."""

    def __init__(self, network: Network, cores: int) -> None:
        super().__init__(network, cores)
        self.answers: dict[tuple[bool, int], list[Arrays]] = {}

    def run(self, training: bool, trainable: Arrays, passes: list[list[Any]]) -> list[Arrays]:
        key = training, len(passes)
        if key not in self.answers:
            self.answers[key] = super().run(training, trainable, passes)
        return self.answers[key]


def measure(setting: Setting, settings: train.Params, data: Prepared, kind: type) -> Cost:
    """Train for some steps with workers of a kind, `Worker` or `Echo`; without any if 0."""
    import keras
    import ray

    from cluster.training import Workers, run_passes
    from fashion_mnist.training.batches import Batches

    settings = settings.model_copy(update={"shards": setting.shards})
    rows = np.resize(np.arange(len(data.images)), STEPS * setting.batch)
    part = Prepared(data.images[rows], data.labels[rows])
    batches = Batches(part, setting.batch, settings.seed, augmentation=settings.augmentation)
    keras.utils.set_random_seed(settings.seed)
    model = isolated_training.recipe_model(settings, batches)
    network = Network(
        settings.model,
        settings.arguments,
        data.images.shape[1:],
        data.labels.shape[1],
        settings.loss,
        settings.label_smoothing,
    )
    exchanged: list[tuple[int, int, int]] = []

    class Counting(Workers):
        def run(self, training: bool, trainable: Arrays, passes: Sequence[Any]) -> list[Arrays]:
            results = super().run(training, trainable, passes)
            exchanged.append((_bytes(trainable), _bytes(passes), _bytes(results)))
            return results

    nodes = [Node(str(number), f"worker {number}", 0) for number in range(setting.workers)]
    workers = Counting(nodes, lambda _: ray.remote(num_cpus=0)(kind).remote(network, 1))
    if nodes:
        model.run_passes = partial(run_passes, model, workers)
    seconds = statistics.median(_durations(model, batches)[UNTIMED:])
    for actor in workers.alive.values():
        ray.kill(actor)
    print(f"{setting}: {1000 * seconds:.0f} ms", file=sys.stderr, flush=True)
    weights = isolated_training.weights_hash(model.network)
    return Cost(seconds, weights, *(exchanged[-1] if exchanged else (0, 0, 0)))


def _durations(model: "ShardedModel", batches: Any) -> list[float]:
    import keras

    ends = [time.perf_counter()]
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
    )
    model.fit(batches.dataset(), shuffle=False, verbose=0, callbacks=[record])
    return [after - before for before, after in pairwise(ends)]


def _bytes(arrays: Any) -> int:
    if isinstance(arrays, list | tuple):
        return sum(map(_bytes, arrays))
    return int(np.asarray(arrays).nbytes)


def images_per_second(
    batch: int, machines: int, plain: float, cost: Cost, bandwidth: float
) -> float:
    """Return the computed speed of a cluster.

    The machines share the passes of a step. What else it costs does not shrink, and its bytes pass
    the network connection of one machine, before and after the passes.

    Args:
        batch: Images in a batch.
        machines: Number of machines.
        plain: Images per second of one machine without a cluster.
        cost: Measured cost of a step with so many shards.
        bandwidth: Bytes per second.
    """
    if machines == 1:
        return plain
    network = cost.exchanged(machines) / bandwidth
    return batch / (batch / plain / machines + cost.seconds + network)


def interpolated(costs: Mapping[Setting, Cost], batch: int, shards: int) -> Cost:
    """Return the cost of a step with a number of shards between those that were measured."""
    few, many = (costs[Setting(batch, measured, 2)] for measured in SHARDS)
    part = (shards - SHARDS[0]) / (SHARDS[1] - SHARDS[0])
    return Cost(
        few.seconds + part * (many.seconds - few.seconds),
        "",
        few.weights,
        few.arguments,
        round(few.results + part * (many.results - few.results)),
    )


def measured_table(costs: Mapping[Setting, Cost], plain: float) -> str:
    """Return a row for each setting; `plain` is in images per second."""
    columns = ("batch", "shards", "workers", "to the workers, MB", "back, MB", "time, ms", "share")
    rows = [
        [
            f"{setting.batch:,}",
            str(setting.shards),
            str(setting.workers),
            f"{(setting.workers * cost.weights + cost.arguments) / MEGABYTE:.1f}",
            f"{cost.results / MEGABYTE:.1f}",
            f"{1000 * cost.seconds:.0f}",
            f"{cost.seconds * plain / setting.batch:.0%}",
        ]
        for setting, cost in sorted(costs.items())
    ]
    return markdown.table(columns, rows, 3)


def growth_table(costs: Mapping[Setting, Cost], plain: float) -> str:
    """Return the computed images per second for each batch and network."""
    rows = []
    for batch in BATCHES:
        for name, bandwidth in BANDWIDTHS.items():
            speeds = [
                images_per_second(
                    batch, machines, plain, interpolated(costs, batch, max(8, machines)), bandwidth
                )
                for machines in MACHINES
            ]
            rows.append([f"{batch:,}", name, *(f"{speed:,.0f}" for speed in speeds)])
    return markdown.table(("batch", "network", *map(str, MACHINES)), rows, 2)


def draw(found: Mapping[int, Cost], path: Path) -> None:
    """Draw the time of a step by number of workers as bars with the hashes of the weights."""
    rows = [
        (
            f"{count} worker{'s' * (count > 1)}" if count else "no cluster",
            1000 * cost.seconds,
            cost.hash[: cores.SHOWN],
        )
        for count, cost in found.items()
    ]
    title = f"SHA-256 of the weights after {STEPS} steps (same colour: same weights)"
    label = "milliseconds per step, on the same two cores; a worker has one of them"
    cores.draw_bars(rows, label, title, path)


def settings_to_measure() -> list[Setting]:
    """Return every number of workers once, and every batch with every number of shards."""
    usual = [Setting(batch, shards, 2) for batch in BATCHES for shards in SHARDS]
    return [Setting(BATCHES[0], SHARDS[0], workers) for workers in WORKERS if workers != 2] + usual


def main() -> None:
    parser = command_line.parser("exchange", __doc__)
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="Markdown file to change (default: %(default)s)"
    )
    parser.add_argument(
        "--figure", type=Path, default=PICTURE, help="PNG to write (default: %(default)s)"
    )
    args = parser.parse_args()
    with reported("exchange"):
        settings = params.read(cores.PARAMS, "train", train.Params)
        data = prepared.load(cores.DATA)
        plain = cores.measure_apart(Run(8, MACHINE_CORES)).speed
        os.environ |= {cluster.ADDRESS: cluster.LOCAL, **cluster.ALONE}
        determinism.start(settings.seed)
        with session.connected():
            trained = {
                count: measure(Setting(BATCHES[0], SHARDS[0], count), settings, data, Worker)
                for count in (0, *WORKERS)
            }
            costs = {one: measure(one, settings, data, Echo) for one in settings_to_measure()}
        draw(trained, args.figure)
        command = "python -m benchmarks.exchange"
        marked_table.write(args.page, "exchange", command, measured_table(costs, plain))
        marked_table.write(args.page, "growth", command, growth_table(costs, plain))
        print(f"without a cluster: {plain:,.0f} images per second")


if __name__ == "__main__":
    main()
