"""Reads a delivery, labelled images that came after the release, in any of three formats.

A pair of IDX files like those of the release; Kaggle's CSV; or an .npz file with the arrays
`images`, uint8 (n, 28, 28), and `labels`, integers (n,).
"""

import zipfile
from pathlib import Path

import numpy as np

from fashion_mnist.data import idx, kaggle_csv
from fashion_mnist.data.idx import Uint8
from fashion_mnist.dataset import NAMES, SIDE
from fashion_mnist.errors import DAMAGED, InputError

ZIP = b"PK\x03\x04"
IDX = {b"\0\0\x08\x03": "images", b"\0\0\x08\x01": "labels"}
# NumPy allocates as many images as a file announces before it reads any.
LIMIT = 1_000_000  # images


def read(files: list[Path]) -> tuple[Uint8, Uint8]:
    """Return the images (n, 28, 28) and labels (n,) of a delivery, both uint8.

    The format is detected from the content, not from the names.

    Args:
        files: One file, or two for an IDX pair.

    Raises:
        InputError: The files are not a delivery, or one is damaged.
    """
    found = {IDX.get(_start(path), "other"): path for path in files}
    if len(files) == 2 and set(found) == set(IDX.values()):
        return idx.read_pair(found["images"], found["labels"])
    if len(files) == 1 and "other" in found:
        return _read_npz(files[0]) if _start(files[0]) == ZIP else kaggle_csv.read(files[0])
    names = ", ".join(str(path) for path in files)
    raise InputError(f"{names}: expected images and labels in IDX files, or one .npz or CSV file")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _read_npz(path: Path) -> tuple[Uint8, Uint8]:
    try:
        with zipfile.ZipFile(path) as archive:
            largest = max(member.file_size for member in archive.infolist())
        if largest > LIMIT * SIDE**2:
            raise ValueError(f"an array of {largest} bytes, expected at most {LIMIT} images")
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
    except (*DAMAGED, MemoryError) as error:
        raise InputError(f"{path}: {error}") from error
    if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE):
        raise InputError(
            f"{path}: images are {images.dtype} {images.shape}, expected uint8 (n, {SIDE}, {SIDE})"
        )
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise InputError(
            f"{path}: labels are {labels.dtype} {labels.shape}, expected integers ({len(images)},)"
        )
    if not len(images):
        raise InputError(f"{path}: no images")
    wrong = (labels < 0) | (labels >= len(NAMES))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{path}: label {labels[row]} at index {row}, expected 0 to {len(NAMES) - 1}"
        )
    return images, labels.astype(np.uint8)
