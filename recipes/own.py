"""Makes a block of params.yaml for a user's own data, after a rehearsal of what `download` does."""

import gzip
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_mnist import dataset
from fashion_mnist.data import idx, pictures, release
from fashion_mnist.data.pictures import Options
from fashion_mnist.data.release import Reading
from fashion_mnist.dataset import CLASSES, HALVES, Dataset
from fashion_mnist.errors import DAMAGED, InputError, reason
from fashion_mnist.files import CHECKSUMS, sha256
from recipes import duplicates

GZIP = b"\x1f\x8b"
ARRAYS = ".npz", ".zip"
LAYOUTS = (
    "IDX files, a .csv with train in its name, an .npz, a .zip, or pictures as <class>/<name>.png"
)


class Wanted(NamedTuple):
    """What the user says about the data; None for what the data says itself.

    classes: names in label order.
    resize: height and width of pictures.
    channels: 1 or 3, of pictures.
    first_label: label of the first class.
    """

    classes: list[str] | None = None
    resize: tuple[int, int] | None = None
    channels: int | None = None
    first_label: int = 0


class Found(NamedTuple):
    """What is known about the data.

    folder: folder of the files, the source of `download`.
    classes: names in label order for `download.classes`; None for the names of the folders.
    images: what the images are.
    counts: number of images of each class, for each half.
    pins: length and hash of each file by its name, for `download.files`.
    listing: content of the SHA256SUMS to write; empty for none.
    repeated: a note on equal images within a class; empty if there are none.
    """

    folder: Path
    classes: list[str] | None
    images: Dataset
    counts: dict[str, list[int]]
    pins: dict[str, dict[str, Any]]
    listing: bytes
    repeated: str


def look(data: Path, wanted: Wanted) -> Found:
    """Return what is known about a user's data, which is read as a whole.

    Args:
        data: A folder, or one of its files that is not to be confused with others.
        wanted: What the user says about it.

    Raises:
        InputError: The data is in no known format, damaged, or not as the user says.
    """
    if not data.exists():
        raise InputError(f"{data}: no such file or folder")
    names = _chosen(data)
    with tempfile.TemporaryDirectory(prefix="own-") as scratch:
        if names:
            return _arrays(data if data.is_dir() else data.parent, names, wanted, Path(scratch))
        return _pictures(data, wanted, Path(scratch))


def _chosen(data: Path) -> dict[str, Path]:
    """Return the files of a data set by the names that `download.files` gives them.

    There are none if the data is a folder of pictures.

    Raises:
        InputError: There are no files of a data set, or those of several.
    """
    if data.is_dir():
        if (data / CHECKSUMS).exists():
            return {}
        groups = _by_format(path for path in data.iterdir() if path.is_file())
        if not groups and any(path.is_dir() for path in data.iterdir()):
            return {}
    else:
        groups = _by_format([data, *_belonging(data)])
    if len(groups) != 1:
        several = ", ".join(sorted(path.name for group in groups for path in group.values()))
        raise InputError(
            f"{data}: has {several}; name one file of the data set"
            if groups
            else f"{data}: expected {LAYOUTS}"
        )
    (files,) = groups
    try:
        release.format_of(files)
    except ValueError as error:
        raise InputError(f"{data}: has {', '.join(sorted(files))}; expected {error}") from error
    return files


def _by_format(paths: Iterable[Path]) -> list[dict[str, Path]]:
    """Return the files of each format; each .npz and .zip is a data set of its own."""
    idx_files, tables, archives = {}, {}, []
    for path in sorted(paths):
        plain = _plain(path)
        if release.IDX_NAME.search(plain):
            idx_files[plain] = path
        elif plain.endswith("-csv"):
            tables[path.name.removesuffix(".gz")] = path
        elif path.suffix.lower() in ARRAYS:
            archives.append({path.name: path})
    return [group for group in (idx_files, tables, *archives) if group]


def _plain(path: Path) -> str:
    """Return a file's name as releases spell it: `train-images.idx3-ubyte.gz` has a dot."""
    return path.name.lower().removesuffix(".gz").replace(".", "-")


def _belonging(file: Path) -> Iterator[Path]:
    """Yield the other files of the data set that a file is of, by their names."""
    plain = _plain(file)
    match = release.IDX_NAME.search(plain)
    for other in file.parent.iterdir():
        name = _plain(other)
        if other == file or not other.is_file():
            continue
        if match:
            found = release.IDX_NAME.search(name)
            if found and name[: found.start()] == plain[: match.start()]:
                yield other
        elif plain.endswith("-csv") and name in (
            plain.replace("train", "test"),
            plain.replace("test", "train"),
        ):
            yield other


def _arrays(folder: Path, files: dict[str, Path], wanted: Wanted, scratch: Path) -> Found:
    """Return what is known about a data set in files."""
    fetched = scratch / "fetched"
    fetched.mkdir()
    kind = release.format_of(files).kind
    _check_options(wanted, of_pictures=kind == "zip")
    pins = {name: _fetch(path, fetched / name) for name, path in files.items()}
    with _named(fetched, folder):
        if kind == "zip":
            (path,) = (fetched / name for name in files)
            tree = pictures.tree(pictures.Archive(path).names(), str(path))
            called = duplicates.paths(tree, pictures.class_names(tree, wanted.classes, str(path)))
            classes, images = wanted.classes, _converted(files, fetched, wanted, wanted.classes)
        else:
            # Without names, any label that a data set may have is allowed at first.
            every = [str(number + wanted.first_label) for number in range(CLASSES[1])]
            images = _converted(files, fetched, wanted, wanted.classes or every)
            classes = wanted.classes or every[: _highest(scratch) + 1]
            images = dataset.described(images.image_shape, _keys(classes), str(folder))
            called = duplicates.place
    counts = _counts(scratch, images, wanted)
    return Found(folder, classes, images, counts, pins, b"", duplicates.check(scratch, called))


def _fetch(path: Path, target: Path) -> dict[str, Any]:
    """Put a file, uncompressed, to `target`, and return its length and hash.

    Raises:
        InputError: It is compressed and damaged.
    """
    with path.open("rb") as file:
        compressed = file.read(len(GZIP)) == GZIP
    if not compressed:
        target.symlink_to(path.resolve())
        return _pin(target)
    try:
        with gzip.open(path) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    except DAMAGED as error:
        raise InputError(f"{path}: {reason(error)}") from error
    return _pin(target)


def _pin(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def _pictures(folder: Path, wanted: Wanted, scratch: Path) -> Found:
    """Return what is known about a folder of pictures."""
    _check_options(wanted, of_pictures=True)
    paths = [path for path in pictures.walk(folder) if path != CHECKSUMS]
    if not paths:
        raise InputError(f"{folder}: expected {LAYOUTS}")
    tree = pictures.tree(paths, str(folder))
    names = pictures.class_names(tree, wanted.classes, str(folder))
    kept = sorted(path for half in tree.values() for of_class in half.values() for path in of_class)
    hashes = {path: sha256(folder / path) for path in kept}
    existing = folder / CHECKSUMS
    if existing.exists():
        _compare(existing, hashes)
    content = existing.read_bytes() if existing.exists() else _listing(hashes)
    fetched = scratch / "fetched"
    fetched.mkdir()
    for entry in folder.iterdir():
        if entry.is_dir():
            (fetched / entry.name).symlink_to(entry.resolve())
    (fetched / CHECKSUMS).write_bytes(content)
    with _named(fetched, folder):
        images = _converted([CHECKSUMS], fetched, wanted, wanted.classes)
    counts = _counts(scratch, images, wanted)
    repeated = duplicates.check(scratch, duplicates.paths(tree, names))
    pins = {CHECKSUMS: _pin(fetched / CHECKSUMS)}
    written = b"" if existing.exists() else content
    return Found(folder, wanted.classes, images, counts, pins, written, repeated)


def _listing(hashes: Mapping[str, str]) -> bytes:
    """Return the content of a listing in the format of `sha256sum`.

    Raises:
        InputError: A path cannot be written in it.
    """
    for path in hashes:
        if not path.isprintable():  # undecodable bytes are not printable either
            raise InputError(f"{path!r}: expected a path of printable characters in UTF-8")
    return "".join(f"{digest}  {path}\n" for path, digest in hashes.items()).encode()


def _compare(existing: Path, hashes: Mapping[str, str]) -> None:
    """Check an existing listing against the hashes of the pictures that are there.

    Raises:
        InputError: They differ.
    """
    listed = pictures.read_listing(existing)
    for path in sorted(listed.keys() | hashes):
        if listed.get(path) != hashes.get(path):
            fault = (
                f"lists {path}, which is not there"
                if path not in hashes
                else f"does not list {path}"
                if path not in listed
                else f"lists another SHA-256 of {path}"
            )
            raise InputError(f"{existing}: {fault}; remove {CHECKSUMS} to have a new one written")


@contextmanager
def _named(fetched: Path, folder: Path) -> Iterator[None]:
    """Let errors name the user's files in place of their copies."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace(f"{fetched}/", f"{folder}/")) from error


def _check_options(wanted: Wanted, of_pictures: bool) -> None:
    """Check that the user's options suit pictures, or arrays.

    Raises:
        InputError: One does not, or the names of the classes are not valid.
    """
    if of_pictures and wanted.first_label:
        raise InputError("--first-label: expected arrays, but pictures have no numbers as labels")
    if not of_pictures and (wanted.resize or wanted.channels):
        raise InputError("--resize and --channels: expected pictures, but the data is in arrays")
    if wanted.classes:
        _keys(wanted.classes)


def _keys(names: Sequence[str]) -> dict[str, str]:
    try:
        return dataset.by_key(names)
    except ValueError as error:
        raise InputError(f"classes: expected {error}") from error


def _converted(
    files: Iterable[str], fetched: Path, wanted: Wanted, classes: list[str] | None
) -> Dataset:
    """Write the IDX files that `download` would write, beside the folder of the fetched files."""
    reading = Reading(classes, wanted.first_label, Options(wanted.resize, wanted.channels))
    return release.convert(release.format_of(files), fetched, fetched.parent, reading)


def _labels(folder: Path, half: str) -> NDArray[Any]:
    return np.concatenate([*idx.blocks(folder / HALVES[half][1], idx.LABELS)])


def _highest(folder: Path) -> int:
    return max(int(_labels(folder, half).max()) for half in _halves(folder))


def _halves(folder: Path) -> list[str]:
    return [half for half, (images, _) in HALVES.items() if (folder / images).exists()]


def _counts(folder: Path, images: Dataset, wanted: Wanted) -> dict[str, list[int]]:
    """Return the number of images of each class in each half.

    Raises:
        InputError: A class has none.
    """
    counts = {}
    for half in _halves(folder):
        found = np.bincount(_labels(folder, half), minlength=len(images.classes))
        if not found.all():
            label = int(found.argmin())
            advice = "; if labels count from 1, add --first-label 1"
            raise InputError(
                f"the {'training' if half == 'train' else 'test'} file has no image of class "
                f"{images.names[label]!r}"
                + advice
                * (label == 0 and not wanted.first_label and not wanted.classes)
            )
        counts[half] = found.tolist()
    return counts
