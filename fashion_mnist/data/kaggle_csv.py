"""The CSV form in which Kaggle distributes Fashion-MNIST: `label,pixel1,...,pixel784`."""

import io
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion_mnist.data.idx import Uint8
from fashion_mnist.dataset import NAMES, SIDE
from fashion_mnist.errors import InputError

COLUMNS = ("label", *(f"pixel{number}" for number in range(1, SIDE**2 + 1)))
BLOCK = 2048  # rows


def read(path: Path) -> tuple[Uint8, Uint8]:
    """Return the images (n, 28, 28) and labels (n,) of a CSV file, both uint8, in its order.

    A block of rows is parsed at a time: a table of 60,000 rows as pandas makes it would take
    377 MB, the images take 47.

    Raises:
        InputError: The header is another one, or a row has not 785 columns or holds anything but
            digits, a grey value above 255 or a label that is no class. The message has the line.
    """
    images, labels = [], []
    with path.open("rb") as file:
        _check_header(path, file.readline())
        first = 2  # line of the block's first row, as an editor counts
        while lines := [line.rstrip(b"\r\n") for line in islice(file, BLOCK)]:
            values = _parse(lines)
            if values is None:
                faults = ((number, _fault(line)) for number, line in enumerate(lines, first))
                number, fault = next((number, fault) for number, fault in faults if fault)
                raise InputError(f"{path}: line {number}: {fault}")
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


def _parse(lines: list[bytes]) -> NDArray[np.int64] | None:
    """Return rows as integers (n, 785), or None if any of them has a fault."""
    block = b"\n".join(lines)
    # Python's own checks first, for pandas is lenient: it takes blanks, quotes and short rows.
    if block.translate(None, b"0123456789,\n"):
        return None
    if any(line.count(b",") != len(COLUMNS) - 1 for line in lines):
        return None
    try:
        table = pd.read_csv(io.BytesIO(block), header=None, dtype=np.int64, na_filter=False)
    except (ValueError, OverflowError):  # an empty column, or a number of more than 64 bits
        return None
    values = table.to_numpy()
    if values[:, 0].max() >= len(NAMES) or values.max() > 255:
        return None
    return values


def _fault(line: bytes) -> str | None:
    """Return what is wrong with a row, or None."""
    fields = line.split(b",")
    if len(fields) != len(COLUMNS):
        return f"{len(fields)} columns, expected {len(COLUMNS)}"
    for name, field in zip(COLUMNS, fields, strict=True):
        limit = len(NAMES) - 1 if name == "label" else 255
        if not field.isdigit() or len(field.lstrip(b"0")) > 3 or int(field) > limit:
            text = field[:20].decode("utf-8", "replace")
            return f"{name} is {text!r}, expected an integer from 0 to {limit}"
    return None
