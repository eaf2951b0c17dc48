"""What each source of non-determinism costs, and whether a training is bit-stable with it.

Trains LeNet and the default network for some steps, in a process of their own, under every
combination of op determinism, kernels and threads. Kernels are Eigen's or oneDNN's, the latter
limited to AVX2 or with all instructions of this processor. All combinations run in turn, several
times. Prints a table for docs/reproducibility.md.

Run `dvc repro preprocess` first, then `python -m benchmarks.determinism`.
"""

import argparse
import hashlib
import itertools
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import child_process, command_line, markdown
from fashion_mnist import determinism, models
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared
from fashion_mnist.errors import reported

DATA = Path("data/prepared/train")
REPEATS = 3
# Batch size and steps by model.
SIZES = {"lenet": (32, 300), "fast_cnn": (256, 60)}
WARM_UP = 10  # steps that are not timed: TensorFlow builds its graph in the first

# What is changed in the environment of the pipeline. DEFAULT lifts the limit.
KERNELS: dict[str, dict[str, str]] = {
    "oneDNN, AVX2": {},
    "oneDNN, no limit": {"ONEDNN_MAX_CPU_ISA": "DEFAULT"},
    "Eigen": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}


class Combination(NamedTuple):
    """Settings under which the models train."""

    op_determinism: bool
    kernels: str
    threads: int


class Figures(NamedTuple):
    """Images per second of a training, and a hash of the trained weights."""

    speed: float
    weights: str


PIPELINE = Combination(op_determinism=True, kernels="oneDNN, AVX2", threads=2)
COMBINATIONS = tuple(
    Combination(*values) for values in itertools.product([False, True], KERNELS, [1, 2])
)

CAPTION = f"""\
Relative speed: images per second as a ratio to the settings of the pipeline (op determinism on,
oneDNN limited to AVX2, 2 threads), median of {REPEATS} pairs of the same round.
Distinct models: how many different weights {REPEATS} repetitions gave; 1 is bit-stable.
"""


def measure(combination: Combination) -> dict[str, Figures]:
    """Train every model in this process under a combination; return its figures by model."""
    data = prepared.load(DATA)
    determinism.ENVIRONMENT |= KERNELS[combination.kernels]
    determinism.OP_DETERMINISM = combination.op_determinism
    determinism.THREADS = combination.threads
    determinism.start(27)
    return {name: train(name, data, *size) for name, size in SIZES.items()}


def train(name: str, data: Prepared, batch_size: int, steps: int) -> Figures:
    """Train a new model by Adam, first untimed for the warm-up, then timed for `steps`."""
    from fashion_mnist.training.batches import Batches

    def fit(rows: slice) -> float:
        batches = Batches(Prepared(data.images[rows], data.labels[rows]), batch_size)
        began = time.perf_counter()
        model.fit(batches.dataset(), shuffle=False, verbose=0)
        return time.perf_counter() - began

    model = models.build(name, {})
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    start, images = WARM_UP * batch_size, steps * batch_size
    fit(slice(start))
    seconds = fit(slice(start, start + images))
    weights = b"".join(weight.tobytes() for weight in model.get_weights())
    return Figures(images / seconds, hashlib.sha256(weights).hexdigest())


def render(rounds: Sequence[Mapping[Combination, Mapping[str, Figures]]]) -> str:
    """Return the Markdown table that `CAPTION` describes, from the figures of each round."""
    columns = ["op determinism", "kernels", "threads"]
    for name in SIZES:
        columns += [f"{name}: relative speed", f"{name}: distinct models"]
    rows = []
    for combination in COMBINATIONS:
        op_determinism = "on" if combination.op_determinism else "off"
        row = [op_determinism, combination.kernels, str(combination.threads)]
        for name in SIZES:
            # Pairs are of the same round, so that a slow minute slows both.
            ratios = [one[combination][name].speed / one[PIPELINE][name].speed for one in rounds]
            hashes = {one[combination][name].weights for one in rounds}
            row += [f"{statistics.median(ratios):.2f}", str(len(hashes))]
        rows.append(row)
    return markdown.table(columns, rows, names=2)


def measure_apart(combination: Combination) -> dict[str, Figures]:
    """Return what `measure` returns in a new process."""
    found: dict[str, Any] = child_process.run(
        "benchmarks.determinism", "--child", json.dumps(combination)
    )
    figures = {name: Figures(*values) for name, values in found.items()}
    speeds = ", ".join(f"{name} {one.speed:,.0f}" for name, one in figures.items())
    print(f"{combination}: images per second: {speeds}", file=sys.stderr, flush=True)
    return figures


def main() -> None:
    parser = command_line.parser("determinism", __doc__)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    with reported("determinism"):
        if args.child:
            print(json.dumps(measure(Combination(*json.loads(args.child)))))
            return
        rounds = [
            {combination: measure_apart(combination) for combination in COMBINATIONS}
            for _ in range(REPEATS)
        ]
        print(f"{CAPTION}\n{render(rounds)}", end="")


if __name__ == "__main__":
    main()
