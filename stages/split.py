"""Draws a sample from the training file and lays out training, validation and test set."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, ValidationInfo, field_validator, model_validator

from fashion_mnist import params
from fashion_mnist.data import class_counts, delivery
from fashion_mnist.data.idx import Uint8
from fashion_mnist.dataset import HALVES, NAMES
from fashion_mnist.errors import InputError
from fashion_mnist.files import new_file, read_json, sha256, write_metrics, write_table
from fashion_mnist.stage import Stage

Index = NDArray[np.int32]


class Params(params.Section):
    """Section `split` of params.yaml."""

    sample: Literal["balanced", "first"]
    size: NonNegativeInt
    role: Literal["test", "validation"]
    seed: int = Field(ge=0, lt=2**32)
    deliveries: bool = True

    @field_validator("size")
    @classmethod
    def _balanced(cls, size: int, others: ValidationInfo) -> int:
        if others.data.get("sample") == "balanced" and size % len(NAMES):
            raise ValueError(f"a multiple of the number of classes, {len(NAMES)}")
        return size

    @model_validator(mode="after")
    def _has_test_set(self) -> Self:
        if self.size == 0 and self.role == "test":
            raise ValueError("a size above 0, or role: validation, so that there is a test set")
        return self


@dataclass(frozen=True)
class ImageSet:
    """Images (n, 28, 28) uint8, labels (n,) uint8, and their places in the source file (n,) int32.

    The images of deliveries continue the numbering of the training file.
    """

    images: Uint8
    labels: Uint8
    index: Index

    def take(self, rows: NDArray[Any]) -> "ImageSet":
        """Return the rows that an index or a mask selects."""
        return ImageSet(self.images[rows], self.labels[rows], self.index[rows])


def read_verified(raw: Path, hashes: dict[str, str]) -> tuple[Uint8, Uint8]:
    """Return images (n, 28, 28) and labels (n,) of a half of the release, or of a delivery.

    Args:
        raw: Folder of the files.
        hashes: SHA-256 of each file by name.

    Raises:
        InputError: A file is missing, damaged, or not the one that was downloaded.
    """
    for name, expected in hashes.items():
        if not (raw / name).is_file():
            raise InputError(f"{raw / name}: no such file")
        if (found := sha256(raw / name)) != expected:
            raise InputError(f"{raw / name}: SHA-256 is {found}, expected {expected}")
    return delivery.read([raw / name for name in hashes])


def read_release(raw: Path, downloaded: dict[str, Any]) -> tuple[ImageSet, ImageSet]:
    """Return the training file and t10k.

    Args:
        raw: Folder of the files.
        downloaded: Metrics of `download`.
    """
    train, t10k = (read_verified(raw, downloaded[half]["sha256"]) for half in HALVES)
    return numbered(*train), numbered(*t10k)


def read_deliveries(raw: Path, downloaded: dict[str, Any]) -> list[ImageSet]:
    """Return all deliveries, in their order; arguments as for `read_release`."""
    start = downloaded["train"]["images"]
    found = []
    for name, metrics in downloaded.items():
        if name not in HALVES:
            images, labels = read_verified(raw, metrics["sha256"])
            found.append(numbered(images, labels, start))
            start += len(labels)
    return found


def numbered(images: Uint8, labels: Uint8, start: int = 0) -> ImageSet:
    """Return a set whose images are numbered from `start`."""
    return ImageSet(images, labels, np.arange(start, start + len(labels), dtype=np.int32))


def draw_balanced(labels: Uint8, size: int, seed: int) -> Index:
    """Return the places of `size` labels, equally many of each class, class after class.

    The classes follow in the order of their first appearance in `labels`, and within a class the
    places follow in the order in which they were drawn. This is the published split, draw for
    draw; hence NumPy's legacy generator (frozen by NEP 19).

    Args:
        labels: Classes of all images, uint8 (n,).
        size: Number of places to draw, a multiple of the number of classes.
        seed: Seed of the legacy generator.

    Raises:
        InputError: A class has too few images.
    """
    generator = np.random.RandomState(seed)
    share = size // len(NAMES)
    counts = np.bincount(labels, minlength=len(NAMES))
    if counts.min() < share:
        name = NAMES[int(counts.argmin())]
        raise InputError(
            f"split.size: got {size}, which takes {share} images of each class, "
            f"but {name} has only {counts.min()}"
        )
    drawn = [
        generator.choice(np.flatnonzero(labels == label), share, replace=False)
        for label in pd.unique(labels)
    ]
    return np.concatenate(drawn).astype(np.int32)


def draw_first(labels: Uint8, size: int) -> Index:
    """Return the first `size` places, as TensorFlow 1's reader of MNIST took its validation set.

    Args:
        labels: Classes of all images, uint8 (n,).
        size: Number of places.

    Raises:
        InputError: There are fewer images.
    """
    if size > len(labels):
        raise InputError(f"split.size: got {size}, but there are only {len(labels)} images")
    return np.arange(size, dtype=np.int32)


def draw(labels: Uint8, settings: Params) -> Index:
    """Return the places (size,) of the sample in the training file, as the parameters ask."""
    if settings.sample == "balanced":
        return draw_balanced(labels, settings.size, settings.seed)
    return draw_first(labels, settings.size)


def lay_out(train: ImageSet, t10k: ImageSet, drawn: Index, role: str) -> dict[str, ImageSet]:
    """Return training, validation and test set.

    Args:
        train: Training file; its rows that were not drawn train, in file order.
        t10k: Official test file; it takes the role that the sample does not have.
        drawn: Rows of the training file that make up the sample.
        role: Role of the sample, test or validation.

    Raises:
        InputError: Nothing is left to train on, or the test set has no image of a class.
    """
    left = np.ones(len(train.labels), bool)
    left[drawn] = False
    sample, rest = train.take(drawn), train.take(left)
    if not len(rest.labels):
        raise InputError(f"split.size: got {len(drawn)}, which leaves nothing to train on")
    test, validation = (sample, t10k) if role == "test" else (t10k, sample)
    absent = [name for label, name in enumerate(NAMES) if label not in test.labels]
    if absent:
        raise InputError(f"the test set has no image of class {absent[0]}, expected some of each")
    return {"train": rest, "validation": validation, "test": test}


def append(train: ImageSet, deliveries: list[ImageSet]) -> ImageSet:
    """Return the training set followed by the deliveries."""
    parts = [train, *deliveries]
    return ImageSet(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.index for part in parts]),
    )


def find_shared(sets: dict[str, ImageSet]) -> list[str]:
    """Return the images that two sets share, pixel for pixel, as `set index = set index`."""
    seen: dict[bytes, str] = {}
    shared = []
    for name, part in sets.items():
        places = {
            image.tobytes(): f"{name} {place}"
            for image, place in zip(part.images, part.index, strict=True)
        }
        shared += [f"{seen[image]} = {place}" for image, place in places.items() if image in seen]
        seen |= places
    return shared


def save(path: Path, part: ImageSet) -> None:
    """Write a set as an uncompressed .npz file with the arrays images, labels and index.

    The bytes are the same on every Python version. Those of `numpy.savez` are not: it streams
    into the archive, and the headers that Python then writes changed from 3.11.2 to 3.11.7.
    """
    with new_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in vars(part).items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            # A ZipInfo without a date is dated 1 January 1980.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())


def describe(sets: dict[str, ImageSet]) -> dict[str, Any]:
    """Return the number of images in each set, and of each class in it."""
    return {
        name: {"images": len(part.labels), "classes": class_counts.count(part.labels)}
        for name, part in sets.items()
    }


def main() -> None:
    stage = Stage("stages.split", __doc__, Params)
    stage.reads("--raw", "folder of the four IDX files")
    stage.reads("--download", "JSON: metrics of download, with the hashes of the files")
    stage.writes("--output", "folder of {train,validation,test}.npz")
    stage.writes("--metrics", "JSON: number of images")
    stage.writes("--classes", "CSV: number of images of each class")
    with stage.running() as (args, settings):
        downloaded = read_json(args.download)
        train, t10k = read_release(args.raw, downloaded)
        sets = lay_out(train, t10k, draw(train.labels, settings), settings.role)
        if settings.deliveries:
            sets["train"] = append(sets["train"], read_deliveries(args.raw, downloaded))
        if shared := find_shared(sets):
            raise InputError(
                f"{len(shared)} images are in two sets, expected none; the first: {shared[0]} "
                "(set and index in the source file)"
            )
        for name, part in sets.items():
            save(args.output / f"{name}.npz", part)
        metrics = describe(sets)
        counts = {name: item["classes"] for name, item in metrics.items()}
        write_table(args.classes, class_counts.tabulate(counts))
        write_metrics(args.metrics, metrics | {"duplicates_across_sets": 0})


if __name__ == "__main__":
    main()
