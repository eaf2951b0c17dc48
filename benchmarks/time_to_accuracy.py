"""What accuracy costs: the recipes against LeNet as published, side by side.

The unit of cost is L, the training time of LeNet as published: five epochs of all 60,000 images in
batches of 32 by a plain `Model.fit`, in the environment that TensorFlow sets up itself. A round is
a seed: LeNet and then each recipe train once on the same 60,000 images, each in a process of its
own, so that a slow minute slows both. All are scored on t10k.

L depends on the processor: where it has instructions for neural networks, TensorFlow uses oneDNN,
otherwise Eigen (https://github.com/tensorflow/tensorflow/releases/tag/v2.9.0). So there is a
results file for each, benchmarks/time_to_accuracy_onednn.json and
benchmarks/time_to_accuracy_eigen.json, and a picture in docs/.

Every run is added to the file as it ends. Runs in it are not repeated unless their recipe changed,
so an interrupted benchmark resumes. The picture also shows the published systems, with the accuracy
in published/metrics and the cost of their images at the speed of a short training.

Run `dvc repro preprocess` in published/ first, then `python -m benchmarks.time_to_accuracy`.
With --render-only, table and picture come from the results file alone.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks import command_line, isolated_training, recipe_costs, results_file
from benchmarks.recipe_costs import BASELINE, RECIPES
from benchmarks.results_file import Results
from fashion_mnist import machine
from fashion_mnist.errors import InputError, reported

SETS = Path("published/data/sets")
METRICS = Path("published/metrics/systems")
# With any of these, TensorFlow on Linux uses oneDNN by itself.
NEURAL = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}
STEPS = 50, 350  # of the two trainings whose difference is the speed of a published system


def folders(name: str) -> tuple[Path, Path]:
    """Return the training set and t10k of a set of published/params.yaml."""
    return SETS / name / "prepared/train", SETS / name / "prepared/test"


def lenet_by(cpuinfo: str) -> str:
    """Return the library of LeNet's convolutions, given the text of /proc/cpuinfo."""
    return "oneDNN" if NEURAL & machine.flags(cpuinfo) else "Eigen"


def measure_recipes(results: Results, output: Path, names: Iterable[str], seeds: int) -> None:
    """Add the runs of some recipes, with the seeds 1 to `seeds`, that `results` lacks."""
    for seed in range(1, seeds + 1):
        wanted = {name: recipe_costs.train_section(name, seed) for name in names}
        done = [run["settings"] for run in results["runs"] if run["system"] != BASELINE]
        missing = {name: section for name, section in wanted.items() if section not in done}
        if not missing:
            continue
        baseline = isolated_training.run(isolated_training.PLAIN_LENET, folders("all"))
        results["runs"].append({"system": BASELINE, "cost": 1.0} | baseline)
        results_file.write(output, results)
        for name, section in missing.items():
            figures = isolated_training.run(section, folders("all"))
            cost = figures["seconds"] / baseline["seconds"]
            run = {"system": name, "cost": cost} | figures | {"settings": section}
            results["runs"].append(run)
            results_file.write(output, results)
            text = f"{name}, seed {seed}: {cost:.2f} L, {isolated_training.describe(figures)}"
            print(text, file=sys.stderr, flush=True)


def measure_published(results: Results, output: Path) -> None:
    """Add the published systems that `results` lacks."""
    systems = YAML(typ="safe").load(Path("published/params.yaml"))["systems"]
    for name in [name for name in systems if name not in results["published"]]:
        figures = published_figures(name, systems[name], seconds_per_l(results["runs"]))
        results["published"][name] = figures
        results_file.write(output, results)
        text = f"{name}: {figures['cost']:.2f} L, accuracy {figures['accuracy']:.2%}"
        print(text, file=sys.stderr, flush=True)


def published_figures(
    name: str, system: Mapping[str, Any], baseline_seconds: float
) -> dict[str, float]:
    """Return the measured accuracy of a published system, and its cost in L.

    Its training images are taken to cost what they do in a short training.
    """
    trained = json.loads((METRICS / name / "train.json").read_text(encoding="utf-8"))
    scored = json.loads((METRICS / name / "evaluate.json").read_text(encoding="utf-8"))
    data = folders(system["sets"])[0], folders("all")[1]
    images, seconds = isolated_training.without_start_up(system["train"], data, STEPS)
    cost = trained["images_seen"] * seconds / images / baseline_seconds
    return {"accuracy": scored["accuracy"], "cost": cost}


def seconds_per_l(runs: list[dict[str, Any]]) -> float:
    """Return the training time of LeNet in the round of the last run."""
    seconds: float = runs[-1]["seconds"] / runs[-1]["cost"]
    return seconds


def measure(output: Path, here: str, names: Iterable[str], seeds: int) -> Results:
    """Complete a results file on this processor, and return its content.

    Args:
        output: The results file; it need not exist.
        here: The library of LeNet's convolutions on this processor.
        names: The recipes to train.
        seeds: Runs of each, with the seeds 1, 2, ...

    Raises:
        InputError: The file's L is that of other processors, the file is invalid, or a training
            failed.
    """
    results: Results = {"lenet_by": here, "runs": [], "published": {}}
    if output.exists():
        results = recipe_costs.read(output)
    if results["lenet_by"] != here:
        raise InputError(
            f"{output}: lenet_by: got {results['lenet_by']}, expected {here}: L is another unit "
            "on this processor; choose another --output"
        )
    measure_recipes(results, output, names, seeds)
    measure_published(results, output)
    return results


def arguments(output: Path) -> argparse.Namespace:
    """Return the command line; `output` is the results file of this processor."""
    parser = command_line.parser("time_to_accuracy", __doc__)
    parser.add_argument(
        "--seeds",
        type=command_line.count,
        default=5,
        help="runs of each recipe, with the seeds 1, 2, ... (default: %(default)s)",
    )
    parser.add_argument(
        "--recipes",
        nargs="+",
        choices=RECIPES,
        default=list(RECIPES),
        metavar="NAME",
        help=f"recipes to train (default: all of {', '.join(RECIPES)})",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=output,
        help="results file to complete (default on this processor: %(default)s)",
    )
    parser.add_argument(
        "--figure", type=Path, help="PNG to write (default: docs/ and the name of the results file)"
    )
    parser.add_argument(
        "--render-only", action="store_true", help="measure nothing, show the results file"
    )
    return parser.parse_args()


def main() -> None:
    with reported("time_to_accuracy"):
        here = lenet_by(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
        args = arguments(Path(f"benchmarks/time_to_accuracy_{here.lower()}.json"))
        if args.render_only:
            results = results_file.read(args.output, recipe_costs.KEYS)
        else:
            results = measure(args.output, here, args.recipes, args.seeds)
        figure = args.figure or Path("docs") / args.output.with_suffix(".png").name
        recipe_costs.draw(results, figure)
        print(f"{recipe_costs.caption(results)}\n{recipe_costs.render(results)}", end="")


if __name__ == "__main__":
    main()
