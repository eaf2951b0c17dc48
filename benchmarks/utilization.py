"""How much of the processor a training uses, as a share of what a matrix product gets out of it.

Times in turn, several times over: a product of two square matrices; a bare step of the recipe
(forward, backward, update) on one batch in memory; the same number of steps by `Model.fit`, which
adds batches, augmentation, metrics and callbacks; and by `Model.fit` with tf.data's autotuning, as
Keras has it, for which some epochs wait at their end, so that the mean says what the median hides.
Prints GFLOP/s, counting a step as three times the operations of the way forward. A recipe of its
own file can be given.

Run `dvc repro preprocess` first, then `python -m benchmarks.utilization`.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from fashion_mnist import determinism, models, params
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared
from fashion_mnist.training import losses, optimizers
from stages import train

SIDE = 3000  # of the matrices
STEPS = 30  # each time


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.utilization", description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    parser.add_argument("--section", default="train", help="section of it (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("data/prepared/train"), help="images")
    parser.add_argument("--repeats", type=int, default=7, help="of each (default: %(default)s)")
    args = parser.parse_args()
    settings = params.read(args.params, args.section, train.Params)
    data = prepared.load(args.data)
    determinism.start(settings.seed)

    import tensorflow as tf

    from fashion_mnist.training.batches import Batches

    images = STEPS * settings.batch_size
    data = Prepared(data.images[:images], data.labels[:images])
    batches = Batches(data, settings.batch_size, settings.seed, augmentation=settings.augmentation)
    model = models.build(settings.model, settings.arguments)
    models.adapt(settings.model, model, data.images)
    model.compile(
        optimizers.build(settings.optimizer, settings.schedule, settings.epochs * STEPS),
        losses.smoothed(settings.loss, settings.label_smoothing),
        metrics=["accuracy"],
    )
    tuned = tf.data.Options()
    tuned.autotune.enabled = True
    batch = [tf.constant(part) for part in batches[0]]
    matrix = tf.random.normal((SIDE, SIDE))
    product = tf.function(tf.matmul)

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(batch[0], batch[1], model(batch[0], training=True))
        weights = model.trainable_weights
        model.optimizer.apply(tape.gradient(loss, [weight.value for weight in weights]), weights)

    def steps() -> None:
        for _ in range(STEPS):
            step()

    def fit(dataset: tf.data.Dataset) -> None:
        model.fit(dataset, shuffle=False, verbose=0)

    operations = 3 * train.flops(model) * images
    work: dict[str, tuple[Callable[[], object], float]] = {
        "matrix product": (lambda: product(matrix, matrix).numpy(), 2 * SIDE**3),
        "bare step": (steps, operations),
        "Model.fit": (lambda: fit(batches.dataset()), operations),
        "Model.fit, autotuning": (lambda: fit(batches.dataset().with_options(tuned)), operations),
    }
    for call, _ in work.values():
        call()  # builds the graph
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(args.repeats):
        for name, (call, _) in work.items():
            began = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - began)
    rates = {name: [work[name][1] / 1e9 / one for one in found] for name, found in times.items()}
    print("| | median GFLOP/s | mean GFLOP/s | share of the matrix product |")
    print("|---|--:|--:|--:|")
    for name, found in rates.items():
        # Neighbours in time are compared, so that a slow minute slows both.
        shares = [a / b for a, b in zip(found, rates["matrix product"], strict=True)]
        cells = statistics.median(found), statistics.harmonic_mean(found)
        print(f"| {name} | {cells[0]:.0f} | {cells[1]:.0f} | {statistics.median(shares):.2f} |")


if __name__ == "__main__":
    main()
