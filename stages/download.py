"""Fetches the release, verified by hash, as four IDX files, and the batches that came after it."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from fashion_mnist import figures, orphan, params
from fashion_mnist.data import class_counts, delivery, idx, kaggle_csv, sources
from fashion_mnist.data.idx import Uint8
from fashion_mnist.data.sources import Pin
from fashion_mnist.dataset import NAMES
from fashion_mnist.errors import InputError, reported
from fashion_mnist.files import new_folder, sha256, write_metrics, write_table

# Each half of the release: its images and its labels.
HALVES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "t10k": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
FILES = [name for names in HALVES.values() for name in names]
CSV = {"train": "fashion-mnist_train.csv", "t10k": "fashion-mnist_test.csv"}
BATCHES = "batches"  # folder beside these files, where there are any
SAMPLES = 5  # images of each class in the figure


class BatchFile(Pin):
    """A file of a batch: where it is, and what it must be once it is uncompressed."""

    url: str


class Batch(params.Section):
    """Labelled images that came after the release, as `fashion_mnist.data.delivery` reads them."""

    date: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    files: list[BatchFile] = Field(min_length=1, max_length=2)

    @property
    def name(self) -> str:
        """What metrics call it."""
        return f"batch_{self.date.replace('-', '_')}_{self.files[0].sha256[:8]}"


class Params(params.Section):
    """Section `download` of params.yaml."""

    sources: list[str] = Field(min_length=1)
    timeout: float = Field(gt=0)  # seconds without a byte
    attempts: int = Field(ge=1)
    files: dict[str, Pin]
    batches: list[Batch] = Field(default_factory=list)

    @field_validator("batches")
    @classmethod
    def _once(cls, batches: list[Batch]) -> list[Batch]:
        seen: set[str] = set()
        for file in [file for item in batches for file in item.files]:
            if file.sha256 in seen:
                raise ValueError(f"each file once, but {file.sha256} is there twice")
            seen.add(file.sha256)
        return batches

    @field_validator("files")
    @classmethod
    def _complete(cls, files: dict[str, Pin]) -> dict[str, Pin]:
        if set(files) not in (set(FILES), set(CSV.values())):
            raise ValueError(
                f"an entry for each of {', '.join(FILES)}, or of {', '.join(CSV.values())}"
            )
        return files


def fetch_all(settings: Params, present: Path, folder: Path) -> None:
    """Fill `folder` with the pinned files.

    Files that already stand in `present` with the right hash are copied, not fetched. The others
    are asked of each source in turn; a source that fails for one file is not asked for the next.

    Raises:
        InputError: Every source failed; the message gives each one's reason.
    """
    missing = []
    for name in [name for name in (*FILES, *CSV.values()) if name in settings.files]:
        there = present / name
        if there.is_file() and sha256(there) == settings.files[name].sha256:
            shutil.copyfile(there, folder / name)
            _say(f"{name}: already there")
        else:
            missing.append(name)
    failures = []
    for source in settings.sources:
        if not missing:
            break
        try:
            with sources.opened(source) as place:
                while missing:
                    name = missing[0]
                    _fetch(f"{place}/{name}", settings, folder / name)
                    missing.remove(name)
                    _say(f"{name}: from {source}")
        # Each protocol fails in ways of its own; whatever it is, the next source may do better.
        except Exception as error:
            reason = " ".join(f"{type(error).__name__} {error}".split())
            reason = reason.removeprefix("InputError ")
            failures.append(f"{source}: {reason}")
            _say(f"{failures[-1]}; trying the next source")
    if missing:
        raise InputError(f"no source has {', '.join(missing)}: " + "; ".join(failures))


def fetch_batches(settings: Params, present: Path, folder: Path) -> None:
    """Fill `folder` with the files of all batches, each under its SHA-256 as its name.

    What already stands in `present` is copied, not fetched: the place that a batch came from need
    not keep it for ever.

    Raises:
        InputError: A file cannot be had, or is another one.
    """
    folder.mkdir()
    for file in [file for item in settings.batches for file in item.files]:
        there = present / file.sha256
        if there.is_file() and sha256(there) == file.sha256:
            shutil.copyfile(there, folder / file.sha256)
            _say(f"{file.url}: already there")
            continue
        try:
            sources.fetch(
                file.url,
                file,
                folder / file.sha256,
                timeout=settings.timeout,
                attempts=settings.attempts,
            )
        # Each protocol fails in ways of its own.
        except Exception as error:
            reason = " ".join(f"{type(error).__name__} {error}".split())
            raise InputError(f"{file.url}: {reason.removeprefix('InputError ')}") from error
        _say(f"{file.url}: fetched")


def _fetch(url: str, settings: Params, target: Path) -> None:
    """Fetch a file whose name may have .gz appended at the source."""

    def from_url(url: str) -> None:
        pin = settings.files[target.name]
        sources.fetch(url, pin, target, timeout=settings.timeout, attempts=settings.attempts)

    try:
        from_url(f"{url}.gz")
    except FileNotFoundError:
        from_url(url)


def convert(source: Path, folder: Path) -> None:
    """Write Kaggle's two CSV files in `source` as four IDX files to `folder`, row for row.

    Raises:
        InputError: A file is not of that form.
    """
    for half, name in CSV.items():
        for array, target in zip(kaggle_csv.read(source / name), HALVES[half], strict=True):
            idx.write(folder / target, array)


def _say(text: str) -> None:
    print(f"download: {text}", file=sys.stderr, flush=True)


def describe(images: Uint8, labels: Uint8) -> dict[str, Any]:
    """Return number and size of the images (n, rows, columns) and how many each class has."""
    return {
        "images": len(images),
        "rows": images.shape[1],
        "columns": images.shape[2],
        "classes": class_counts.count(labels),
    }


def first_of_each_class(images: Uint8, labels: Uint8) -> Uint8:
    """Return the first five images of each class, class after class, as (50, rows, columns)."""
    rows = [np.flatnonzero(labels == label)[:SAMPLES] for label in range(len(NAMES))]
    short = [NAMES[label] for label, found in enumerate(rows) if len(found) < SAMPLES]
    if short:
        raise InputError(f"class {short[0]} has fewer than {SAMPLES} images")
    return images[np.concatenate(rows)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.download", description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    parser.add_argument("--output", type=Path, required=True, help="folder for the four IDX files")
    parser.add_argument("--metrics", type=Path, required=True, help="JSON: counts and hashes")
    parser.add_argument("--classes", type=Path, required=True, help="CSV: images of each class")
    parser.add_argument("--figure", type=Path, required=True, help="PNG: samples of each class")
    args = parser.parse_args()
    orphan.watch()
    with reported("download"):
        settings = params.read(args.params, "download", Params)
        metrics = {}
        with new_folder(args.output) as folder:
            if CSV["train"] in settings.files:
                tables = folder / "tables"
                tables.mkdir()
                fetch_all(settings, args.output, tables)
                convert(tables, folder)
                shutil.rmtree(tables)
            else:
                fetch_all(settings, args.output, folder)
            for half, names in HALVES.items():
                images, labels = idx.read_pair(*(folder / name for name in names))
                hashes = {name: sha256(folder / name) for name in names}
                metrics[half] = describe(images, labels) | {"sha256": hashes}
                if half == "train":
                    samples = first_of_each_class(images, labels)
            if settings.batches:
                fetch_batches(settings, args.output / BATCHES, folder / BATCHES)
            for item in settings.batches:
                hashes = {f"{BATCHES}/{file.sha256}": file.sha256 for file in item.files}
                images, labels = delivery.read([folder / name for name in hashes])
                metrics[item.name] = describe(images, labels) | {"sha256": hashes}
        counts = {name: found["classes"] for name, found in metrics.items()}
        write_table(args.classes, class_counts.tabulate(counts))
        figures.samples(samples, NAMES, args.figure)
        write_metrics(args.metrics, metrics)


if __name__ == "__main__":
    main()
