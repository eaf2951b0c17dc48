"""Fetches the release, verified by hash, as four IDX files, and the deliveries listed after it."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from fashion_mnist import figures, params
from fashion_mnist.data import class_counts, delivery, idx, kaggle_csv, sources
from fashion_mnist.data.idx import Uint8
from fashion_mnist.data.sources import Pin
from fashion_mnist.dataset import HALVES, NAMES
from fashion_mnist.errors import InputError, reason
from fashion_mnist.files import new_folder, sha256, write_metrics, write_table
from fashion_mnist.stage import Stage

FILES = [name for names in HALVES.values() for name in names]
CSV = {"train": "fashion-mnist_train.csv", "t10k": "fashion-mnist_test.csv"}
DELIVERIES = "deliveries"  # folder beside the files of the release
SAMPLES = 5  # images of each class in the figure


class DeliveryFile(Pin):
    """A file of a delivery: where it is, and the length and hash of its uncompressed content."""

    url: str


class Delivery(params.Section):
    """Labelled images that came after the release, as `fashion_mnist.data.delivery` reads them."""

    date: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    files: list[DeliveryFile] = Field(min_length=1, max_length=2)

    @property
    def name(self) -> str:
        """Its key in metrics."""
        return f"delivery_{self.date.replace('-', '_')}_{self.files[0].sha256[:8]}"


class Params(params.Section):
    """Section `download` of params.yaml."""

    sources: list[str] = Field(min_length=1)
    timeout: PositiveFloat  # seconds without a byte
    attempts: PositiveInt
    files: dict[str, Pin]
    deliveries: list[Delivery] = Field(default_factory=list)

    @field_validator("deliveries", mode="before")
    @classmethod
    def _null_is_none(cls, deliveries: object) -> object:
        return [] if deliveries is None else deliveries

    @field_validator("deliveries")
    @classmethod
    def _each_once(cls, deliveries: list[Delivery]) -> list[Delivery]:
        # Two pairs may have the same labels, byte for byte. The first file has the images.
        seen: set[str] = set()
        for item in deliveries:
            first, *others = [file.sha256 for file in item.files]
            if first in seen or first in others:
                raise ValueError(f"each delivery once, but {first} occurs twice")
            seen.add(first)
        return deliveries

    @field_validator("files")
    @classmethod
    def _complete(cls, files: dict[str, Pin]) -> dict[str, Pin]:
        if set(files) not in (set(FILES), set(CSV.values())):
            raise ValueError(
                f"an entry for each of {', '.join(FILES)}, or of {', '.join(CSV.values())}"
            )
        return files


def fetch_release(settings: Params, present: Path, folder: Path) -> None:
    """Fill a folder with the four IDX files of the release, from IDX files or Kaggle's CSV pair.

    Args:
        settings: The section of params.yaml; its `files` are either of the two.
        present: Folder of an earlier run; IDX files there that match their hash are not fetched.
        folder: Folder to fill.

    Raises:
        InputError: A file cannot be fetched, or is not in its format.
    """
    if CSV["train"] not in settings.files:
        fetch_all(settings, FILES, present, folder)
        return
    tables = folder / "tables"
    tables.mkdir()
    fetch_all(settings, list(CSV.values()), present, tables)
    for half, name in CSV.items():
        for array, target in zip(kaggle_csv.read(tables / name), HALVES[half], strict=True):
            idx.write(folder / target, array)
    shutil.rmtree(tables)


def fetch_all(settings: Params, names: list[str], present: Path, folder: Path) -> None:
    """Fill a folder with pinned files.

    Each source in turn is asked for the files that are still missing; a source that fails for one
    file is not asked for the next.

    Raises:
        InputError: Every source failed; the message has the reason of each.
    """
    missing = []
    for name in names:
        if _copied(present / name, settings.files[name], folder):
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
                    _fetch_any(sources.candidates(place, name), name, folder, settings)
                    missing.remove(name)
                    _say(f"{name}: from {source}")
        # Protocols fail in different ways. Whatever the reason, the next source may succeed.
        except Exception as error:
            failures.append(f"{source}: {reason(error)}")
            _say(f"{failures[-1]}; trying the next source")
    if missing:
        raise InputError(f"no source has {', '.join(missing)}: " + "; ".join(failures))


def fetch_deliveries(settings: Params, present: Path, folder: Path) -> None:
    """Fill a folder with the files of all deliveries, each named by its SHA-256.

    Files in `present` are copied, not fetched, so their source may delete them.

    Raises:
        InputError: A file cannot be fetched, or its content is not the pinned one.
    """
    folder.mkdir()
    # Two deliveries may share a file.
    files = {file.sha256: file for item in settings.deliveries for file in item.files}
    for file in files.values():
        if _copied(present / file.sha256, file, folder):
            _say(f"{file.url}: already there")
            continue
        try:
            _fetch(file.url, file, folder / file.sha256, settings)
        except Exception as error:
            raise InputError(
                f"the data of delivery {file.url} cannot be reached here: {reason(error)}; "
                "docs/remote.md says where it is looked for"
            ) from error
        _say(f"{file.url}: fetched")


def _copied(present: Path, pin: Pin, folder: Path) -> bool:
    """Copy a file of an earlier run into a folder if it is the pinned one; return whether it is."""
    if not present.is_file() or sha256(present) != pin.sha256:
        return False
    shutil.copyfile(present, folder / present.name)
    return True


def _fetch_any(urls: list[str], name: str, folder: Path, settings: Params) -> None:
    """Fetch a file from the first place that has it."""
    for url in urls[:-1]:
        try:
            _fetch(url, settings.files[name], folder / name, settings)
        except FileNotFoundError:
            continue
        return
    _fetch(urls[-1], settings.files[name], folder / name, settings)


def _fetch(url: str, pin: Pin, target: Path, settings: Params) -> None:
    sources.fetch(url, pin, target, timeout=settings.timeout, attempts=settings.attempts)


def _say(text: str) -> None:
    print(f"download: {text}", file=sys.stderr, flush=True)


def describe(folder: Path, files: list[str]) -> dict[str, Any]:
    """Return number, size and classes of the images in some files, and the hash of each file.

    Args:
        folder: Folder of the files.
        files: Names of an IDX pair, or of the files of a delivery.

    Raises:
        InputError: The files cannot be read.
    """
    images, labels = delivery.read([folder / name for name in files])
    return {
        "images": len(images),
        "rows": images.shape[1],
        "columns": images.shape[2],
        "classes": class_counts.count(labels),
        "sha256": {name: sha256(folder / name) for name in files},
    }


def describe_all(settings: Params, folder: Path) -> dict[str, Any]:
    """Return the description of each half of the release and of each delivery."""
    contents = {half: list(names) for half, names in HALVES.items()}
    for item in settings.deliveries:
        contents[item.name] = [f"{DELIVERIES}/{file.sha256}" for file in item.files]
    return {name: describe(folder, files) for name, files in contents.items()}


def first_of_each_class(images: Uint8, labels: Uint8) -> Uint8:
    """Return the first five images of each class, class after class, (50, height, width).

    Raises:
        InputError: A class has fewer.
    """
    rows = [np.flatnonzero(labels == label)[:SAMPLES] for label in range(len(NAMES))]
    short = [NAMES[label] for label, found in enumerate(rows) if len(found) < SAMPLES]
    if short:
        raise InputError(f"class {short[0]} has fewer than {SAMPLES} images")
    return images[np.concatenate(rows)]


def main() -> None:
    stage = Stage("stages.download", __doc__, Params)
    stage.writes("--output", "folder of the four IDX files")
    stage.writes("--metrics", "JSON: number of images and hashes")
    stage.writes("--classes", "CSV: number of images of each class")
    stage.writes("--figure", "PNG: samples of each class")
    with stage.running() as (args, settings):
        with new_folder(args.output) as folder:
            fetch_release(settings, args.output, folder)
            if settings.deliveries:
                fetch_deliveries(settings, args.output / DELIVERIES, folder / DELIVERIES)
            metrics = describe_all(settings, folder)
            train = idx.read_pair(*(folder / name for name in HALVES["train"]))
            samples = first_of_each_class(*train)
        counts = {name: item["classes"] for name, item in metrics.items()}
        write_table(args.classes, class_counts.tabulate(counts))
        figures.samples(samples, NAMES, args.figure)
        write_metrics(args.metrics, metrics)


if __name__ == "__main__":
    main()
