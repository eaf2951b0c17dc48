"""What each source of non-determinism costs, and whether a training is bit-stable with it.

Trains each model for some steps in a process of its own, under every combination of op
determinism, kernels and thread count, all combinations in turn and several times over. Kernels are
Eigen's or oneDNN's, and oneDNN's those for AVX2 or for all instructions of this processor. Prints a
table for docs/reproducibility.md: images a second as a ratio to the settings that the pipeline
ships, and how many different models the repetitions gave (1 is bit-stable).

Run `dvc repro preprocess` first, then `python -m benchmarks.determinism`.
"""

import argparse
import hashlib
import itertools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from fashion_mnist import determinism, models
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared

# Batch size and steps.
SIZES = {"lenet": (32, 300), "fast_cnn": (256, 60)}
WARM_UP = 10  # steps, left out of the time: TensorFlow builds its graph in the first

# What is changed in the environment that the pipeline ships. DEFAULT lifts the limit.
KERNELS: dict[str, dict[str, str]] = {
    "oneDNN, AVX2": {},
    "oneDNN, no limit": {"ONEDNN_MAX_CPU_ISA": "DEFAULT"},
    "Eigen": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}
SHIPPED = (True, "oneDNN, AVX2", 2)


def measure(op_determinism: bool, kernels: str, threads: int) -> dict[str, tuple[float, str]]:
    """Return images a second and a hash of the trained weights of each model."""
    determinism.ENVIRONMENT |= KERNELS[kernels]
    determinism.OP_DETERMINISM = op_determinism
    determinism.THREADS = threads
    determinism.start(27)

    from fashion_mnist.training.batches import Batches

    data = prepared.load(Path("data/prepared/train"))
    results = {}
    for name, (size, steps) in SIZES.items():
        model = models.build(name, {})
        model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
        cut = WARM_UP * size
        first = Batches(Prepared(data.images[:cut], data.labels[:cut]), size)
        model.fit(first.dataset(), shuffle=False, verbose=0)
        rows = slice(cut, cut + steps * size)
        batches = Batches(Prepared(data.images[rows], data.labels[rows]), size)
        began = time.perf_counter()
        model.fit(batches.dataset(), shuffle=False, verbose=0)
        rate = steps * size / (time.perf_counter() - began)
        weights = b"".join(weight.tobytes() for weight in model.get_weights())
        results[name] = rate, hashlib.sha256(weights).hexdigest()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.determinism", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each combination")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(*json.loads(args.child))))
        return
    settings = list(itertools.product([False, True], KERNELS, [1, 2]))
    runs: dict[tuple[bool, str, int], list[dict[str, tuple[float, str]]]] = {
        setting: [] for setting in settings
    }
    for repeat, setting in itertools.product(range(args.repeats), settings):
        command = [sys.executable, "-m", "benchmarks.determinism", "--child", json.dumps(setting)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        runs[setting].append(json.loads(done.stdout.splitlines()[-1]))
        print(repeat, *setting, runs[setting][-1], file=sys.stderr, flush=True)
    print("| op determinism | kernels | threads |", *(f"{n} | models |" for n in SIZES))
    print("|" + "---|" * (3 + 2 * len(SIZES)))
    for setting in settings:
        row = ["on" if setting[0] else "off", *setting[1:]]
        for name in SIZES:
            # Neighbours in time are compared, so that a slow minute slows both.
            ratios = [
                run[name][0] / shipped[name][0]
                for run, shipped in zip(runs[setting], runs[SHIPPED], strict=True)
            ]
            row += [
                f"{statistics.median(ratios):.2f}",
                len({run[name][1] for run in runs[setting]}),
            ]
        print("|", " | ".join(str(cell) for cell in row), "|")


if __name__ == "__main__":
    main()
