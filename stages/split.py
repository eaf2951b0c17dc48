"""Takes a sample from the training file and lays out train, validation and test set."""

import argparse
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator

from fashion_mnist import orphan, params
from fashion_mnist.data import class_counts, delivery
from fashion_mnist.data.idx import Uint8
from fashion_mnist.dataset import NAMES
from fashion_mnist.errors import InputError, reported
from fashion_mnist.files import new_file, sha256, write_metrics, write_table

Index = NDArray[np.int32]


HALVES = ("train", "t10k")  # of the release


class Params(params.Section):
    """Section `split` of params.yaml."""

    sample: Literal["balanced", "first"]
    size: int = Field(ge=0)
    role: Literal["test", "validation"]
    seed: int = Field(ge=0, lt=2**32)
    batches: bool = True

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
class Set:
    """Images (n, 28, 28) uint8, labels (n,) uint8, their places (n,) int32 in the source file."""

    images: Uint8
    labels: Uint8
    index: Index

    def take(self, rows: NDArray[Any]) -> "Set":
        """Return the rows that an index or a mask selects."""
        return Set(self.images[rows], self.labels[rows], self.index[rows])


def read_verified(raw: Path, hashes: dict[str, str]) -> tuple[Uint8, Uint8]:
    """Return images and labels of a half of the release, or of a batch.

    Args:
        raw: The folder.
        hashes: SHA-256 of each file by name.

    Raises:
        InputError: A file is missing, is not the one that was downloaded, or is damaged.
    """
    for name, expected in hashes.items():
        if not (raw / name).is_file():
            raise InputError(f"{raw / name}: no such file")
        if (found := sha256(raw / name)) != expected:
            raise InputError(f"{raw / name}: SHA-256 is {found}, expected {expected}")
    return delivery.read([raw / name for name in hashes])


def draw_balanced(labels: Uint8, size: int, seed: int) -> Index:
    """Return the places of `size` labels, equally many of each class, class after class.

    The classes follow in the order in which they first appear in `labels`, and within a class the
    places in the order in which they were drawn. This is the published split, draw for draw,
    which is why it uses NumPy's legacy generator (frozen by NEP 19).

    Args:
        labels: The classes of all images, uint8 (n,).
        size: How many to draw; a multiple of the number of classes.
        seed: Of the legacy generator.

    Raises:
        InputError: A class has fewer images than are to be drawn of it.
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
        labels: The classes of all images, uint8 (n,).
        size: How many.

    Raises:
        InputError: There are fewer images.
    """
    if size > len(labels):
        raise InputError(f"split.size: got {size}, but there are only {len(labels)} images")
    return np.arange(size, dtype=np.int32)


def lay_out(train: Set, t10k: Set, drawn: Index, role: str) -> dict[str, Set]:
    """Return the three sets; `role` says which one the rows `drawn` from `train` become.

    The rows that are left train, in file order, and `t10k` takes the remaining role.
    """
    left = np.ones(len(train.labels), bool)
    left[drawn] = False
    sample, rest = train.take(drawn), train.take(left)
    if not len(rest.labels):
        raise InputError(f"split.size: got {len(drawn)}, which leaves nothing to train on")
    if role == "test":
        return {"train": rest, "validation": t10k, "test": sample}
    return {"train": rest, "validation": sample, "test": t10k}


def append(train: Set, batches: list[Set]) -> Set:
    """Return a training set with the images of batches after its own."""
    parts = [train, *batches]
    return Set(*(np.concatenate(arrays) for arrays in zip(*map(_arrays, parts), strict=True)))


def _arrays(part: Set) -> tuple[Uint8, Uint8, Index]:
    return part.images, part.labels, part.index


def find_shared(sets: dict[str, Set]) -> list[str]:
    """Return the images that stand in two sets, pixel for pixel, as `set index = set index`."""
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


def save(path: Path, part: Set) -> None:
    """Write a set as an uncompressed .npz file with the arrays images, labels and index.

    The bytes are those of every Python version. `numpy.savez` streams into the archive, and what
    Python writes into its headers then changed from 3.11.2 to 3.11.7.
    """
    with new_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in vars(part).items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            # Without a date of its own, a member is of 1 January 1980.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())


def describe(sets: dict[str, Set]) -> dict[str, Any]:
    """Return the size of each set and how many images of each class it has."""
    return {
        name: {"images": len(part.labels), "classes": class_counts.count(part.labels)}
        for name, part in sets.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.split", description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    parser.add_argument("--section", default="split", help="section of it (default: %(default)s)")
    parser.add_argument("--raw", type=Path, required=True, help="folder of the four IDX files")
    parser.add_argument(
        "--download", type=Path, required=True, help="JSON: metrics of download, with the hashes"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for {train,validation,test}.npz"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="JSON: sizes and counts")
    parser.add_argument("--classes", type=Path, required=True, help="CSV: images of each class")
    args = parser.parse_args()
    orphan.watch()
    with reported("split"):
        settings = params.read(args.params, args.section, Params)
        halves = {}
        downloaded = json.loads(args.download.read_text(encoding="utf-8"))
        # The batches count on from the end of the training file.
        after = downloaded["train"]["images"]
        for name, metrics in downloaded.items():
            if name not in HALVES and not settings.batches:
                continue
            images, labels = read_verified(args.raw, metrics["sha256"])
            index = np.arange(len(labels), dtype=np.int32)
            if name not in HALVES:
                index += after
                after += len(labels)
            halves[name] = Set(images, labels, index)
        labels = halves["train"].labels
        if settings.sample == "balanced":
            drawn = draw_balanced(labels, settings.size, settings.seed)
        else:
            drawn = draw_first(labels, settings.size)
        sets = lay_out(halves["train"], halves["t10k"], drawn, settings.role)
        batches = [part for name, part in halves.items() if name not in HALVES]
        sets["train"] = append(sets["train"], batches)
        if shared := find_shared(sets):
            raise InputError(
                f"{len(shared)} images stand in two sets, expected none; the first: {shared[0]} "
                "(set and index in the source file)"
            )
        for name, part in sets.items():
            save(args.output / f"{name}.npz", part)
        metrics = describe(sets)
        counts = {name: metrics[name]["classes"] for name in sets}
        write_table(args.classes, class_counts.tabulate(counts))
        write_metrics(args.metrics, metrics | {"duplicates_across_sets": len(shared)})


if __name__ == "__main__":
    main()
