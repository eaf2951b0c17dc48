"""Reads and writes IDX files, the format of MNIST and its relatives.

Two zero bytes, a type code, the number of dimensions, each dimension as a big-endian 32-bit
integer, then the values: http://yann.lecun.com/exdb/mnist/
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion_mnist.dataset import NAMES, SIDE
from fashion_mnist.errors import InputError

Uint8 = NDArray[np.uint8]

UINT8 = 0x08


def read(path: Path, dimensions: int) -> Uint8:
    """Return the array in an uncompressed IDX file of unsigned bytes.

    Args:
        path: The file.
        dimensions: Expected number of dimensions: 3 for images, 1 for labels.

    Raises:
        InputError: Magic number, number of dimensions or length is wrong.
    """
    content = path.read_bytes()
    magic = bytes([0, 0, UINT8, dimensions])
    if content[:4] != magic:
        raise InputError(
            f"{path}: starts with {content[:4].hex(' ') or 'nothing'}, expected {magic.hex(' ')} "
            f"(IDX, unsigned bytes, {dimensions} dimensions)"
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise InputError(f"{path}: {len(content)} bytes, expected a header of {start}")
    shape = np.frombuffer(content[4:start], ">u4").tolist()
    if len(content) != start + math.prod(shape):
        raise InputError(
            f"{path}: {len(content)} bytes, expected {start + math.prod(shape)} "
            f"for the dimensions {shape} in its header"
        )
    try:
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
    except ValueError as error:  # no values, but dimensions too large for an array
        raise InputError(f"{path}: the dimensions {shape} in its header: {error}") from error


def read_pair(images: Path, labels: Path) -> tuple[Uint8, Uint8]:
    """Return the images (n, 28, 28) and labels (n,) of a pair of IDX files, both uint8.

    Raises:
        InputError: A file is not a valid IDX file, the two differ in length, or a label is invalid.
    """
    x, y = read(images, 3), read(labels, 1)
    if x.shape[1:] != (SIDE, SIDE):
        raise InputError(f"{images}: images of {x.shape[1]}x{x.shape[2]}, expected {SIDE}x{SIDE}")
    if len(x) != len(y):
        raise InputError(f"{images} has {len(x)} images but {labels} has {len(y)} labels")
    if not len(x):
        raise InputError(f"{images}: no images")
    if y.max() >= len(NAMES):
        row = int(np.argmax(y >= len(NAMES)))
        raise InputError(f"{labels}: label {y[row]} at index {row}, expected 0 to {len(NAMES) - 1}")
    return x, y


def write(path: Path, array: NDArray[Any]) -> None:
    """Write an array of uint8 as an uncompressed IDX file.

    Raises:
        ValueError: The array has another type.
    """
    if array.dtype != np.uint8:
        raise ValueError(f"IDX files here hold uint8, not {array.dtype}")
    header = bytes([0, 0, UINT8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.tobytes())
