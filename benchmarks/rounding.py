"""How far the scores of a training move when nothing but the rounding of its sums differs.

Trains and scores the recipe of params.yaml with the settings that the pipeline ships, then with
others that change the order of sums as another kind of processor would: one thread, all vectors
that this processor has, Eigen's kernels instead of oneDNN's. Seed and data are the same. Prints a
table for docs/reproducibility.md, where the tolerance of `python -m review verify --rerun` is.

Run `dvc repro preprocess` first, then `python -m benchmarks.rounding`.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import trial
from fashion_mnist import determinism, params, scores
from fashion_mnist.data import prepared
from stages import evaluate, train

# Threads, then what is changed in the environment. DEFAULT lifts the limit on vectors.
SHIPPED = "as shipped"
SETTINGS: dict[str, tuple[int, dict[str, str]]] = {
    SHIPPED: (determinism.THREADS, {}),
    "one thread": (1, {}),
    "all vectors of this processor": (determinism.THREADS, {"ONEDNN_MAX_CPU_ISA": "DEFAULT"}),
    "Eigen, no oneDNN": (determinism.THREADS, {"TF_ENABLE_ONEDNN_OPTS": "0"}),
}
SCORES = ("accuracy", "macro_f1", "loss", "expected_calibration_error", "brier_score")


def measure(
    path: Path, folders: tuple[Path, Path], threads: int, environment: Mapping[str, str]
) -> dict[str, float]:
    """Return the scores of a training of the recipe in a parameter file.

    Args:
        path: The parameter file.
        folders: Prepared sets to train on and to score.
        threads: Of TensorFlow.
        environment: What differs from that of the pipeline.
    """
    settings = params.read(path, "train", train.Params)
    scoring = params.read(path, "evaluate", evaluate.Params)
    data, test = map(prepared.load, folders)
    determinism.THREADS = threads
    determinism.ENVIRONMENT |= environment
    model, _, _ = trial.train_recipe(data, settings)
    answers = evaluate.predict(model, test, scoring.batch_size, scoring.mirror_average)
    found = scores.overall(test.labels.argmax(axis=1), answers, scoring.bins)
    return {name: found[name] for name in SCORES}


def render(results: Mapping[str, Mapping[str, float]]) -> str:
    """Return a Markdown table: scores by setting, then the largest difference of any two."""
    rows = [f"| | {' | '.join(name.replace('_', ' ') for name in SCORES)} |\n"]
    rows.append("|---|" + "--:|" * len(SCORES) + "\n")
    for setting, found in results.items():
        rows.append(f"| {setting} | {' | '.join(f'{found[name]:.4f}' for name in SCORES)} |\n")
    columns = [[found[name] for found in results.values()] for name in SCORES]
    largest = [max(column) - min(column) for column in columns]
    rows.append(f"| largest difference | {' | '.join(f'{one:.4f}' for one in largest)} |\n")
    return "".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rounding",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    parser.add_argument("--train", type=Path, default=Path("data/prepared/train"), help="images")
    parser.add_argument("--test", type=Path, default=Path("data/prepared/test"), help="to score")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--child", choices=SETTINGS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        found = measure(args.params, (args.train, args.test), *SETTINGS[args.child])
        print(json.dumps(found))
        return

    def run(setting: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "benchmarks.rounding", *sys.argv[1:], "--child", setting]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        print(f"{setting}: {found}", file=sys.stderr, flush=True)
        return found

    with ThreadPoolExecutor(args.jobs) as pool:
        results = dict(zip(SETTINGS, pool.map(run, SETTINGS), strict=True))
    print(render(results), end="")


if __name__ == "__main__":
    main()
