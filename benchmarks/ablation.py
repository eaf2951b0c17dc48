"""What each part of the default recipe is worth: accuracy and cost without it.

The recipe of params.yaml and its variants train on data/prepared/train with the same seeds, each
training in a process of its own. They are scored on data/prepared/test, which with the default
parameters is the balanced sample that `split` draws from the training file; t10k stays unopened.
Cost is the time per step, relative to the recipe: in each round, recipe and variants train briefly
one after the other. Only the rounds need an otherwise idle machine.

benchmarks/ablation.json keeps every training and round. Those in it are not repeated unless their
settings changed, so an interrupted benchmark resumes. Run `dvc repro preprocess` first, then
`python -m benchmarks.ablation`.
"""

import statistics
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks import child_process, command_line, isolated_training, markdown, results_file
from benchmarks.results_file import Results
from fashion_mnist.errors import reported

DATA = Path("data/prepared/train"), Path("data/prepared/test")
OUTPUT = Path("benchmarks/ablation.json")
RECIPE = "the recipe"
ROUNDS = 3
STEPS = 30, 180  # of a short and a longer training; their difference is the time of 150 steps

# What each variant changes in section `train`, by path.
VARIANTS: dict[str, dict[str, Any]] = {
    RECIPE: {},
    "first layer learns its filters, no whitening": {"arguments.whitening": False},
    "logits not scaled down": {"arguments.head": 1.0},
    "Nesterov SGD, no Muon": {
        "optimizer": {"name": "sgd", "learning_rate": 0.5, "momentum": 0.85, "nesterov": True}
    },
    "AdamW, no Muon": {"optimizer": {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.01}},
    "constant learning rate": {"schedule": {"name": "constant"}},
    "no flips": {"augmentation.flip": False},
    "no shifts": {"augmentation.shift": 0},
    "all images, half the epochs": {"selection": None, "epochs": 7},
    "as many images, drawn at random": {"selection.hardest": 0.0},
}

CAPTION = """\
Accuracy in %, mean ± standard deviation over the seeds.
Difference to the recipe with the same seed in percentage points, mean ± standard error.
Cost: time per step relative to the recipe, median over the rounds.
"""
COLUMNS = (
    "",
    "accuracy without mirror average",
    "difference",
    "accuracy with it",
    "difference",
    "relative cost",
)


def apply(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of section `train` with new values at the paths in `changes`."""
    changed = deepcopy(dict(settings))
    for path, value in changes.items():
        *parents, last = path.split(".")
        section = changed
        for key in parents:
            section = section[key]
        section[last] = value
    return changed


def variant_settings(recipe: Mapping[str, Any], seed: int) -> dict[str, dict[str, Any]]:
    """Return section `train` of every variant with a seed."""
    return {name: apply(recipe, changes) | {"seed": seed} for name, changes in VARIANTS.items()}


def current(results: Results, recipe: Mapping[str, Any]) -> Results:
    """Return the runs and rounds whose settings are those of the variants today."""

    def is_current(run: Mapping[str, Any]) -> bool:
        settings = variant_settings(recipe, run["seed"])
        return bool(settings.get(run["variant"]) == run["settings"])

    timed = variant_settings(recipe, 1)
    return {
        "runs": [run for run in results["runs"] if is_current(run)],
        "rounds": [measured for measured in results["rounds"] if measured["settings"] == timed],
    }


def train_missing(results: Results, recipe: Mapping[str, Any], seeds: int, jobs: int) -> None:
    """Train every variant with the seeds 1 to `seeds` that `results` lacks, `jobs` at a time."""
    done = {(run["variant"], run["seed"]) for run in results["runs"]}
    missing = [
        {"variant": variant, "seed": seed, "settings": settings}
        for seed in range(1, seeds + 1)
        for variant, settings in variant_settings(recipe, seed).items()
        if (variant, seed) not in done
    ]
    cores = child_process.share_of_cores(jobs)
    with ThreadPoolExecutor(jobs) as pool:
        trained = pool.map(lambda run: isolated_training.run(run["settings"], DATA, cores), missing)
        for run, figures in zip(missing, trained, strict=True):
            scores = {key: figures[key] for key in ("accuracy", "mirror_average")}
            results["runs"].append(
                {"variant": run["variant"], "seed": run["seed"]}
                | scores
                | {"settings": run["settings"]}
            )
            results_file.write(OUTPUT, results)
            text = isolated_training.describe(figures)
            print(f"{run['variant']}, seed {run['seed']}: {text}", file=sys.stderr, flush=True)


def time_missing(results: Results, recipe: Mapping[str, Any]) -> None:
    """Add the rounds of timing that `results` lacks."""
    settings = variant_settings(recipe, 1)
    while len(results["rounds"]) < ROUNDS:
        times = {
            variant: isolated_training.without_start_up(section, DATA, STEPS)[1]
            for variant, section in settings.items()
        }
        results["rounds"].append({"seconds": times, "settings": settings})
        results_file.write(OUTPUT, results)
        number = len(results["rounds"])
        for variant, seconds in times.items():
            text = f"round {number}, {variant}: {seconds:.1f} s for {STEPS[1] - STEPS[0]} steps"
            print(text, file=sys.stderr, flush=True)


def render(results: Results) -> str:
    """Return the Markdown table that `CAPTION` describes; a variant needs two seeds to appear."""
    recipe = {run["seed"]: run for run in results["runs"] if run["variant"] == RECIPE}
    rows = []
    for variant in VARIANTS:
        runs = [
            run for run in results["runs"] if run["variant"] == variant and run["seed"] in recipe
        ]
        if len(runs) < 2:
            continue
        row = [variant]
        for key in ("accuracy", "mirror_average"):
            values = [100 * run[key] for run in runs]
            differences = [100 * (run[key] - recipe[run["seed"]][key]) for run in runs]
            error = statistics.stdev(differences) / len(runs) ** 0.5
            difference = f"{statistics.mean(differences):+.2f} ± {error:.2f}"
            row.append(f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}")
            row.append("" if variant == RECIPE else difference)
        ratios = [
            measured["seconds"][variant] / measured["seconds"][RECIPE]
            for measured in results["rounds"]
        ]
        row.append(f"{statistics.median(ratios):.2f}" if ratios else "")
        rows.append(row)
    return markdown.table(COLUMNS, rows)


def main() -> None:
    parser = command_line.parser("ablation", __doc__)
    parser.add_argument(
        "--seeds",
        type=command_line.count,
        default=3,
        help="trainings of each variant, with the seeds 1, 2, ... (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        type=command_line.count,
        default=1,
        help="trainings at a time; timing is always one at a time (default: %(default)s)",
    )
    args = parser.parse_args()
    with reported("ablation"):
        recipe = YAML(typ="safe").load(Path("params.yaml"))["train"]
        results: Results = {"runs": [], "rounds": []}
        if OUTPUT.exists():
            results = current(results_file.read(OUTPUT, ("runs", "rounds")), recipe)
        train_missing(results, recipe, args.seeds, args.jobs)
        time_missing(results, recipe)
        print(f"{CAPTION}\n{render(results)}", end="")


if __name__ == "__main__":
    main()
