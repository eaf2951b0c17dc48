"""Writes outputs so that a reader finds the whole file or none, and the same bytes every time.

A file is known by its SHA-256.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from fashion_mnist.errors import InputError

# Metrics are compared across commits: digits beyond the sixth are noise to a reader of a diff.
DIGITS = 6
CHECKSUMS = "SHA256SUMS"


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, with the same suffix.

    The file written there is synced to disk and renamed to `path` when the block ends, and
    removed when the block raises.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder that replaces the folder `path`, whole, when the block ends.

    It is removed, and `path` left as it was, when the block raises.
    """
    temporary = _temporary(path)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            _sync(file)
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write nested dictionaries of numbers and strings as JSON, floats rounded to six digits.

    Raises:
        InputError: A number is not finite. JSON has no NaN: `dvc metrics diff` fails on it.
    """
    text = json.dumps(_rounded(metrics, path.name), indent=2, allow_nan=False) + "\n"
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index, floats rounded to six digits.

    Raises:
        InputError: A number is not finite.
    """
    numbers = table.select_dtypes("number")
    bad = [name for name in numbers if not numbers[name].map(math.isfinite).all()]
    if bad:
        raise InputError(f"{path.name}: column '{bad[0]}' holds a number that is not finite")
    with new_file(path) as temporary:
        table.round(DIGITS).to_csv(temporary, index=False, lineterminator="\n")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS of the files in a folder, as `sha256sum` does; `sha256sum -c` reads it."""
    files = sorted(file for file in folder.iterdir() if file.name != CHECKSUMS)
    lines = [f"{sha256(file)}  {file.name}\n" for file in files]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="ascii")


def verify_checksums(folder: Path) -> None:
    """Check the files in a folder against its SHA256SUMS.

    Raises:
        InputError: That file is missing or damaged, or a file is missing or not the one it names.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    named = {name: expected for expected, _, name in (line.partition("  ") for line in lines)}
    there = {file.name for file in folder.iterdir()} - {CHECKSUMS}
    if there != set(named):
        raise InputError(f"{path}: is of {sorted(named)}, but there are {sorted(there)}")
    for name, expected in named.items():
        found = sha256(folder / name)
        if found != expected:
            raise InputError(f"{folder / name}: SHA-256 is {found}, expected {expected}")


def _rounded(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item, f"{name}: {key}") for key, item in value.items()}
    if isinstance(value, float):  # numpy.float64 is one too
        if not math.isfinite(value):
            raise InputError(f"{name} is {value}, expected a finite number")
        return round(float(value), DIGITS)
    return value


def _temporary(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # What a killed run left behind; should that run be alive after all, it now fails
    # instead of publishing over this one.
    for stale in path.parent.glob(f".tmp-*-{path.name}"):
        shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    return path.with_name(f".tmp-{os.getpid()}-{path.name}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
