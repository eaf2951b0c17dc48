"""Writes what the recipes reach and cost into the table of README.md.

The figures are those that `python -m benchmarks.time_to_accuracy` measured.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import recipes
from fashion_mnist import marked_table
from fashion_mnist.errors import InputError, reported

# LeNet on a processor without AVX-512 runs by Eigen, with it by oneDNN.
MEASURED = (
    Path("benchmarks/time_to_accuracy_eigen.json"),
    Path("benchmarks/time_to_accuracy_onednn.json"),
)

HEADER = """\
| | images seen | accuracy | time without AVX-512 | time with AVX-512 |
|---|--:|--:|--:|--:|
"""

Runs = Sequence[Mapping[str, Any]]


def render(measured: Sequence[Runs], mirrored: Mapping[str, bool]) -> str:
    """Return a Markdown table, a row per system, the fastest first.

    Args:
        measured: The runs without and with AVX-512, from the files of the benchmark.
        mirrored: Whether a recipe averages over an image and its mirror image when it scores.
    """
    names = list(dict.fromkeys(run["system"] for runs in measured for run in runs))
    rows = []
    for name in names:
        own = [[run for run in runs if run["system"] == name] for runs in measured]
        rows.append((_seconds(max(own, key=len)), _row(name, own, mirrored.get(name, False))))
    return HEADER + "".join(row for _, row in sorted(rows))


def _row(name: str, measured: Sequence[Runs], mirrored: bool) -> str:
    # A seed has the same accuracy on both processors, so the longer series has all of them.
    runs = max(measured, key=len)
    accuracies = [100 * run["mirror_average" if mirrored else "accuracy"] for run in runs]
    deviation = f" ± {statistics.stdev(accuracies):.2f}" if len(runs) > 1 else ""
    cells = [
        f"`{name}`" if name in recipes.names() else name,
        f"{runs[0]['images']:,}",
        f"{statistics.mean(accuracies):.2f}{deviation}%",
        *map(_time, measured),
    ]
    return f"| {' | '.join(cells)} |\n"


def _seconds(runs: Runs) -> float:
    return float(statistics.median(run["seconds"] for run in runs))


def _time(runs: Runs) -> str:
    if not runs:
        return "not measured"
    return f"{_seconds(runs):,.0f} s{' (1 run)' if len(runs) == 1 else ''}"


def _read(path: Path) -> Runs:
    try:
        runs: Runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected JSON with a list 'runs' ({error})") from error
    return runs


def current() -> str:
    """Return the table of the committed measurements.

    Raises:
        InputError: A file of the benchmark is not valid.
    """
    mirrored = {
        name: recipes.parameters(name, Path("params.yaml"))["evaluate"]["mirror_average"]
        for name in recipes.names()
    }
    return render([_read(path) for path in MEASURED], mirrored)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recipes.table", description=__doc__)
    parser.add_argument(
        "--readme",
        type=Path,
        default=Path("README.md"),
        help="file to change (default: %(default)s)",
    )
    args = parser.parse_args()
    with reported("table"):
        marked_table.write(args.readme, "recipes", "python -m recipes.table", current())


if __name__ == "__main__":
    main()
