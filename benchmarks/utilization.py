"""How much of the processor a training uses, relative to the product of two square matrices.

Times in turn, several times:
- the matrix product, once for each core, side by side;
- a bare training step (forward pass, backward pass, update, metrics) on one batch in memory;
- `Model.fit` for as many steps, which adds batches, augmentation and callbacks;
- `Model.fit` with tf.data's autotuning, Keras's default, under which some epochs wait at their
  end: that lowers the mean but hardly the median.

Run `dvc repro preprocess` first, then `python -m benchmarks.utilization`.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import command_line, isolated_training, markdown
from fashion_mnist import determinism, params
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared
from fashion_mnist.errors import reported
from stages import train

# TensorFlow may load only after its settings are fixed.
if TYPE_CHECKING:
    import tensorflow as tf

    from fashion_mnist.training.batches import Batches
    from fashion_mnist.training.shards import ShardedModel

DATA = Path("data/prepared/train")
SIDE = 3000  # of the matrices
STEPS = 30  # per timing
REPEATS = 7
PRODUCT = "matrix product"

CAPTION = """\
GFLOP/s over the repetitions; a training step counts as three times the forward pass.
Share: GFLOP/s relative to the matrix product of the same round, median.
"""
COLUMNS = ("", "median GFLOP/s", "mean GFLOP/s", "share of the matrix product")


class Workload(NamedTuple):
    """Something to time, and its floating-point operations."""

    run: Callable[[], object]
    operations: float


def matrix_product(side: int, cores: int) -> Workload:
    """Return the product of a random float32 matrix with itself, once for each core."""
    import tensorflow as tf

    matrices = [tf.random.normal((side, side)) for _ in range(cores)]
    products = tf.function(lambda: [tf.matmul(matrix, matrix)[0, 0] for matrix in matrices])
    return Workload(lambda: [one.numpy() for one in products()], cores * 2 * side**3)


def bare_step(model: "ShardedModel", batch: Sequence[Any]) -> Callable[[], object]:
    """Return a training step on one batch: images and labels."""
    import tensorflow as tf

    parts = [tf.constant(part) for part in batch]

    def step() -> None:
        model.begin()
        model.train_step(parts)

    compiled: Callable[[], object] = tf.function(step)
    return compiled


def training_workloads(model: "ShardedModel", batches: "Batches") -> dict[str, Workload]:
    """Return one epoch of `batches` as bare steps, by `Model.fit`, and with autotuning."""
    import tensorflow as tf

    first = batches[0]
    step = bare_step(model, first[:2])
    tuned = tf.data.Options()
    tuned.autotune.enabled = True

    def bare_steps() -> None:
        for _ in range(len(batches)):
            step()

    def fit(dataset: "tf.data.Dataset") -> None:
        model.begin()
        model.fit(dataset, shuffle=False, verbose=0)

    operations = 3 * train.flops(model) * len(batches) * len(first[0])
    return {
        "bare step": Workload(bare_steps, operations),
        "Model.fit": Workload(lambda: fit(batches.dataset()), operations),
        "Model.fit, autotuning": Workload(
            lambda: fit(batches.dataset().with_options(tuned)), operations
        ),
    }


def measure(workloads: Mapping[str, Workload], repeats: int) -> dict[str, list[float]]:
    """Return the GFLOP/s of every workload in each of some rounds, after one that is not timed."""
    for workload in workloads.values():
        workload.run()  # builds the graph
    rates: dict[str, list[float]] = {name: [] for name in workloads}
    for _ in range(repeats):
        for name, workload in workloads.items():
            began = time.perf_counter()
            workload.run()
            rates[name].append(workload.operations / 1e9 / (time.perf_counter() - began))
    return rates


def render(rates: Mapping[str, Sequence[float]]) -> str:
    """Return the Markdown table that `CAPTION` describes."""
    rows = []
    for name, found in rates.items():
        # Pairs are of the same round, so that a slow minute slows both.
        shares = [rate / product for rate, product in zip(found, rates[PRODUCT], strict=True)]
        # The harmonic mean of rates is the rate over the total time.
        cells = f"{statistics.median(found):.0f}", f"{statistics.harmonic_mean(found):.0f}"
        rows.append([name, *cells, f"{statistics.median(shares):.2f}"])
    return markdown.table(COLUMNS, rows)


def main() -> None:
    parser = command_line.parser("utilization", __doc__)
    parser.add_argument(
        "--params",
        type=Path,
        default=Path("params.yaml"),
        help="parameter file with the recipe (default: %(default)s)",
    )
    args = parser.parse_args()
    with reported("utilization"):
        settings = params.read(args.params, "train", train.Params)
        data = prepared.load(DATA)
        determinism.start(settings.seed)

        from fashion_mnist.training.batches import Batches

        size = settings.batch_size
        data = Prepared(data.images[: STEPS * size], data.labels[: STEPS * size])
        sparse = settings.loss.startswith("sparse")
        batches = Batches(data, size, settings.seed, sparse, settings.augmentation)
        workloads = {PRODUCT: matrix_product(SIDE, determinism.cores())}
        workloads |= training_workloads(isolated_training.recipe_model(settings, batches), batches)
        print(f"{CAPTION}\n{render(measure(workloads, REPEATS))}", end="")


if __name__ == "__main__":
    main()
