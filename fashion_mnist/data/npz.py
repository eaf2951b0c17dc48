"""Reads arrays of an .npz file in blocks, which NumPy would load whole."""

import lzma
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fashion_mnist.data.labelled import Blocks, rows_of
from fashion_mnist.dataset import SIDES
from fashion_mnist.errors import DAMAGED, InputError

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class Header(NamedTuple):
    """Shape and type of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def names(path: Path) -> list[str]:
    """Return the names of the arrays in a file.

    Raises:
        InputError: The file is missing or is not an .npz file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except DAMAGED as error:
        raise InputError(f"{path}: {error}") from error


def header(path: Path, name: str) -> Header:
    """Return shape and type of an array.

    Args:
        path: The file.
        name: Name of the array.

    Raises:
        InputError: The file is missing or damaged, it has no such array, or the array is of
            objects, or of columns in place of rows.
    """
    if name not in names(path):
        raise InputError(f"{path}: no array '{name}'")
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            return _header(file)
    except (*DAMAGED, lzma.LZMAError) as error:
        raise InputError(f"{path}: {name}: {error}") from error


def blocks(path: Path, name: str) -> Iterator[NDArray[Any]]:
    """Yield an array in consecutive blocks of rows; the archive's checksums are verified.

    Args:
        path: The file.
        name: Name of the array.

    Raises:
        InputError: See `header`.
    """
    if name not in names(path):
        raise InputError(f"{path}: no array '{name}'")
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            found = _header(file)
            size = math.prod(found.shape[1:]) * found.dtype.itemsize
            step = rows_of(found.shape[1:])
            for start in range(0, found.shape[0], step):
                rows = min(step, found.shape[0] - start)
                content = file.read(rows * size)
                if len(content) < rows * size:
                    raise EOFError(f"ends {rows * size - len(content)} bytes early")
                yield np.frombuffer(content, found.dtype).reshape(rows, *found.shape[1:])
            if file.read(1):
                raise ValueError(f"goes on after the shape {found.shape} in its header")
    except (*DAMAGED, lzma.LZMAError) as error:
        raise InputError(f"{path}: {name}: {error}") from error


def _header(file: IO[bytes]) -> Header:
    version = npy.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"the .npy format {version}, expected 1.0 or 2.0")
    # It is a literal of Python, in which anything may be wrong.
    try:
        shape, fortran, dtype = HEADERS[version](file)
    except Exception as error:
        raise ValueError("not a valid header of the .npy format") from error
    if dtype.hasobject:
        raise ValueError("an array of objects, expected numbers")
    if fortran and len(shape) > 1:
        raise ValueError("an array in Fortran's order, expected C's")
    if not shape or min(shape) < 0 or 0 in shape[1:] or bool in map(type, shape):
        raise ValueError(f"an array of shape {shape}, expected rows")
    return Header(shape, dtype)


def pair(path: Path, images: str, labels: str) -> Blocks:
    """Yield images and labels, two arrays of a file, in blocks.

    Images may have an axis of one channel, and labels one of length 1, as Keras has them.

    Args:
        path: The file.
        images: Name of the array of images, uint8.
        labels: Name of the array of labels, integers.

    Raises:
        InputError: See `header`; or the arrays are not images and labels, or differ in length.
    """
    of_images, of_labels = header(path, images), header(path, labels)
    shape = of_images.shape[1:-1] if of_images.shape[3:] == (1,) else of_images.shape[1:]
    # NumPy allocates as many pixels as a file announces before it reads any.
    sides_fit = max(shape, default=0) <= SIDES[1]
    if of_images.dtype != np.uint8 or len(shape) not in (2, 3) or not sides_fit:
        raise InputError(
            f"{path}: {images} is {of_images.dtype} {of_images.shape}, expected uint8 "
            f"(n, height, width) or (n, height, width, 3) with sides of up to {SIDES[1]} pixels"
        )
    count = of_images.shape[0]
    if of_labels.dtype.kind not in "iu" or of_labels.shape not in ((count,), (count, 1)):
        raise InputError(
            f"{path}: {labels} is {of_labels.dtype} {of_labels.shape}, expected integers "
            f"({count},), one for each image"
        )
    known = np.concatenate([np.zeros(0, of_labels.dtype), *map(np.ravel, blocks(path, labels))])
    start = 0
    for block in blocks(path, images):
        yield block.reshape(-1, *shape), known[start : start + len(block)]
        start += len(block)
