"""Writes files whole or not at all, with the same bytes every time, and hashes them."""

import errno
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

# Digits beyond the sixth are noise in a diff of metrics.
DIGITS = 6
CHECKSUMS = "SHA256SUMS"
# How a file system says that it cannot sync a folder; FUSE and network file systems do.
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same suffix.

    When the block ends, the file there is synced to disk and renamed to `path`. If the block
    raises, it is removed.
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
    """Yield a temporary folder beside `path`.

    When the block ends, it replaces the folder `path` as a whole. If the block raises, it is
    removed and `path` is untouched. A symbolic link to a folder stays, and its target is replaced.
    """
    path = path.resolve()
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
        InputError: A number is not finite. JSON has no NaN, and `dvc metrics diff` fails on it.
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
        raise InputError(f"{path.name}: column '{bad[0]}' has a number that is not finite")
    with new_file(path) as temporary:
        table.round(DIGITS).to_csv(temporary, index=False, lineterminator="\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        InputError: The file is missing, is not JSON, or is not an object.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is a {type(content).__name__}, expected an object")
    return content


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS for the files in a folder, in the format of `sha256sum`."""
    files = sorted(file for file in folder.iterdir() if file.name != CHECKSUMS)
    lines = [f"{sha256(file)}  {file.name}\n" for file in files]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="ascii")


def verify_checksums(folder: Path) -> None:
    """Check the files in a folder against its SHA256SUMS.

    Raises:
        InputError: SHA256SUMS is missing or damaged, or a file is missing, unlisted or different.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    named = {name: expected for expected, _, name in (line.partition("  ") for line in lines)}
    there = {file.name for file in folder.iterdir()} - {CHECKSUMS}
    if there != set(named):
        raise InputError(f"{path}: lists {sorted(named)}, but the folder has {sorted(there)}")
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
    # A killed run left these. If it is alive after all, it now fails instead of overwriting this
    # one's output.
    for stale in path.parent.glob(f".tmp-*-{path.name}"):
        shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    return path.with_name(f".tmp-{os.getpid()}-{path.name}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)
