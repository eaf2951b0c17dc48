"""Reads the CSV files in which Kaggle distributes Fashion-MNIST: `label,pixel1,...,pixel784`."""

import io
import re
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion_mnist.data.idx import Uint8
from fashion_mnist.dataset import NAMES, SIDE
from fashion_mnist.errors import InputError

COLUMNS = ("label", *(f"pixel{number}" for number in range(1, SIDE**2 + 1)))
HIGHEST = np.array([len(NAMES) - 1, *[255] * SIDE**2])  # value in each column
BLOCK = 2048  # rows

# pandas alone is too lenient: it accepts spaces, quotes and short rows. 18 digits fit an int64.
FIELD = re.compile(rb"[0-9]{1,18}+")
ROW = re.compile(rb"(?:%b,){%d}%b" % (FIELD.pattern, SIDE**2, FIELD.pattern))


def read(path: Path) -> tuple[Uint8, Uint8]:
    """Return the images (n, 28, 28) and labels (n,) of a CSV file, both uint8, in its order.

    The file is parsed in blocks of rows: pandas would need 377 MB for 60,000 rows, whose images
    take 47 MB.

    Raises:
        InputError: The header is wrong, or a row does not have 785 columns or has a value that is
            not an integer in range. The message names the line.
    """
    images, labels = [], []
    with path.open("rb") as file:
        _check_header(path, file.readline())
        first = 2  # line number of the block's first row, as editors count
        while lines := [line.rstrip(b"\r\n") for line in islice(file, BLOCK)]:
            values = _parse(path, first, lines)
            labels.append(values[:, 0].astype(np.uint8))
            images.append(values[:, 1:].astype(np.uint8).reshape(-1, SIDE, SIDE))
            first += len(lines)
    if not labels:
        raise InputError(f"{path}: no images")
    return np.concatenate(images), np.concatenate(labels)


def _check_header(path: Path, line: bytes) -> None:
    found = line.rstrip(b"\r\n").decode("utf-8", "replace").split(",")
    for number, (name, expected) in enumerate(zip(found, COLUMNS, strict=False), 1):
        if name != expected:
            raise InputError(
                f"{path}: line 1: column {number} is {name[:20]!r}, expected {expected!r}"
            )
    if len(found) != len(COLUMNS):
        raise InputError(f"{path}: line 1: {len(found)} columns, expected {len(COLUMNS)}")


def _parse(path: Path, first: int, lines: list[bytes]) -> NDArray[np.int64]:
    """Return rows as integers (n, 785).

    Raises:
        InputError: A row is malformed, or a value is out of range; the first such row is named.
    """
    malformed = next((n for n, line in enumerate(lines) if not ROW.fullmatch(line)), len(lines))
    values = np.zeros((0, len(COLUMNS)), np.int64)
    if malformed:
        block = io.BytesIO(b"\n".join(lines[:malformed]))
        values = pd.read_csv(block, header=None, dtype=np.int64, na_filter=False).to_numpy()
    too_high = np.argwhere(values > HIGHEST)
    if len(too_high):
        row, column = too_high[0].tolist()
        raise InputError(f"{path}: line {first + row}: {_fault(column, lines[row])}")
    if malformed < len(lines):
        fields = lines[malformed].split(b",")
        fault = f"{len(fields)} columns, expected {len(COLUMNS)}"
        if len(fields) == len(COLUMNS):
            column = next(n for n, field in enumerate(fields) if not FIELD.fullmatch(field))
            fault = _fault(column, lines[malformed])
        raise InputError(f"{path}: line {first + malformed}: {fault}")
    return values


def _fault(column: int, line: bytes) -> str:
    field = line.split(b",")[column][:20].decode("utf-8", "replace")
    return f"{COLUMNS[column]} is {field!r}, expected an integer from 0 to {HIGHEST[column]}"
