"""Finds images that a data set has twice, which `split` refuses in two of its sets."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fashion_mnist.data import idx
from fashion_mnist.data.pictures import Tree
from fashion_mnist.dataset import HALVES
from fashion_mnist.errors import InputError

# Returns what an image is called, from its half and its row.
Namer = Callable[[str, int], str]


def paths(tree: Tree, names: list[str]) -> Namer:
    """Return a function that calls pictures by their paths."""
    ordered = {
        half: [path for name in names for path in classes[name]] for half, classes in tree.items()
    }
    return lambda half, place: ordered[half][place]


def place(half: str, row: int) -> str:
    """Return what an image in an array is called."""
    return f"image {row} of the {'training' if half == 'train' else 'test'} file (from 0)"


def check(folder: Path, called: Namer) -> str:
    """Return a note on equal images of one class in one half; empty if there are none.

    Args:
        folder: Folder of the IDX files of a release.
        called: Returns what an image is called.

    Raises:
        InputError: Equal images have different classes, or are in both halves.
    """
    halves = [half for half, (images, _) in HALVES.items() if (folder / images).exists()]
    known = [_read(folder, half) for half in halves]
    starts = np.cumsum([0, *(len(digests) for digests, _ in known)])

    def name(row: int) -> str:
        half = int(np.searchsorted(starts, row, side="right")) - 1
        return called(halves[half], row - int(starts[half]))

    digests = np.concatenate([digests for digests, _ in known])
    # The class and the half as one number.
    kinds = np.concatenate([2 * labels + number for number, (_, labels) in enumerate(known)])
    order = np.argsort(digests, kind="stable")
    first, second = order[:-1], order[1:]
    same = digests[first] == digests[second]
    pairs = [*zip(first[same].tolist(), second[same].tolist(), strict=True)]
    apart = [(one, other) for one, other in pairs if kinds[one] != kinds[other]]
    if apart:
        one, other = sorted(apart)[0]
        raise InputError(
            f"{name(one)} and {name(other)} are equal images of two classes or sets, expected "
            f"none ({len(apart)} such pairs)"
        )
    if not pairs:
        return ""
    one, other = sorted(pairs)[0]
    return (
        f"{len(pairs)} images repeat another of their class, the first: {name(one)} and "
        f"{name(other)}; split stops if it draws them into two sets, so remove one of each"
    )


def _read(folder: Path, half: str) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return a hash of 64 bits of each image of a half, (n,), and the labels (n,)."""
    images, labels = (folder / name for name in HALVES[half])
    digests, found = [], []
    for block, of_block in idx.pair(images, labels):
        rows = block.reshape(len(block), -1)
        content = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
        digests.append(np.frombuffer(content, np.uint64))
        found.append(of_block.astype(np.int64))
    return np.concatenate(digests), np.concatenate(found)
