"""Time and peak memory of download, split and preprocess, for several numbers of images.

Makes random grey images of 28x28 pixels, a training file of as many as `--images` says and a test
file of a sixth, and runs the stages on them in a temporary folder (TMPDIR), each in a process of
its own. Memory that depends on the number of images shows in the ratios.

python -m benchmarks.data_stages --images 60000 600000
"""

import contextlib
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

import recipes
from benchmarks import child_process, command_line, markdown
from fashion_mnist.data import idx
from fashion_mnist.data.labelled import BLOCK, Blocks
from fashion_mnist.dataset import HALVES
from fashion_mnist.errors import reported
from fashion_mnist.files import sha256

MODULE = "benchmarks.data_stages"
SIDE, CLASSES = 28, 10
TEST = 6  # training images for each one in the test file, and in the sample that split draws
NUMBERS = (60_000, 600_000)
STAGES = {
    "download": (
        *("--output", "data/raw", "--dataset", "metrics/dataset.json"),
        *("--metrics", "metrics/download.json", "--classes", "metrics/download_classes.csv"),
        *("--figure", "data/figures/samples.png"),
    ),
    "split": (
        *("--raw", "data/raw", "--dataset", "metrics/dataset.json"),
        *("--download", "metrics/download.json", "--output", "data/split"),
        *("--metrics", "metrics/split.json", "--classes", "metrics/split_classes.csv"),
    ),
    "preprocess": (
        *("--split", "data/split", "--dataset", "metrics/dataset.json"),
        *("--output", "data/prepared", "--metrics", "metrics/preprocess.json"),
    ),
}
COLUMNS = ("stage", "images", "peak memory, MiB", "ratio", "time, s", "ratio")


class Cost(NamedTuple):
    """Peak memory of a stage in MiB, and its time in seconds, imports included."""

    peak_mib: float
    seconds: float


def blocks(images: int, seed: int) -> Blocks:
    """Yield random images and labels; all classes occur equally often."""
    generator = np.random.default_rng(seed)
    for start in range(0, images, BLOCK):
        labels = np.arange(start, min(start + BLOCK, images)) % CLASSES
        shape = (len(labels), SIDE, SIDE)
        yield generator.integers(0, 256, shape, dtype=np.uint8), labels.astype(np.uint8)


def make(folder: Path, images: int) -> None:
    """Write a source with a training file of so many images, and a params.yaml for it."""
    source = folder / "source"
    source.mkdir()
    pins = {}
    sizes = {"train": images, "t10k": images // TEST}
    for seed, (half, names) in enumerate(HALVES.items()):
        of_images, of_labels = (source / name for name in names)
        idx.write_pair(of_images, of_labels, blocks(sizes[half], seed))
        for name in names:
            path = source / name
            pins[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    changes = recipes.read_data_set("fashion_mnist")  # ten classes, grey
    changes["download"] |= {"sources": [str(source)], "files": pins, "deliveries": []}
    changes["split"]["size"] = images // TEST // CLASSES * CLASSES
    parameters = recipes.loaded(Path("params.yaml"), changes)
    recipes.apply(changes, parameters)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        recipes.writer().dump(parameters, file)


def run(stage: str, folder: Path) -> Cost:
    """Run a stage in a folder, in this process."""
    os.chdir(folder)
    sys.argv = [stage, *STAGES[stage]]
    began = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        importlib.import_module(f"stages.{stage}").main()
    seconds = time.perf_counter() - began
    # Only now, since it imports much that a stage does not.
    from benchmarks import isolated_training

    return Cost(isolated_training.peak_memory(), seconds)


def measure(images: int) -> Iterator[tuple[str, Cost]]:
    """Run the stages on so many images, and yield the cost of each."""
    with tempfile.TemporaryDirectory(prefix="data-stages-") as name:
        make(Path(name), images)
        for stage in STAGES:
            cost = Cost(*child_process.run(MODULE, "--stage", stage, "--folder", name))
            print(f"{stage}, {images:,} images: {cost.peak_mib:,.0f} MiB", file=sys.stderr)
            yield stage, cost


def render(found: Mapping[int, Mapping[str, Cost]]) -> str:
    """Return a Markdown table, a row for each stage and number; ratios are to the first number.

    Args:
        found: Cost of each stage for each number of images.
    """
    first = next(iter(found.values()))
    rows = [
        [
            stage,
            f"{images:,}",
            f"{costs[stage].peak_mib:,.0f}",
            f"{costs[stage].peak_mib / first[stage].peak_mib:.2f}",
            f"{costs[stage].seconds:,.1f}",
            f"{costs[stage].seconds / first[stage].seconds:.1f}",
        ]
        for stage in STAGES
        for images, costs in found.items()
    ]
    return markdown.table(COLUMNS, rows)


def main() -> None:
    parser = command_line.parser("data_stages", __doc__)
    parser.add_argument(
        "--images",
        type=command_line.count,
        nargs="+",
        default=NUMBERS,
        help="images in the training file (default: 60000 600000)",
    )
    parser.add_argument("--stage", choices=STAGES, help="measure one in --folder, as a child")
    parser.add_argument("--folder", type=Path, help="a folder with params.yaml and its source")
    args = parser.parse_args()
    with reported("data_stages"):
        if args.stage and args.folder:
            print(json.dumps(run(args.stage, args.folder)))
        else:
            print(render({images: dict(measure(images)) for images in sorted(args.images)}))


if __name__ == "__main__":
    main()
