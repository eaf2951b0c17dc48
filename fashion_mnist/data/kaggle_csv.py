"""Reads the CSV files in which Kaggle distributes MNIST's relatives: `label,pixel1,pixel2,...`."""

import io
import math
import re
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion_mnist.data.labelled import Blocks, advice, rows_of
from fashion_mnist.dataset import SIDES
from fashion_mnist.errors import InputError

GREYS = range(256)

# pandas alone is too lenient: it accepts spaces, quotes and short rows. 18 digits fit an int64.
FIELD = re.compile(rb"[0-9]{1,18}+")


def blocks(path: Path, labels: range) -> Blocks:
    """Yield the images (n, side, side) and labels (n,) of a CSV file, in its order.

    Images are square: there is one column for the label and one for each pixel. The file is parsed
    in blocks of rows: pandas would need 377 MB for 60,000 rows, whose images take 47 MB.

    Args:
        path: The file.
        labels: Labels that may occur.

    Raises:
        InputError: The header is wrong, or a row does not have as many columns or has a value that
            is not an integer in range. The message names the line.
    """
    with path.open("rb") as file:
        side = _side(path, file.readline(1 << 20))
        first = 2  # line number of the block's first row, as editors count
        while lines := [line.rstrip(b"\r\n") for line in islice(file, rows_of((side, side)) // 2)]:
            values = _parse(path, first, lines, side**2, labels)
            yield values[:, 1:].astype(np.uint8).reshape(-1, side, side), values[:, 0]
            first += len(lines)


def _side(path: Path, line: bytes) -> int:
    """Return height and width of the images, in pixels."""
    found = line.rstrip(b"\r\n").decode("utf-8", "replace").split(",")
    for number, name in enumerate(found):
        expected = f"pixel{number}" if number else "label"
        if name != expected:
            raise InputError(
                f"{path}: line 1: column {number + 1} is {name[:20]!r}, expected {expected!r}"
            )
    side = math.isqrt(len(found) - 1)
    low, high = SIDES
    if side**2 != len(found) - 1 or not low <= side <= high:
        raise InputError(
            f"{path}: line 1: {len(found)} columns, expected a label and the pixels of square "
            f"images of {low} to {high} pixels: {28**2 + 1} for 28x28"
        )
    return side


@cache
def _row(pixels: int) -> re.Pattern[bytes]:
    return re.compile(rb"(?:%b,){%d}%b" % (FIELD.pattern, pixels, FIELD.pattern))


def _parse(
    path: Path, first: int, lines: list[bytes], pixels: int, labels: range
) -> NDArray[np.int64]:
    """Return rows as integers (n, 1 + pixels).

    Raises:
        InputError: A row is malformed, or a value is out of range; the first such row is named.
    """
    row = _row(pixels)
    allowed = [labels, *[GREYS] * pixels]  # in each column
    malformed = next((n for n, line in enumerate(lines) if not row.fullmatch(line)), len(lines))
    values = np.zeros((0, 1 + pixels), np.int64)
    if malformed:
        block = io.BytesIO(b"\n".join(lines[:malformed]))
        values = pd.read_csv(block, header=None, dtype=np.int64, na_filter=False).to_numpy()
    low, high = [of[0] for of in allowed], [of[-1] for of in allowed]
    outside = np.argwhere((values < low) | (values > high))
    if len(outside):
        place, column = outside[0].tolist()
        fault = _fault(column, lines[place], allowed[column])
        raise InputError(f"{path}: line {first + place}: {fault}")
    if malformed < len(lines):
        fields = lines[malformed].split(b",")
        fault = f"{len(fields)} columns, expected {1 + pixels}"
        if len(fields) == 1 + pixels:
            column = next(n for n, field in enumerate(fields) if not FIELD.fullmatch(field))
            fault = _fault(column, lines[malformed], allowed[column])
        raise InputError(f"{path}: line {first + malformed}: {fault}")
    return values


def _fault(column: int, line: bytes, allowed: range) -> str:
    field = line.split(b",")[column][:20].decode("utf-8", "replace")
    name = f"pixel{column}" if column else "label"
    hint = advice(int(field), allowed) if not column and field.isdecimal() else ""
    return f"{name} is {field!r}, expected an integer from {allowed[0]} to {allowed[-1]}{hint}"
