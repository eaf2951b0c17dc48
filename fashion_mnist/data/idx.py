"""Reads and writes IDX files, the format of MNIST and its relatives, in blocks.

Two zero bytes, a type code, the number of dimensions, each dimension as a big-endian 32-bit
integer, then the values: http://yann.lecun.com/exdb/mnist/
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_mnist.data.labelled import Blocks, Labels, Uint8, gathered, rows_of
from fashion_mnist.errors import InputError

# Labels of more than 256 classes are in the format's signed 16-bit integers.
TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0B: np.dtype(">i2")}
IMAGES, LABELS = (3, 4), (1,)  # dimensions


class Header(NamedTuple):
    """What a file announces: the shape of its array, the type of its values, where they begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int


def header(path: Path, dimensions: tuple[int, ...]) -> Header:
    """Return the header of an uncompressed IDX file.

    Args:
        path: The file.
        dimensions: Allowed numbers of dimensions: `IMAGES` or `LABELS`.

    Raises:
        InputError: Magic number, type, number of dimensions or length is wrong.
    """
    with path.open("rb") as file:
        start = file.read(4 + 4 * max(dimensions))
        length = os.fstat(file.fileno()).st_size
    types = [0x08] if dimensions == IMAGES else [*TYPES]
    known = [bytes([0, 0, code, number]) for code in types for number in dimensions]
    if start[:4] not in known:
        raise InputError(
            f"{path}: starts with {start[:4].hex(' ') or 'nothing'}, expected "
            f"{' or '.join(magic.hex(' ') for magic in known)} (IDX, "
            f"{'unsigned bytes' if dimensions == IMAGES else 'bytes or 16 bits'}, "
            f"{' or '.join(map(str, dimensions))} dimension{'s' * (dimensions != LABELS)})"
        )
    dtype, number = TYPES[start[2]], start[3]
    first = 4 + 4 * number
    if length < first:
        raise InputError(f"{path}: {length} bytes, expected a header of {first}")
    shape = tuple(np.frombuffer(start[4:first], ">u4").tolist())
    expected = first + math.prod(shape) * dtype.itemsize
    if length != expected:
        raise InputError(
            f"{path}: {length} bytes, expected {expected} for the dimensions {list(shape)} in its "
            "header"
        )
    if 0 in shape[1:]:
        raise InputError(f"{path}: the dimensions {list(shape)} in its header have no pixels")
    return Header(shape, dtype, first)


def blocks(path: Path, dimensions: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """Yield the array of an IDX file in blocks of rows.

    Args:
        path: The file.
        dimensions: As for `header`.

    Raises:
        InputError: See `header`.
    """
    found = header(path, dimensions)
    step = rows_of(found.shape[1:])
    with path.open("rb") as file:
        file.seek(found.start)
        for first in range(0, found.shape[0], step):
            rows = min(step, found.shape[0] - first)
            yield _values(file.read(rows * _row_size(found)), found)


def rows(path: Path, dimensions: tuple[int, ...], index: NDArray[Any]) -> NDArray[Any]:
    """Return the rows of an IDX file at these places, in their order.

    Args:
        path: The file.
        dimensions: As for `header`.
        index: Places (k,), each in the file.

    Raises:
        InputError: See `header`.
    """
    found = header(path, dimensions)
    size = _row_size(found)
    with path.open("rb") as file:
        content = [
            os.pread(file.fileno(), size, found.start + place * size) for place in index.tolist()
        ]
    return _values(b"".join(content), found)


def _row_size(found: Header) -> int:
    return math.prod(found.shape[1:]) * found.dtype.itemsize


def _values(content: bytes, found: Header) -> NDArray[Any]:
    values = np.frombuffer(content, found.dtype).reshape(-1, *found.shape[1:])
    return values if found.dtype == np.uint8 else values.astype(np.int64)


def pair(images: Path, labels: Path) -> Blocks:
    """Yield the images and labels of a pair of IDX files in blocks.

    Raises:
        InputError: A file is not a valid IDX file, or the two differ in length.
    """
    of_images, of_labels = header(images, IMAGES), header(labels, LABELS)
    if of_images.shape[0] != of_labels.shape[0]:
        raise InputError(
            f"{images} has {of_images.shape[0]} images but {labels} has {of_labels.shape[0]} labels"
        )
    known = np.concatenate([np.zeros(0, np.uint8), *blocks(labels, LABELS)])
    start = 0
    for block in blocks(images, IMAGES):
        if block.shape[3:] == (1,):
            block = block[..., 0]
        yield block, known[start : start + len(block)]
        start += len(block)


def read_pair(images: Path, labels: Path) -> tuple[Uint8, Labels]:
    """Return all images and labels of a pair of IDX files; see `pair`."""
    return gathered(pair(images, labels))


class Writer:
    """Writes an array as an uncompressed IDX file, in blocks of rows whose number it need not know.

    Args:
        file: The file, opened to be written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.rows = 0
        self.header = b""

    def append(self, block: NDArray[Any]) -> None:
        """Write some rows; all blocks have one type and one shape of a row.

        Raises:
            ValueError: They are neither uint8 nor uint16.
        """
        if block.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"IDX files here hold uint8 or uint16, not {block.dtype}")
        # Labels below 1,000 fit 16 signed bits.
        code = 0x08 if block.dtype == np.uint8 else 0x0B
        self.rows += len(block)
        shape = np.array([self.rows, *block.shape[1:]], ">u4")
        if not self.header:
            self.file.write(bytes(4) + shape.tobytes())
        self.header = bytes([0, 0, code, block.ndim]) + shape.tobytes()
        self.file.write(block.astype(TYPES[code]).tobytes())

    def close(self) -> None:
        """Write the header, which has the number of rows."""
        self.file.seek(0)
        self.file.write(self.header)


def write_pair(images: Path, labels: Path, parts: Blocks) -> None:
    """Write labelled images, one block or more, as a pair of IDX files."""
    with images.open("wb") as image_file, labels.open("wb") as label_file:
        writers = Writer(image_file), Writer(label_file)
        for block in parts:
            for writer, array in zip(writers, block, strict=True):
                writer.append(array)
        for writer in writers:
            writer.close()


def write(path: Path, array: NDArray[Any]) -> None:
    """Write an array of uint8 or uint16 as an uncompressed IDX file."""
    with path.open("wb") as file:
        writer = Writer(file)
        writer.append(array)
        writer.close()
