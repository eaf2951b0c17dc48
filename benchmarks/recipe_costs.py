"""Shows what time_to_accuracy measured, as a table and a picture."""

import statistics
from collections.abc import Iterable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

import recipes
from benchmarks import markdown, results_file
from benchmarks.results_file import Results
from fashion_mnist.files import new_file

RECIPES = recipes.names()
PARAMS = Path("params.yaml")
BASELINE = "lenet, plain Keras"
KEYS = "lenet_by", "runs", "published"  # of a results file

COLUMNS = (
    "",
    "accuracy on t10k, %",
    "training time, s",
    "cost, L",
    "images per second",
    "MFLOPs per image (forward pass)",
    "peak memory, MiB",
)


def train_section(name: str, seed: int) -> dict[str, Any]:
    """Return section `train` of a named recipe with a seed."""
    section: dict[str, Any] = recipes.parameters(name, PARAMS)["train"] | {"seed": seed}
    return section


def is_current(run: Mapping[str, Any]) -> bool:
    """Return whether a run is of the baseline, or of its recipe as it is today."""
    if run["system"] not in RECIPES:
        return True
    return bool(run["settings"] == train_section(run["system"], run["settings"]["seed"]))


def read(path: Path) -> Results:
    """Return the content of a results file, without runs of recipes that have changed.

    Raises:
        InputError: The file is invalid.
        OSError: The file cannot be read.
    """
    results = results_file.read(path, KEYS)
    return results | {"runs": [run for run in results["runs"] if is_current(run)]}


def accuracies(runs: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    """Return the accuracy of each run of a system in %, scored as its recipe says."""
    mirrored = name in RECIPES and recipes.parameters(name, PARAMS)["evaluate"]["mirror_average"]
    key = "mirror_average" if mirrored else "accuracy"
    return [100 * run[key] for run in runs]


def by_system(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Return the runs of the baseline and of each recipe that has any."""
    systems = {
        name: [run for run in results["runs"] if run["system"] == name]
        for name in (BASELINE, *RECIPES)
    }
    return {name: runs for name, runs in systems.items() if runs}


def caption(results: Results) -> str:
    """Return what the table compares, and in which units."""
    return f"""\
Trained on all 60,000 training images, scored on t10k.
Accuracy: mean ± standard deviation over the runs; time, cost and speed: medians; memory: maximum.
1 L is the training time of LeNet by plain Keras with {results["lenet_by"]} kernels.
"""


def render(results: Results) -> str:
    """Return the Markdown table, one row per system; `caption` explains its columns."""
    rows = []
    for name, runs in by_system(results).items():
        flops = runs[0]["flops_per_image"]
        rows.append(
            [
                _label(name, runs),
                _spread(accuracies(runs, name)),
                f"{statistics.median(run['seconds'] for run in runs):,.0f}",
                f"{statistics.median(run['cost'] for run in runs):.2f}",
                f"{statistics.median(run['images'] / run['seconds'] for run in runs):,.0f}",
                f"{flops / 1e6:.1f}",
                f"{max(run['peak_mib'] for run in runs):,.0f}",
            ]
        )
    return markdown.table(COLUMNS, rows)


def draw(results: Results, path: Path) -> None:
    """Draw accuracy against training time: each run of the recipes, and the published systems."""
    figure = Figure(figsize=(8.5, 4.5), layout="constrained")
    axis = figure.subplots()
    for name, runs in by_system(results).items():
        costs = [run["cost"] for run in runs]
        axis.plot(costs, accuracies(runs, name), "^", label=_label(name, runs))
    # Names beside the points would overlap.
    markers = cycle("ovsDPX*ph")
    for name, point in results["published"].items():
        axis.plot(
            point["cost"],
            100 * point["accuracy"],
            next(markers),
            color="dimgray",
            fillstyle="none",
            label=f"published: {name}",
        )
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    unit = f"1 L: LeNet by plain Keras with {results['lenet_by']} kernels"
    axis.set_xlabel(f"training time in L (log scale); {unit}")
    axis.set_ylabel("accuracy on t10k, %")
    axis.set_title("Accuracy against training time")
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right center")
    with new_file(path) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})


def _label(name: str, runs: list[Any]) -> str:
    return f"{name} ({len(runs)} run{'s' * (len(runs) > 1)})"


def _spread(values: list[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}"
