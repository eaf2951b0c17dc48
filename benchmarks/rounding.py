"""How much the scores of a training change when only the rounding of its sums differs.

Trains and scores the recipe of params.yaml with the pipeline's own settings, then with settings
that change the order of sums as other kinds of processors would: two threads per operation, all
vector instructions of this processor, Eigen's kernels instead of oneDNN's. Seed and data do not
change. Prints a table for docs/reproducibility.md, where the tolerance of
`python -m review verify --rerun` is.

Run `dvc repro preprocess` first, then `python -m benchmarks.rounding`.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks import child_process, command_line, isolated_training, markdown
from fashion_mnist import determinism, params, scores
from fashion_mnist.data import prepared
from fashion_mnist.errors import reported
from stages import evaluate, train

PARAMS = Path("params.yaml")
DATA = Path("data/prepared/train"), Path("data/prepared/test")

# Threads per operation, and what is changed in the environment. DEFAULT lifts the limit.
SHIPPED = "as shipped"
SETTINGS: dict[str, tuple[int, dict[str, str]]] = {
    SHIPPED: (1, {}),
    "two threads per operation": (2, {}),
    "all vectors of this processor": (1, {"ONEDNN_MAX_CPU_ISA": "DEFAULT"}),
    "Eigen, no oneDNN": (1, {"TF_ENABLE_ONEDNN_OPTS": "0"}),
}
# Key in the metrics, and heading of the column.
SCORES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "loss": "loss",
    "expected_calibration_error": "expected calibration error",
    "brier_score": "Brier score",
}

CAPTION = """\
Scores on data/prepared/test of the same recipe and seed, trained with different rounding.
Accuracy and macro F1 are fractions, the loss is in nats.
"""


def measure(setting: str) -> dict[str, float]:
    """Train and score the recipe in this process, under one of `SETTINGS`; return its scores."""
    threads, environment = SETTINGS[setting]
    settings = params.read(PARAMS, "train", train.Params)
    scoring = params.read(PARAMS, "evaluate", evaluate.Params)
    data, test = map(prepared.load, DATA)
    determinism.THREADS_PER_OPERATION = threads
    determinism.ENVIRONMENT |= environment
    model, _, _ = isolated_training.train_recipe(data, settings)
    probabilities = evaluate.predict(model, test, scoring.batch_size, scoring.mirror_average)
    found = scores.overall(test.labels.argmax(axis=1), probabilities, scoring.bins)
    return {name: found[name] for name in SCORES}


def measure_apart(setting: str, jobs: int) -> dict[str, float]:
    """Return what `measure` returns in a new process, one of some that run side by side."""
    cores = child_process.share_of_cores(jobs)
    found: dict[str, float] = child_process.run(
        "benchmarks.rounding", "--child", setting, environment=cores
    )
    text = ", ".join(f"{heading} {found[name]:.4f}" for name, heading in SCORES.items())
    print(f"{setting}: {text}", file=sys.stderr, flush=True)
    return found


def render(results: Mapping[str, Mapping[str, float]]) -> str:
    """Return a Markdown table: the scores by setting, and the largest difference of any two."""
    rows = [
        [setting, *(f"{found[name]:.4f}" for name in SCORES)] for setting, found in results.items()
    ]
    columns = [[found[name] for found in results.values()] for name in SCORES]
    rows.append(["largest difference", *(f"{max(column) - min(column):.4f}" for column in columns)])
    return markdown.table(["", *SCORES.values()], rows)


def main() -> None:
    parser = command_line.parser("rounding", __doc__)
    parser.add_argument(
        "--jobs",
        type=command_line.count,
        default=1,
        help="trainings at a time (default: %(default)s)",
    )
    parser.add_argument("--child", choices=SETTINGS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    with reported("rounding"):
        if args.child:
            print(json.dumps(measure(args.child)))
            return
        with ThreadPoolExecutor(args.jobs) as pool:
            found = pool.map(partial(measure_apart, jobs=args.jobs), SETTINGS)
            results = dict(zip(SETTINGS, found, strict=True))
        print(f"{CAPTION}\n{render(results)}", end="")


if __name__ == "__main__":
    main()
