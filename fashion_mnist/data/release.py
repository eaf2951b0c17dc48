"""Turns the fetched files of a release, in any of its formats, into IDX files.

The names of the files decide the format:

IDX: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and, for the official test file, the same
with `t10k` or `test`; anything may stand before that.
CSV, as Kaggle has it: a name with `train` and, for the official test file, one with `test`.
.npz, as Keras has it: `x_train`, `y_train` and, for the official test file, `x_test`, `y_test`.
.zip: pictures, see `pictures`. SHA256SUMS: a listing of pictures in a folder.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

from fashion_mnist import dataset
from fashion_mnist.data import idx, kaggle_csv, npz, pictures
from fashion_mnist.data.labelled import Blocks, checked
from fashion_mnist.data.pictures import Options
from fashion_mnist.dataset import HALVES, Dataset
from fashion_mnist.errors import InputError
from fashion_mnist.files import CHECKSUMS

IDX_NAME = re.compile(r"(train|t10k|test)-(images|labels)-idx\d-ubyte$", re.IGNORECASE)
HALF = {"train": "train", "t10k": "t10k", "test": "t10k"}
ARRAYS = {"train": ("x_train", "y_train"), "t10k": ("x_test", "y_test")}
EXPECTED = (
    "train-images-idx3-ubyte and train-labels-idx1-ubyte, with the same two of t10k or without; "
    "or one .csv with train in its name, and one with test or without; or one .npz, .zip or "
    f"{CHECKSUMS}"
)


class Reading(NamedTuple):
    """How to read a release: keys of section `download` of params.yaml.

    classes: names in label order; None for the names of the folders.
    first_label: label of the first class.
    options: how pictures become arrays.
    """

    classes: Sequence[str] | None
    first_label: int
    options: Options

    @property
    def labels(self) -> range:
        """Labels that may occur."""
        return range(self.first_label, self.first_label + len(self.classes or ()))


class Format(NamedTuple):
    """A format, and the file of each part of a release: `train`, or `train-images-idx3-ubyte`."""

    kind: Literal["idx", "csv", "npz", "zip", "listing"]
    files: dict[str, str]


def format_of(names: Iterable[str]) -> Format:
    """Return the format of files with these names.

    Raises:
        ValueError: They are not the files of any format.
    """
    found = list(names)
    idx_names = [IDX_NAME.search(name) for name in found]
    if found and all(idx_names):
        parts = {
            HALVES[HALF[match[1].lower()]][match[2].lower() == "labels"]: name
            for name, match in zip(found, idx_names, strict=True)
            if match
        }
        if len(parts) == len(found) and set(parts) in (_idx("train"), _idx("train", "t10k")):
            return Format("idx", parts)
    if found and all(name.lower().endswith(".csv") for name in found):
        halves = {_half_of(name): name for name in found}
        if len(halves) == len(found) and set(halves) in ({"train"}, set(HALVES)):
            return Format("csv", halves)
    if len(found) == 1:
        (name,) = found
        for kind in ("npz", "zip"):
            if name.lower().endswith(f".{kind}"):
                return Format(kind, {kind: name})
        if name == CHECKSUMS:
            return Format("listing", {"listing": name})
    raise ValueError(EXPECTED)


def _half_of(name: str) -> str:
    """Return the half that the name of a .csv says; empty if it says none."""
    return next((half for word, half in HALF.items() if word in name.lower()), "")


def _idx(*halves: str) -> set[str]:
    return {name for half in halves for name in HALVES[half]}


def convert(form: Format, fetched: Path, folder: Path, reading: Reading) -> Dataset:
    """Write the IDX files of a release, and return what its images are.

    Args:
        form: Format of the release.
        fetched: Folder with its files, under their own names.
        folder: Folder for the IDX files.
        reading: How to read the release.

    Raises:
        InputError: A file is damaged, or the images or labels are not what they should be.
    """
    match form.kind:
        case "idx":
            parts = {half: idx_pair(form, fetched, half) for half in halves_of(form)}
        case "csv":
            parts = {
                half: (str(fetched / name), kaggle_csv.blocks(fetched / name, reading.labels))
                for half, name in form.files.items()
            }
        case "npz":
            parts = _npz(fetched / form.files["npz"])
        case "zip" | "listing":
            return _convert_pictures(form, fetched, folder, reading)
    return write(parts, dataset.by_key(list(reading.classes or ())), folder, reading.first_label)


def halves_of(form: Format) -> list[str]:
    """Return the halves that IDX files have."""
    return [half for half, names in HALVES.items() if names[0] in form.files]


def idx_pair(form: Format, fetched: Path, half: str) -> tuple[str, Blocks]:
    """Return what errors call a half in IDX files, and its blocks."""
    images, labels = (fetched / form.files[name] for name in HALVES[half])
    return f"{images}, {labels}", idx.pair(images, labels)


def _npz(path: Path) -> dict[str, tuple[str, Blocks]]:
    there = set(npz.names(path))
    halves = {half: names for half, names in ARRAYS.items() if there & set(names)}
    if "train" not in halves:
        raise InputError(
            f"{path}: has {', '.join(sorted(there)) or 'no arrays'}, expected x_train, y_train "
            "and, for the official test file, x_test, y_test"
        )
    return {half: (str(path), npz.pair(path, *names)) for half, names in halves.items()}


def _convert_pictures(form: Format, fetched: Path, folder: Path, reading: Reading) -> Dataset:
    if form.kind == "zip":
        path = fetched / form.files["zip"]
        archive = pictures.Archive(path)
        found, read, source = pictures.tree(archive.names(), str(path)), archive.read, str(path)
    else:
        source = form.files["listing"]
        listed = pictures.read_listing(fetched / source)
        found, read = pictures.tree(listed, source), lambda name: (fetched / name).read_bytes()
    names = pictures.class_names(found, reading.classes, source)
    try:
        classes = dataset.by_key(names)
    except ValueError as error:
        raise InputError(f"{source}: expected {error}") from error
    parts = {
        half: (source, pictures.blocks(of_half, names, read, reading.options))
        for half, of_half in found.items()
    }
    try:
        return write(parts, classes, folder)
    except InputError as error:
        inside = form.kind == "zip" and not str(error).startswith(source)
        raise InputError(f"{source}: {error}" if inside else str(error)) from error


def write(
    parts: dict[str, tuple[str, Blocks]],
    classes: dict[str, str],
    folder: Path,
    first_label: int = 0,
) -> Dataset:
    """Write the IDX files of each half, and return what the images are.

    Args:
        parts: What errors call a half, and its blocks.
        classes: Name of each class by its key.
        folder: Folder to write to.
        first_label: Label of the first class.

    Raises:
        InputError: The halves have images of different kinds, or a label is out of range.
    """
    known: Dataset | None = None
    for half in HALVES:
        if half not in parts:
            continue
        source, blocks = parts[half]
        first = next(blocks, None)
        if first is None:
            raise InputError(f"{source}: no images in {half}")
        known = known or dataset.described(first[0].shape[1:], classes, source)
        images, labels = (folder / name for name in HALVES[half])
        every = chain([first], blocks)
        idx.write_pair(images, labels, checked(every, known, source, first_label))
    if known is None:
        raise InputError("no training file")
    return known
