"""What each setting for identical bytes costs, and whether a training is bit-stable without it.

Trains LeNet and the default network for some steps, in a process of their own, with the settings of
the pipeline and with each of them changed: op determinism; kernels, which are oneDNN's, limited to
AVX2, and could have all instructions of this processor or be Eigen's; batches in shards of one
thread each, which could be whole, with all cores at each operation. All run in turn, several times.
Prints a table for docs/reproducibility.md.

Run `dvc repro preprocess` first, then `python -m benchmarks.determinism`.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks import child_process, command_line, isolated_training, markdown
from fashion_mnist import determinism
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared
from fashion_mnist.errors import reported

DATA = Path("data/prepared/train")
REPEATS = 3
# Batch size and steps by model.
SIZES = {"lenet": (32, 300), "fast_cnn": (256, 60)}
WARM_UP = 10  # steps that are not timed: TensorFlow builds its graph in the first

SHARDS = 8


class Settings(NamedTuple):
    """What a training changes in the settings of the pipeline."""

    environment: Mapping[str, str] = MappingProxyType({})
    op_determinism: bool = True
    shards: int = SHARDS


class Figures(NamedTuple):
    """Images per second of a training, and a hash of the trained weights."""

    speed: float
    weights: str


PIPELINE = "as in the pipeline"
# DEFAULT lifts the limit.
CHANGED = {
    PIPELINE: Settings(),
    "op determinism off": Settings(op_determinism=False),
    "oneDNN with all vectors": Settings({"ONEDNN_MAX_CPU_ISA": "DEFAULT"}),
    "Eigen's kernels": Settings({"TF_ENABLE_ONEDNN_OPTS": "0"}),
    "whole batches": Settings(shards=1),
}

CAPTION = f"""\
Relative speed: images per second as a ratio to the settings of the pipeline, median of {REPEATS}
pairs of the same round. Distinct models: how many different weights {REPEATS} repetitions gave; 1
is bit-stable.
"""


def measure(name: str) -> dict[str, Figures]:
    """Train every model in this process under one of `CHANGED`; return its figures by model."""
    settings = CHANGED[name]
    data = prepared.load(DATA)
    determinism.ENVIRONMENT |= settings.environment
    determinism.OP_DETERMINISM = settings.op_determinism
    if settings.shards == 1:
        determinism.THREADS_PER_OPERATION = determinism.cores()
    determinism.start(27)
    return {name: train(name, data, settings.shards, *size) for name, size in SIZES.items()}


def train(name: str, data: Prepared, shards: int, batch_size: int, steps: int) -> Figures:
    """Train a new model by Adam, first untimed for the warm-up, then timed for `steps`."""
    from fashion_mnist.training.batches import Batches
    from fashion_mnist.training.shards import ShardedModel

    def fit(rows: slice) -> float:
        batches = Batches(Prepared(data.images[rows], data.labels[rows]), batch_size)
        sharded.begin()
        began = time.perf_counter()
        sharded.fit(batches.dataset(), shuffle=False, verbose=0)
        return time.perf_counter() - began

    model = isolated_training.new_model(name, {}, data)
    start, images = WARM_UP * batch_size, steps * batch_size
    sharded = ShardedModel(model, shards, images)
    sharded.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    fit(slice(start))
    seconds = fit(slice(start, start + images))
    return Figures(images / seconds, isolated_training.weights_hash(model))


def render(rounds: Sequence[Mapping[str, Mapping[str, Figures]]]) -> str:
    """Return the Markdown table that `CAPTION` describes, from the figures of each round."""
    columns = ["changed"]
    for model in SIZES:
        columns += [f"{model}: relative speed", f"{model}: distinct models"]
    rows = []
    for name in CHANGED:
        row = [name]
        for model in SIZES:
            # Pairs are of the same round, so that a slow minute slows both.
            ratios = [one[name][model].speed / one[PIPELINE][model].speed for one in rounds]
            hashes = {one[name][model].weights for one in rounds}
            row += [f"{statistics.median(ratios):.2f}", str(len(hashes))]
        rows.append(row)
    return markdown.table(columns, rows)


def measure_apart(name: str) -> dict[str, Figures]:
    """Return what `measure` returns in a new process."""
    found: dict[str, Any] = child_process.run("benchmarks.determinism", "--child", name)
    figures = {model: Figures(*values) for model, values in found.items()}
    speeds = ", ".join(f"{model} {one.speed:,.0f}" for model, one in figures.items())
    print(f"{name}: images per second: {speeds}", file=sys.stderr, flush=True)
    return figures


def main() -> None:
    parser = command_line.parser("determinism", __doc__)
    parser.add_argument("--child", choices=CHANGED, help=argparse.SUPPRESS)
    args = parser.parse_args()
    with reported("determinism"):
        if args.child:
            print(json.dumps(measure(args.child)))
            return
        rounds = [{name: measure_apart(name) for name in CHANGED} for _ in range(REPEATS)]
        print(f"{CAPTION}\n{render(rounds)}", end="")


if __name__ == "__main__":
    main()
