"""What each trick of the default recipe is worth: accuracy and cost with one of them left out.

The recipe of params.yaml and every variant of it train on data/prepared/train with the same seeds,
each in a process of its own. They are scored on the balanced sample that `split` draws from the
training file (data/prepared/test with the default parameters); t10k stays closed. Cost is that of
a step: in a round, recipe and variants train for a short while one after the other. Only the rounds
need a quiet machine.

A training and a round are added to the JSON file as they end, and not repeated unless their
settings have changed. Run `dvc repro preprocess` first, then
`python -m benchmarks.ablation --seeds 3`.
"""

import argparse
import json
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks import trial
from fashion_mnist.files import new_file

DATA = Path("data/prepared/train"), Path("data/prepared/test")
RECIPE = "the recipe"
SHORT, LONG = 30, 180  # steps; their difference is what the cost of a step is taken from

# What is changed in section `train`, as paths into it.
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

HEADER = """\
| | without mirror average | difference | with it | difference | cost |
|---|--:|--:|--:|--:|--:|
"""


def apply(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of section `train` in which the values at some paths are others."""
    changed = deepcopy(settings)
    for path, value in changes.items():
        *parents, last = path.split(".")
        section = changed
        for key in parents:
            section = section[key]
        section[last] = value
    return changed


def seconds(settings: dict[str, Any]) -> float:
    """Return how long the steps between a short and a longer training take."""
    few, many = (
        trial.run(settings | {"steps": steps, "epochs": 100}, DATA)["seconds"]
        for steps in (SHORT, LONG)
    )
    return many - few


def render(runs: list[dict[str, Any]], rounds: list[dict[str, Any]]) -> str:
    """Return a Markdown table of means and standard deviations over the seeds, in points.

    A difference is the mean, with its standard error, of those to the recipe with the same seed;
    cost is the median, over the rounds, of the ratio of the times of a step.
    """
    recipe = {run["seed"]: run for run in runs if run["variant"] == RECIPE}
    rows = []
    for variant in VARIANTS:
        own = [run for run in runs if run["variant"] == variant and run["seed"] in recipe]
        if len(own) < 2:
            continue
        cells = []
        for key in ("accuracy", "mirror_average"):
            values = [100 * run[key] for run in own]
            differences = [100 * (run[key] - recipe[run["seed"]][key]) for run in own]
            error = statistics.stdev(differences) / len(own) ** 0.5
            cells.append(f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}")
            cells.append(f"{statistics.mean(differences):+.2f} ± {error:.2f}" if error else "")
        ratios = [one["seconds"][variant] / one["seconds"][RECIPE] for one in rounds]
        cells.append(f"{statistics.median(ratios):.2f}" if ratios else "")
        rows.append(f"| {variant} | {' | '.join(cells)} |\n")
    return HEADER + "".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=3, help="of each (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="of measuring costs (default: %(default)s)"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="trainings at a time, but for costs (default: 1)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("benchmarks/ablation.json"), help="JSON file"
    )
    args = parser.parse_args()
    recipe = YAML(typ="safe").load(Path("params.yaml"))["train"]
    results: dict[str, list[dict[str, Any]]] = {"runs": [], "rounds": []}
    if args.output.exists():
        results = json.loads(args.output.read_text(encoding="utf-8"))

    def save() -> None:
        with new_file(args.output) as temporary:
            temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    wanted = {
        (variant, seed): apply(recipe, changes) | {"seed": seed}
        for seed in range(1, args.seeds + 1)
        for variant, changes in VARIANTS.items()
    }
    timed = {variant: wanted[variant, 1] for variant in VARIANTS}
    results["runs"] = [run for run in results["runs"] if run["settings"] in wanted.values()]
    results["rounds"] = [one for one in results["rounds"] if one["settings"] == timed]
    done = {(run["variant"], run["seed"]) for run in results["runs"]}
    missing = {key: settings for key, settings in wanted.items() if key not in done}
    with ThreadPoolExecutor(args.jobs) as pool:
        trained = pool.map(lambda settings: trial.run(settings, DATA), missing.values())
        for ((variant, seed), settings), figures in zip(missing.items(), trained, strict=True):
            run = {"variant": variant, "seed": seed}
            run |= {key: figures[key] for key in ("accuracy", "mirror_average")}
            results["runs"].append(run | {"settings": settings})
            print(f"{variant}, seed {seed}: {figures}", file=sys.stderr, flush=True)
            save()
    while len(results["rounds"]) < args.rounds:
        times = {variant: seconds(settings) for variant, settings in timed.items()}
        results["rounds"].append({"seconds": times, "settings": timed})
        print(f"seconds in round {len(results['rounds'])}: {times}", file=sys.stderr, flush=True)
        save()
    print(render(results["runs"], results["rounds"]), end="")


if __name__ == "__main__":
    main()
