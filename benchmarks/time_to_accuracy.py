"""What accuracy costs: recipes against LeNet as it was published, side by side.

The unit of cost is L, the time that LeNet takes as published: five epochs of all 60,000 images in
batches of 32 by a plain `Model.fit`, in the environment that TensorFlow sets up itself. In a round
LeNet and then every recipe train once on the same 60,000, each in a process of its own, so that a
slow minute slows both; a round is a seed. All are scored on t10k.

What TensorFlow sets up differs: where the processor has instructions for neural networks, it uses
oneDNN, elsewhere Eigen (https://github.com/tensorflow/tensorflow/releases/tag/v2.9.0), which makes
another unit of cost: what is measured goes to benchmarks/time_to_accuracy_onednn.json or
benchmarks/time_to_accuracy_eigen.json, and the picture to docs/.

Runs are added to the file one by one, and those in it are not repeated unless the recipe has
changed, so an interrupted benchmark goes on, and `--recipes` takes some of them at a time. The
published systems stand in the picture too: with the accuracy in published/metrics, and what their
images take at the rate of a short training.

Run `dvc repro published/dvc.yaml:preprocess` first, then
`python -m benchmarks.time_to_accuracy --seeds 5`.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from ruamel.yaml import YAML

import recipes
from benchmarks import trial
from fashion_mnist.files import new_file
from review import machine

RECIPES = ("default", *recipes.names())
BASELINE = "lenet, plain Keras"
SETS = Path("data/published/sets")
METRICS = Path("published/metrics/systems")
# With any of them TensorFlow uses oneDNN by itself, on Linux.
NEURAL = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}
SHORT, LONG = 50, 350  # steps; their difference is what a training's rate is taken from

HEADER = """\
| | accuracy, % | time, s | cost in L | images a second | MFLOPs an image | memory, MiB |
|---|--:|--:|--:|--:|--:|--:|
"""


def folders(name: str) -> tuple[Path, Path]:
    """Return the training set and t10k of a set of published/params.yaml."""
    return SETS / name / "prepared/train", SETS / name / "prepared/test"


def parameters(name: str) -> dict[str, Any]:
    """Return params.yaml, changed as a named recipe says."""
    found: dict[str, Any] = YAML(typ="safe").load(Path("params.yaml"))
    if name != "default":
        recipes.apply(recipes.read(name), found)
    return found


def lenet_by(cpuinfo: str) -> str:
    """Return whose convolutions LeNet as published runs with, by the text of /proc/cpuinfo."""
    return "oneDNN" if NEURAL & machine.flags(cpuinfo) else "Eigen"


def accuracies(results: dict[str, Any], name: str) -> list[float]:
    """Return the accuracy of each run, of image and mirror image where the recipe has them."""
    mirrored = name in RECIPES and parameters(name)["evaluate"]["mirror_average"]
    key = "mirror_average" if mirrored else "accuracy"
    return [run[key] for run in results["runs"] if run["system"] == name]


def current(run: dict[str, Any]) -> bool:
    """Return whether a run is of what its recipe is now."""
    if run["system"] not in RECIPES:
        return True
    wanted = parameters(run["system"])["train"] | {"seed": run["settings"]["seed"]}
    return bool(run["settings"] == wanted)


def measure(
    results: dict[str, Any], names: list[str], seeds: int, save: Callable[[], None]
) -> None:
    """Add the runs of some recipes, with seeds 1 to `seeds`, that are missing."""
    for seed in range(1, seeds + 1):
        missing = []
        for name in names:
            wanted = parameters(name)["train"] | {"seed": seed}
            done = [run for run in results["runs"] if run.get("settings") == wanted]
            if not done:
                missing.append((name, wanted))
        if not missing:
            continue
        baseline = trial.run(trial.PLAIN, folders("all"))
        results["runs"].append({"system": BASELINE, "cost": 1.0} | baseline)
        save()
        for name, wanted in missing:
            figures = trial.run(wanted, folders("all"))
            cost = figures["seconds"] / baseline["seconds"]
            run = {"system": name, "cost": cost} | figures | {"settings": wanted}
            results["runs"].append(run)
            print(f"seed {seed}: {run}", file=sys.stderr, flush=True)
            save()


def measure_published(results: dict[str, Any], save: Callable[[], None]) -> None:
    """Add the published systems that are missing: accuracy, and cost by a short training."""
    published = YAML(typ="safe").load(Path("published/params.yaml"))
    for name, system in published["systems"].items():
        if name in results["published"]:
            continue
        trained = json.loads((METRICS / name / "train.json").read_text(encoding="utf-8"))
        scored = json.loads((METRICS / name / "evaluate.json").read_text(encoding="utf-8"))
        train, _ = folders(system["sets"])
        data = train, folders("all")[1]
        short = system["train"] | {"select": "last"}
        few, many = (
            trial.run(short | {"steps": steps, "epochs": 100}, data) for steps in (SHORT, LONG)
        )
        rate = (many["images"] - few["images"]) / (many["seconds"] - few["seconds"])
        baseline = results["runs"][-1]["seconds"] / results["runs"][-1]["cost"]
        cost = trained["images_seen"] / rate / baseline
        results["published"][name] = {"accuracy": scored["accuracy"], "cost": cost}
        print(f"{name}: {results['published'][name]}", file=sys.stderr, flush=True)
        save()


def render(results: dict[str, Any]) -> str:
    """Return a Markdown table: a row a system, mean and standard deviation over its runs."""
    rows = []
    for name in (BASELINE, *RECIPES):
        runs = [run for run in results["runs"] if run["system"] == name]
        if not runs:
            continue
        seconds = statistics.median(run["seconds"] for run in runs)
        cost = statistics.median(run["cost"] for run in runs)
        rate = statistics.median(run["images"] / run["seconds"] for run in runs)
        memory = max(run["peak_mib"] for run in runs)
        flops = runs[0]["flops_per_image"] / 1e6
        cells = [
            _spread(accuracies(results, name)),
            f"{seconds:,.0f}",
            f"{cost:.2f}",
            f"{rate:,.0f}",
            f"{flops:.1f}",
            f"{memory:,.0f}",
        ]
        rows.append(f"| {name} ({_count(runs)}) | {' | '.join(cells)} |\n")
    return HEADER + "".join(rows)


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw accuracy against cost: every run of a recipe, and the published systems."""
    figure = Figure(figsize=(8.5, 4.5), layout="constrained")
    axis = figure.subplots()
    for name in (BASELINE, *RECIPES):
        runs = [run for run in results["runs"] if run["system"] == name]
        if not runs:
            continue
        points = [run["cost"] for run in runs], [100 * one for one in accuracies(results, name)]
        axis.plot(*points, "^", label=f"{name} ({_count(runs)})")
    # Points lie too close together to have their names beside them.
    markers = cycle("ovsDPX*ph")
    for name, point in results["published"].items():
        axis.plot(
            point["cost"],
            100 * point["accuracy"],
            next(markers),
            color="dimgray",
            fillstyle="none",
            label=name,
        )
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("cost of the training in L, the time of LeNet as published (log scale)")
    axis.set_ylabel("accuracy on t10k, %")
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right center")
    with new_file(path) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})


def _count(runs: list[Any]) -> str:
    return f"{len(runs)} run{'s' * (len(runs) > 1)}"


def _spread(values: list[float]) -> str:
    deviation = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{deviation}"


def main() -> None:
    here = lenet_by(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    name = f"time_to_accuracy_{here.lower()}"
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.time_to_accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=5, help="of each (default: %(default)s)")
    parser.add_argument(
        "--recipes",
        nargs="+",
        choices=RECIPES,
        default=list(RECIPES),
        metavar="NAME",
        help=f"which of them to train (default: all of {', '.join(RECIPES)})",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(f"benchmarks/{name}.json"),
        help="JSON file (default here: %(default)s)",
    )
    parser.add_argument(
        "--figure",
        type=Path,
        default=Path(f"docs/{name}.png"),
        help="PNG file (default here: %(default)s)",
    )
    args = parser.parse_args()
    results: dict[str, Any] = {"lenet_by": here, "runs": [], "published": {}}
    if args.output.exists():
        results = json.loads(args.output.read_text(encoding="utf-8"))
        if results.get("lenet_by") != here:
            parser.error(
                f"{args.output}: its unit of cost is LeNet by {results.get('lenet_by')}, but on "
                f"this processor it is LeNet by {here}; give another --output and --figure"
            )
        results["runs"] = [run for run in results["runs"] if current(run)]

    def save() -> None:
        with new_file(args.output) as temporary:
            temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    measure(results, args.recipes, args.seeds, save)
    measure_published(results, save)
    draw(results, args.figure)
    print(render(results), end="")


if __name__ == "__main__":
    main()
