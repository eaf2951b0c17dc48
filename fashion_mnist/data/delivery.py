"""Reads a delivery, labelled images that came after the release, in any of three formats.

A pair of IDX files like those of the release; Kaggle's CSV; or an .npz file with the arrays
`images`, uint8 (n, height, width) or (n, height, width, 3), and `labels`, integers (n,).
"""

from pathlib import Path

from fashion_mnist.data import idx, kaggle_csv, npz
from fashion_mnist.data.labelled import Blocks, Labels, Uint8, checked, gathered
from fashion_mnist.dataset import Dataset
from fashion_mnist.errors import InputError

ZIP = b"PK\x03\x04"
IDX = {
    b"\0\0\x08\x03": "images",
    b"\0\0\x08\x04": "images",
    b"\0\0\x08\x01": "labels",
    b"\0\0\x0b\x01": "labels",
}
# A file of some kilobytes can announce more images than a disk has room for.
LIMIT = 1_000_000  # images


def blocks(files: list[Path], dataset: Dataset) -> Blocks:
    """Yield the images and labels of a delivery in blocks.

    The format is detected from the content, not from the names.

    Args:
        files: One file, or two for an IDX pair.
        dataset: What the images must be.

    Raises:
        InputError: The files are not a delivery, one is damaged, or the images or labels are not
            those of the data set.
    """
    found = {IDX.get(_start(path), "other"): path for path in files}
    if len(files) == 2 and set(found) == {"images", "labels"}:
        yield from checked(idx.pair(found["images"], found["labels"]), dataset, _named(files))
    elif len(files) == 1 and "other" in found:
        (path,) = files
        parts = (
            _npz(path)
            if _start(path) == ZIP
            else kaggle_csv.blocks(path, range(len(dataset.classes)))
        )
        yield from checked(parts, dataset, str(path))
    else:
        raise InputError(
            f"{_named(files)}: expected images and labels in IDX files, or one .npz or CSV file"
        )


def read(files: list[Path], dataset: Dataset) -> tuple[Uint8, Labels]:
    """Return all images and labels of a delivery; see `blocks`."""
    return gathered(blocks(files, dataset))


def _named(files: list[Path]) -> str:
    return ", ".join(map(str, files))


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _npz(path: Path) -> Blocks:
    announced = npz.header(path, "images").shape[0]
    if announced > LIMIT:
        raise InputError(f"{path}: {announced:,} images, expected at most {LIMIT:,}")
    return npz.pair(path, "images", "labels")
