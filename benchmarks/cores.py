"""How fast the recipe of params.yaml trains on some numbers of cores, and to which weights.

Trains it, without selection, for some steps on 1, 2, 4, ... cores: in 4, 8 and 16 shards, as the
pipeline does, and with whole batches whose operations have as many threads as there are cores, as
plain Keras does. Each run is a process of its own, and all take turns, several times. Also times
the batches alone, which one Python thread makes. Prints a table for docs/benchmarks.md, and draws a
picture of whole batches and of 8 shards.

Run `dvc repro preprocess` first, then `python -m benchmarks.cores`.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from benchmarks import child_process, command_line, isolated_training, markdown
from fashion_mnist import determinism, params
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared
from fashion_mnist.errors import InputError, reported
from fashion_mnist.files import new_file
from stages import train

PARAMS = Path("params.yaml")
DATA = Path("data/prepared/train")
PICTURE = Path("docs/cores.png")
WARM_UP = 5  # steps that are not timed: TensorFlow builds its graph in the first
STEPS = 60
REPEATS = 3
# Characters of a hash that are shown.
SHOWN = 8

WHOLE = 0  # shards, as a number in `Run`
SHARDS = (4, 8, 16)
DRAWN = 8


class Run(NamedTuple):
    """Shards of a batch (`WHOLE` for plain batches), and the cores that a training may use."""

    shards: int
    cores: int

    @property
    def kind(self) -> str:
        """The number of shards in words."""
        return f"{self.shards} shards" if self.shards else "whole batches"


class Figures(NamedTuple):
    """Images per second, a hash of the trained weights, peak memory in MiB, seconds per batch."""

    speed: float
    weights: str
    peak_mib: float
    seconds_per_batch: float


REFERENCE = Run(WHOLE, 2)

CAPTION = f"""\
Median of {REPEATS} rounds. Relative speed: to whole batches on 2 cores in the same round.
"""
COLUMNS = ("batches", "cores", "images per second", "relative speed", "peak memory, MiB", "weights")


def runs(available: int) -> list[Run]:
    """Return what to measure on a machine: 1, 2, 4, ... cores and all of them."""
    powers = [2**power for power in range(available.bit_length()) if 2**power < available]
    return [Run(kind, cores) for kind in (WHOLE, *SHARDS) for cores in [*powers, available]]


def measure(run: Run) -> Figures:
    """Train the recipe in this process, which may use some cores only."""
    settings = params.read(PARAMS, "train", train.Params)
    settings = settings.model_copy(update={"shards": run.shards or 1})
    data = prepared.load(DATA)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: run.cores])
    if run.shards == WHOLE:
        determinism.THREADS_PER_OPERATION = run.cores
    determinism.start(settings.seed)

    from fashion_mnist.training.batches import Batches

    images = STEPS * settings.batch_size
    batches = Batches(
        Prepared(data.images[:images], data.labels[:images]),
        settings.batch_size,
        settings.seed,
        settings.loss.startswith("sparse"),
        augmentation=settings.augmentation,
    )
    trained = isolated_training.recipe_model(settings, batches)
    trained.fit(batches.dataset().take(WARM_UP), shuffle=False, verbose=0)
    trained.begin()
    began = time.perf_counter()
    trained.fit(batches.dataset(), shuffle=False, verbose=0)
    speed = images / (time.perf_counter() - began)
    digest = isolated_training.weights_hash(trained.network)
    peak = isolated_training.peak_memory()
    began = time.perf_counter()
    for _ in batches.dataset():
        pass
    return Figures(speed, digest, peak, (time.perf_counter() - began) / STEPS)


def measure_apart(run: Run) -> Figures:
    """Return what `measure` returns in a new process."""
    environment = {determinism.CORES: str(run.cores)}
    figures = Figures(
        *child_process.run("benchmarks.cores", "--child", json.dumps(run), environment=environment)
    )
    text = f"{run.kind}, {run.cores} cores: {figures.speed:,.0f} images per second"
    print(text, file=sys.stderr, flush=True)
    return figures


def relative(rounds: Sequence[Mapping[Run, Figures]], run: Run) -> float:
    """Return the median speed relative to the reference in the same round."""
    return statistics.median(one[run].speed / one[REFERENCE].speed for one in rounds)


def hashes(rounds: Sequence[Mapping[Run, Figures]], run: Run) -> str:
    """Return the beginning of the hash of each model that a run gave."""
    return ", ".join(sorted({one[run].weights[:SHOWN] for one in rounds}))


def render(rounds: Sequence[Mapping[Run, Figures]]) -> str:
    """Return the Markdown table that `CAPTION` describes."""
    rows = [
        [
            run.kind,
            str(run.cores),
            f"{statistics.median(one[run].speed for one in rounds):,.0f}",
            f"{relative(rounds, run):.2f}",
            f"{max(one[run].peak_mib for one in rounds):,.0f}",
            f"`{hashes(rounds, run)}`",
        ]
        for run in rounds[0]
    ]
    return markdown.table(COLUMNS, rows)


def draw(rounds: Sequence[Mapping[Run, Figures]], path: Path) -> None:
    """Draw the relative speeds of two kinds of training as bars with the hashes of the weights."""
    rows = [
        (
            f"{run.kind}, {run.cores} core{'s' * (run.cores > 1)}",
            relative(rounds, run),
            hashes(rounds, run),
        )
        for run in rounds[0]
        if run.shards in (WHOLE, DRAWN)
    ]
    title = "Training speed, and the SHA-256 of the weights (same colour: same weights)"
    draw_bars(rows, "images per second, relative to whole batches on 2 cores", title, path)


def draw_bars(rows: Sequence[tuple[str, float, str]], label: str, title: str, path: Path) -> None:
    """Draw bars, one for each (name, length, hash); equal hashes have one colour."""
    figure = Figure(figsize=(8.5, 0.7 + 0.45 * len(rows)), layout="constrained")
    axis = figure.subplots()
    known = list(dict.fromkeys(weights for _, _, weights in rows))
    for place, (_, length, weights) in enumerate(rows):
        axis.barh(place, length, color=f"C{known.index(weights)}")
        axis.text(length, place, f" {weights}", va="center", family="monospace")
    axis.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axis.invert_yaxis()
    axis.margins(x=0.2)
    axis.set_xlabel(label)
    axis.set_title(title)
    axis.spines[["top", "right"]].set_visible(False)
    with new_file(path) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = command_line.parser("cores", __doc__)
    parser.add_argument(
        "--figure", type=Path, default=PICTURE, help="PNG to write (default: %(default)s)"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    with reported("cores"):
        if args.child:
            print(json.dumps(measure(Run(*json.loads(args.child)))))
            return
        available = len(os.sched_getaffinity(0))
        if available < REFERENCE.cores:
            raise InputError(f"expected at least {REFERENCE.cores} cores")
        measured = runs(available)
        rounds: list[dict[Run, Figures]] = [
            {run: measure_apart(run) for run in measured} for _ in range(REPEATS)
        ]
        seconds = min(figures.seconds_per_batch for one in rounds for figures in one.values())
        print(f"{CAPTION}\n{render(rounds)}\nTo prepare a batch takes {1000 * seconds:.1f} ms.")
        draw(rounds, args.figure)


if __name__ == "__main__":
    main()
