"""Draws a sample from the training file and lays out training, validation and test set."""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, model_validator

from fashion_mnist import dataset, params
from fashion_mnist.data import class_counts, delivery, idx
from fashion_mnist.data.labelled import Labels, Uint8, rows_of
from fashion_mnist.dataset import HALVES, Dataset
from fashion_mnist.errors import InputError
from fashion_mnist.files import new_file, read_json, sha256, write_metrics, write_table
from fashion_mnist.stage import Stage

Index = NDArray[np.int32]


class Params(params.Section):
    """Section `split` of params.yaml."""

    sample: Literal["balanced", "stratified", "first"]
    size: NonNegativeInt
    role: Literal["test", "validation"]
    seed: int = Field(ge=0, lt=2**32)
    deliveries: bool = True

    @model_validator(mode="after")
    def _has_test_set(self) -> Self:
        if self.size == 0 and self.role == "test":
            raise ValueError("a size above 0, or role: validation, so that there is a test set")
        return self


class Half(NamedTuple):
    """A half of the release: the file of its images, and its labels (n,), which fit into memory."""

    images: Path
    labels: Labels


@dataclass(frozen=True)
class ImageSet:
    """A set of n images that its parts yield in blocks, since they may not fit into the memory.

    Each part is a half of the release and the places in it (k,), in the order of the set; the files
    of deliveries follow. The images of deliveries continue the numbering of the training file.
    """

    half: Half
    index: Index
    deliveries: tuple[list[Path], ...] = ()


@dataclass(frozen=True)
class Part:
    """Consecutive images (k, ...) of a set, their labels (k,) and places in their source (k,)."""

    images: Uint8
    labels: Labels
    index: Index


def verify(raw: Path, hashes: dict[str, str]) -> list[Path]:
    """Return the files of a half of the release, or of a delivery, that `download` wrote.

    Args:
        raw: Folder of the files.
        hashes: SHA-256 of each file by name.

    Raises:
        InputError: A file is missing, or not the one that was downloaded.
    """
    for name, expected in hashes.items():
        if not (raw / name).is_file():
            raise InputError(f"{raw / name}: no such file")
        if (found := sha256(raw / name)) != expected:
            raise InputError(f"{raw / name}: SHA-256 is {found}, expected {expected}")
    return [raw / name for name in hashes]


def read_release(raw: Path, downloaded: dict[str, Any], found: Dataset) -> list[Half]:
    """Return the training file and, if there is one, the official test file.

    Args:
        raw: Folder of the files.
        downloaded: Metrics of `download`.
        found: What the images are.

    Raises:
        InputError: A file is missing, damaged, or not the one that was downloaded.
    """
    halves = []
    for half in HALVES:
        if half in downloaded:
            files = verify(raw, downloaded[half]["sha256"])
            labels = np.concatenate([labels for _, labels in delivery.blocks(files, found)])
            halves.append(Half(raw / HALVES[half][0], labels))
    return halves


def read_deliveries(raw: Path, downloaded: dict[str, Any]) -> tuple[list[Path], ...]:
    """Return the files of each delivery, in their order; arguments as for `read_release`."""
    return tuple(
        verify(raw, metrics["sha256"]) for name, metrics in downloaded.items() if name not in HALVES
    )


def draw_balanced(labels: Labels, size: int, seed: int, names: tuple[str, ...]) -> Index:
    """Return the places of `size` labels, equally many of each class, class after class.

    The classes follow in the order of their first appearance in `labels`, and within a class the
    places follow in the order in which they were drawn. This is the published split, draw for
    draw; hence NumPy's legacy generator (frozen by NEP 19).

    Args:
        labels: Classes of all images, (n,).
        size: Number of places to draw, a multiple of the number of classes.
        seed: Seed of the legacy generator.
        names: Name of each class.

    Raises:
        InputError: `size` is no such multiple, or a class has too few images.
    """
    generator = np.random.RandomState(seed)
    share, rest = divmod(size, len(names))
    if rest:
        raise InputError(
            f"split.size: got {size}, expected a multiple of the number of classes, {len(names)}, "
            "or split.sample: stratified"
        )
    counts = np.bincount(labels, minlength=len(names))
    if counts.min() < share:
        name = names[int(counts.argmin())]
        raise InputError(
            f"split.size: got {size}, which takes {share} images of each class, "
            f"but {name} has only {counts.min()}"
        )
    drawn = [
        generator.choice(np.flatnonzero(labels == label), share, replace=False)
        for label in pd.unique(labels)
    ]
    return np.concatenate(drawn).astype(np.int32)


def draw_stratified(labels: Labels, size: int, seed: int, names: tuple[str, ...]) -> Index:
    """Return the places of `size` labels, in which the classes have their shares in `labels`.

    Args:
        labels: Classes of all images, (n,).
        size: Number of places to draw.
        seed: Seed of the draws.
        names: Name of each class.

    Raises:
        InputError: A class has too few images for one to be drawn and one to be left.
    """
    if not size:
        return np.zeros(0, np.int32)
    counts = np.bincount(labels, minlength=len(names))
    least = int(counts.argmin())
    if not len(names) <= size <= len(labels) - len(names) or counts[least] < 2:
        raise InputError(
            f"split.size: got {size} of {len(labels)} images, expected at least one image of each "
            f"of the {len(names)} classes in the sample and one outside; "
            f"{names[least]} has {counts[least]}"
        )
    # Slow to import, and only needed here.
    from sklearn.model_selection import train_test_split

    _, drawn = train_test_split(
        np.arange(len(labels), dtype=np.int32), test_size=size, stratify=labels, random_state=seed
    )
    sample: Index = drawn
    return sample


def draw_first(labels: Labels, size: int) -> Index:
    """Return the first `size` places, as TensorFlow 1's reader of MNIST took its validation set.

    Args:
        labels: Classes of all images, (n,).
        size: Number of places.

    Raises:
        InputError: There are fewer images.
    """
    if size > len(labels):
        raise InputError(f"split.size: got {size}, but there are only {len(labels)} images")
    return np.arange(size, dtype=np.int32)


def draw(labels: Labels, settings: Params, names: tuple[str, ...]) -> Index:
    """Return the places (size,) of the sample in the training file, as the parameters ask."""
    match settings.sample:
        case "balanced":
            return draw_balanced(labels, settings.size, settings.seed, names)
        case "stratified":
            return draw_stratified(labels, settings.size, settings.seed, names)
        case "first":
            return draw_first(labels, settings.size)


def lay_out(halves: list[Half], settings: Params, names: tuple[str, ...]) -> dict[str, ImageSet]:
    """Return training, validation and test set.

    Args:
        halves: Training file, whose rows that are not drawn train, in file order; and the official
            test file, which takes the role that the sample does not have. Without it, a second
            sample is drawn from what the first one left.
        settings: Section `split` of params.yaml.
        names: Name of each class.

    Raises:
        InputError: Too few images are left, or the test set has no image of a class.
    """
    train, *others = halves
    if not others and not settings.size:
        raise InputError(
            "split.size: got 0, expected more, since the data has no official test file"
        )
    drawn = draw(train.labels, settings, names)
    rest = _without(np.arange(len(train.labels), dtype=np.int32), drawn)
    sample = ImageSet(train, drawn)
    if others:
        (official,) = others
        other = ImageSet(official, np.arange(len(official.labels), dtype=np.int32))
    else:
        second = rest[draw(train.labels[rest], settings, names)]
        rest, other = _without(rest, second), ImageSet(train, second)
    if not len(rest):
        raise InputError(f"split.size: got {settings.size}, which leaves nothing to train on")
    test, validation = (sample, other) if settings.role == "test" else (other, sample)
    counts = np.bincount(test.half.labels[test.index], minlength=len(names))
    if not counts.all():
        absent = names[int(counts.argmin())]
        raise InputError(f"the test set has no image of class {absent}, expected some of each")
    return {"train": ImageSet(train, rest), "validation": validation, "test": test}


def _without(rows: Index, drawn: Index) -> Index:
    """Return the rows that were not drawn, in their order."""
    return rows[~np.isin(rows, drawn)]


def parts(chosen: ImageSet, found: Dataset) -> Iterator[Part]:
    """Yield a set in blocks of images.

    Args:
        chosen: The set.
        found: What its images are.

    Raises:
        InputError: A file of a delivery is damaged.
    """
    step = rows_of(found.image_shape)
    for start in range(0, len(chosen.index), step):
        rows = chosen.index[start : start + step]
        images = idx.rows(chosen.half.images, idx.IMAGES, rows)
        yield Part(images, chosen.half.labels[rows], rows)
    place = len(chosen.half.labels)
    for files in chosen.deliveries:
        for images, labels in delivery.blocks(files, found):
            index = np.arange(place, place + len(labels), dtype=np.int32)
            yield Part(images, labels, index)
            place += len(labels)


def digests(blocks: Iterable[Uint8]) -> NDArray[np.uint64]:
    """Return a hash of 64 bits of each image, (n,)."""
    found = [
        b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in block)
        for block in blocks
    ]
    return np.frombuffer(b"".join(found), np.uint64)


def find_shared(sets: dict[str, ImageSet], found: Dataset) -> list[str]:
    """Return the images that two sets share, pixel for pixel, as `set index = set index`."""
    hashes = {name: digests(part.images for part in parts(sets[name], found)) for name in sets}
    shared = []
    for first, second in combinations(sets, 2):
        _, rows, others = np.intersect1d(hashes[first], hashes[second], return_indices=True)
        shared += [
            f"{first} {_place(sets[first], row)} = {second} {_place(sets[second], other)}"
            for row, other in sorted(zip(rows.tolist(), others.tolist(), strict=True))
            # Two different images have the same hash once in a million runs with six million.
            if _image(sets[first], row, found) == _image(sets[second], other, found)
        ]
    return shared


def _place(chosen: ImageSet, row: int) -> int:
    """Return the place in its source of an image of a set."""
    if row < len(chosen.index):
        return int(chosen.index[row])
    return len(chosen.half.labels) + row - len(chosen.index)


def _image(chosen: ImageSet, row: int, found: Dataset) -> bytes:
    """Return the pixels of an image of a set."""
    if row < len(chosen.index):
        return idx.rows(chosen.half.images, idx.IMAGES, chosen.index[row : row + 1]).tobytes()
    row -= len(chosen.index)
    for files in chosen.deliveries:
        for images, _ in delivery.blocks(files, found):
            if row < len(images):
                return bytes(images[row].tobytes())
            row -= len(images)
    raise IndexError(row)


def save(path: Path, chosen: ImageSet, found: Dataset) -> dict[str, Any]:
    """Write a set as an uncompressed .npz file with the arrays images, labels and index.

    The bytes are the same on every Python version. Those of `numpy.savez` are not: it streams
    into the archive, and the headers that Python then writes changed from 3.11.2 to 3.11.7.

    Args:
        path: File to write.
        chosen: The set.
        found: What its images are.

    Returns:
        Number of images, and of those of each class.
    """
    delivered = [
        labels for files in chosen.deliveries for _, labels in delivery.blocks(files, found)
    ]
    labels = np.concatenate([chosen.half.labels[chosen.index], *delivered])
    start = len(chosen.half.labels)
    further = np.arange(start, start + len(labels) - len(chosen.index), dtype=np.int32)
    index = np.concatenate([chosen.index, further])
    images = (part.images for part in parts(chosen, found))
    with new_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        shape = len(labels), *found.image_shape
        _write_array(archive, "images", shape, np.dtype(np.uint8), images)
        _write_array(archive, "labels", labels.shape, labels.dtype, [labels])
        _write_array(archive, "index", index.shape, index.dtype, [index])
    return {"images": len(labels), "classes": class_counts.count([labels], found)}


def _write_array(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    blocks: Iterable[NDArray[Any]],
) -> None:
    """Add an array, in blocks of rows, to an .npz file."""
    header = io.BytesIO()
    description = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(header, description)
    # A ZipInfo without a date is dated 1 January 1980.
    member = zipfile.ZipInfo(f"{name}.npy")
    # Announced, the length decides about the headers, as if the array were written at once.
    member.file_size = len(header.getvalue()) + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    with archive.open(member, "w") as file:
        file.write(header.getvalue())
        for block in blocks:
            file.write(block.tobytes())


def main() -> None:
    stage = Stage("stages.split", __doc__, Params)
    stage.reads("--raw", "folder of the IDX files")
    stage.reads("--dataset", "JSON: what the images are")
    stage.reads("--download", "JSON: metrics of download, with the hashes of the files")
    stage.writes("--output", "folder of {train,validation,test}.npz")
    stage.writes("--metrics", "JSON: number of images")
    stage.writes("--classes", "CSV: number of images of each class")
    with stage.running() as (args, settings):
        found = dataset.read(args.dataset)
        downloaded = read_json(args.download)
        sets = lay_out(read_release(args.raw, downloaded, found), settings, found.names)
        if settings.deliveries:
            deliveries = read_deliveries(args.raw, downloaded)
            sets["train"] = replace(sets["train"], deliveries=deliveries)
        if shared := find_shared(sets, found):
            raise InputError(
                f"{len(shared)} images are in two sets, expected none; the first: {shared[0]} "
                "(set and index in the source file)"
            )
        metrics = {name: save(args.output / f"{name}.npz", sets[name], found) for name in sets}
        counts = {name: item["classes"] for name, item in metrics.items()}
        write_table(args.classes, class_counts.tabulate(counts, found))
        write_metrics(args.metrics, metrics | {"duplicates_across_sets": 0})


if __name__ == "__main__":
    main()
