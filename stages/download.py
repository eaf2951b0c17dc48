"""Fetches a release, verified by hash, as IDX files, and the deliveries listed after it."""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from fashion_mnist import dataset, figures, params
from fashion_mnist.data import class_counts, delivery, idx, pictures, release, sources
from fashion_mnist.data.labelled import Blocks, Uint8
from fashion_mnist.data.release import Format, Reading
from fashion_mnist.data.sources import Pin
from fashion_mnist.dataset import HALVES, Dataset, Side
from fashion_mnist.errors import InputError, reason
from fashion_mnist.files import CHECKSUMS, new_folder, sha256, write_metrics, write_table
from fashion_mnist.stage import Stage

DELIVERIES = "deliveries"  # folder beside the files of the release
SAMPLES = 5  # images of each class in the figure
SHOWN = 20  # classes in it


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
    classes: list[str] | None = None
    first_label: Literal[0, 1] = 0
    resize: tuple[Side, Side] | None = Field(default=None, strict=False)
    channels: Literal[1, 3] | None = None
    files: dict[str, Pin]
    deliveries: list[Delivery] = Field(default_factory=list)

    @property
    def format(self) -> Format:
        """Format of the release."""
        return release.format_of(self.files)

    @property
    def reading(self) -> Reading:
        """How to read the release."""
        options = pictures.Options(self.resize, self.channels)
        return Reading(self.classes, self.first_label, options)

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

    @field_validator("classes")
    @classmethod
    def _each_named(cls, classes: list[str] | None) -> list[str] | None:
        if classes is not None:
            dataset.by_key(classes)
        return classes

    @field_validator("files")
    @classmethod
    def _of_a_format(cls, files: dict[str, Pin]) -> dict[str, Pin]:
        release.format_of(files)
        if inside := [name for name in files if "/" in name]:
            raise ValueError(
                f"names of files without a folder, which is a source, but one is {inside[0]}"
            )
        return files

    @model_validator(mode="after")
    def _fits_the_format(self) -> Self:
        if self.format.kind in ("zip", "listing"):
            if self.first_label:
                raise ValueError("first_label: 0, since pictures have no numbers as labels")
        elif not self.classes:
            raise ValueError("classes: the names of the classes in label order, in a list")
        elif self.resize or self.channels:
            raise ValueError("resize: null and channels: null, which are for pictures alone")
        return self


def fetch_release(settings: Params, present: Path, folder: Path) -> Dataset:
    """Fill a folder with the IDX files of the release, and return what its images are.

    Args:
        settings: The section of params.yaml.
        present: Folder of an earlier run; IDX files there that match their hash are not fetched.
        folder: Folder to fill.

    Raises:
        InputError: A file cannot be fetched, or is not in its format.
    """
    fetched = folder / "fetched"
    fetched.mkdir()
    form = settings.format
    own_names = {name: part for part, name in form.files.items()}
    missing = []
    for name, pin in settings.files.items():
        if _copied(present / own_names[name], pin, fetched / name):
            _say(f"{name}: already there")
        else:
            missing.append(name)
    try:
        fetch_all(settings, missing, fetched)
        found = release.convert(form, fetched, folder, settings.reading)
    except InputError as error:
        raise InputError(str(error).replace(f"{fetched}/", "")) from error
    shutil.rmtree(fetched)
    return found


def fetch_all(settings: Params, names: Iterable[str], folder: Path) -> None:
    """Fill a folder with pinned files, and with the pictures that are listed in one of them.

    Each source in turn is asked for the files that are still missing; a source that fails for one
    file is not asked for the next.

    Raises:
        InputError: Every source failed; the message has the reason of each.
    """
    missing = list(names)
    failures = []
    for source in settings.sources:
        if not missing:
            break
        try:
            with sources.opened(source) as place:
                while missing:
                    name = missing[0]
                    _fetch_any(sources.candidates(place, name), name, folder, settings)
                    if name == CHECKSUMS:
                        _fetch_pictures(place, folder, settings)
                    missing.remove(name)
                    _say(f"{name}: from {source}")
        # Protocols fail in different ways. Whatever the reason, the next source may succeed.
        except Exception as error:
            failures.append(f"{source}: {reason(error)}")
            _say(f"{failures[-1]}; trying the next source")
    if missing:
        raise InputError(f"no source has {', '.join(missing)}: " + "; ".join(failures))


def _fetch_pictures(place: str, folder: Path, settings: Params) -> None:
    """Fill a folder with the pictures that its listing names, from the place of the listing.

    Raises:
        InputError: A path in it leads outside, or a local place has further files.
    """
    listed = pictures.read_listing(folder / CHECKSUMS)
    tree = pictures.tree(listed, CHECKSUMS)
    if not sources.SCHEME.match(place):
        place = sources.located(str(Path(place).expanduser()))
        pictures.check_complete(Path(place), listed, CHECKSUMS)
    for name in (name for half in tree.values() for names in half.values() for name in names):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        url = f"{place}/{quote(name) if place.startswith('http') else name}"
        timeout, attempts = settings.timeout, settings.attempts
        try:
            sources.fetch_listed(url, listed[name], target, timeout=timeout, attempts=attempts)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error


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
        if _copied(present / file.sha256, file, folder / file.sha256):
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


def _copied(present: Path, pin: Pin, target: Path) -> bool:
    """Copy a file of an earlier run if it is the pinned one, and return whether it is."""
    if not present.is_file() or sha256(present) != pin.sha256:
        return False
    shutil.copyfile(present, target)
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


def describe(folder: Path, files: list[str], found: Dataset, blocks: Blocks) -> dict[str, Any]:
    """Return number, size and classes of the images in some files, and the hash of each file.

    Args:
        folder: Folder of the files.
        files: Names of an IDX pair, or of the files of a delivery.
        found: What the images are.
        blocks: Their content.

    Raises:
        InputError: The files cannot be read.
    """
    classes = class_counts.count((labels for _, labels in blocks), found)
    return {
        "images": sum(classes.values()),
        "rows": found.height,
        "columns": found.width,
        "classes": classes,
        "sha256": {name: sha256(folder / name) for name in files},
    }


def describe_all(settings: Params, folder: Path, found: Dataset) -> dict[str, Any]:
    """Return the description of each half of the release and of each delivery.

    Raises:
        InputError: A delivery cannot be read, or no image of the training file shows a class.
    """
    contents = {half: list(names) for half, names in HALVES.items() if (folder / names[0]).exists()}
    for item in settings.deliveries:
        contents[item.name] = [f"{DELIVERIES}/{file.sha256}" for file in item.files]
    metrics = {
        name: describe(
            folder, files, found, delivery.blocks([folder / file for file in files], found)
        )
        for name, files in contents.items()
    }
    for key, images in metrics["train"]["classes"].items():
        if not images:
            raise InputError(
                f"{', '.join(HALVES['train'])}: no image of class {found.classes[key]!r}, "
                "expected some of each class"
            )
    return metrics


def first_of_each_class(images: Path, labels: Path) -> list[Uint8]:
    """Return the first images of each class that is shown, up to five: (k, height, width, ...).

    Args:
        images: IDX file of images.
        labels: IDX file of their labels, each class at least once.
    """
    every = np.concatenate([*idx.blocks(labels, idx.LABELS)])
    return [
        idx.rows(images, idx.IMAGES, np.flatnonzero(every == label)[:SAMPLES])
        for label in shown(int(every.max()) + 1)
    ]


def shown(classes: int) -> list[int]:
    """Return the labels that the figure shows: of all classes, or of 20 that are evenly spaced."""
    return [int(place) for place in np.linspace(0, classes - 1, min(classes, SHOWN)).round()]


def main() -> None:
    stage = Stage("stages.download", __doc__, Params)
    stage.writes("--output", "folder of the IDX files")
    stage.writes("--dataset", "JSON: size of the images and names of the classes")
    stage.writes("--metrics", "JSON: number of images and hashes")
    stage.writes("--classes", "CSV: number of images of each class")
    stage.writes("--figure", "PNG: samples of each class")
    with stage.running() as (args, settings):
        with new_folder(args.output) as folder:
            found = fetch_release(settings, args.output, folder)
            if settings.deliveries:
                fetch_deliveries(settings, args.output / DELIVERIES, folder / DELIVERIES)
            metrics = describe_all(settings, folder, found)
            samples = first_of_each_class(*(folder / name for name in HALVES["train"]))
        counts = {name: item["classes"] for name, item in metrics.items()}
        write_table(args.classes, class_counts.tabulate(counts, found))
        names = [found.names[label] for label in shown(len(found.names))]
        figures.samples(samples, names, args.figure)
        write_metrics(args.dataset, found.model_dump())
        write_metrics(args.metrics, metrics)


if __name__ == "__main__":
    main()
