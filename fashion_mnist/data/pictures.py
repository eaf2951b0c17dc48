"""Reads PNG and JPEG files, in a folder or a zip, whose folders are the classes.

`train/<class>/<name>.png` and, for the official test file, `test/<class>/<name>.png`; without these
two folders, `<class>/<name>.png` is the training file.
"""

import io
import lzma
import os
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fashion_mnist.data.labelled import Blocks, Uint8, rows_of
from fashion_mnist.data.sources import LARGEST_PICTURE
from fashion_mnist.dataset import SIDES
from fashion_mnist.errors import DAMAGED, InputError, reason

SUFFIXES = ".png", ".jpg", ".jpeg"
FOLDERS = {"train": "train", "test": "t10k"}
# What operating systems leave behind.
LITTER = re.compile(
    r"(^|/)(\.(?!\.?(/|$))[^/]*|__MACOSX|Thumbs\.db|desktop\.ini)(/|$)", re.IGNORECASE
)
LINE = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)")
PNG = b"\x89PNG\r\n\x1a\n"
PNG_DEPTH = 24  # place of the bits per channel in a file
MOST_PIXELS = 1 << 24  # of a picture, before it is scaled
GREY, COLOUR = "L", "RGB"
# Modes of Pillow that either of the two holds without loss, but for transparency.
MODES = {"1": GREY, "L": GREY, "LA": GREY, "P": COLOUR, "PA": COLOUR, "RGB": COLOUR, "RGBA": COLOUR}

# The content of a picture by its path.
Opener = Callable[[str], bytes]
# Paths of the pictures of each class by name, for each half of a release.
Tree = dict[str, dict[str, list[str]]]


class Options(NamedTuple):
    """How pictures become arrays.

    resize: height and width in pixels; None if all pictures have one size.
    channels: 1 or 3; None for what the first picture has.
    """

    resize: tuple[int, int] | None
    channels: int | None


def tree(paths: Iterable[str], source: str) -> Tree:
    """Return pictures by half and class; classes and pictures are sorted by name.

    Args:
        paths: Path of each file, with slashes.
        source: What errors call the folder or archive.

    Raises:
        InputError: A path leads outside, a file is no picture or in no folder of a class, or there
            is no picture to train on.
    """
    originals = _checked(paths, source)
    files = sorted(originals)
    tops = {file.parts[0] for file in files}
    top = PurePosixPath()
    if len(tops) == 1 and not tops & set(FOLDERS) and all(len(file.parts) > 2 for file in files):
        top = PurePosixPath(*tops)  # an archive often has its own name as the top folder
        tops = {file.parts[1] for file in files}
    halves = "train" in tops or tops == {"test"}
    found: Tree = {}
    for file in files:
        inside = file.relative_to(top).parts
        parts = inside if halves else ("train", *inside)
        if len(parts) != 3 or parts[0] not in FOLDERS or file.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{source}: {_line(file)}: expected pictures as "
                f"{'train/' * halves}<class>/<name> with the suffix {', '.join(SUFFIXES)}"
            )
        half = found.setdefault(FOLDERS[parts[0]], {})
        half.setdefault(parts[1], []).append(originals[file])
    if "train" not in found:
        raise InputError(f"{source}: no pictures in train/<class>/")
    return found


def _checked(paths: Iterable[str], source: str) -> dict[PurePosixPath, str]:
    """Return the paths of files as they were given, by their plain form; litter is left out.

    Raises:
        InputError: A path leads outside, or is there twice.
    """
    originals: dict[PurePosixPath, str] = {}
    for path in paths:
        file = PurePosixPath(path)
        if file.is_absolute() or ".." in file.parts or "\\" in path:
            raise InputError(f"{source}: {_line(path)} leads outside, expected <class>/<name>.png")
        if LITTER.search(str(file)):
            continue
        if file in originals:
            raise InputError(f"{source}: {_line(file)} occurs twice")
        originals[file] = path
    return originals


def _line(path: object) -> str:
    """Return a path on one line, whatever is in it."""
    return " ".join(str(path).split())


def class_names(found: Tree, wanted: Sequence[str] | None, source: str) -> list[str]:
    """Return the names of the classes in label order: as wanted, or sorted.

    Args:
        found: The pictures.
        wanted: Names from params.yaml, if it has any.
        source: What errors call the folder or archive.

    Raises:
        InputError: The folders of a half are others than wanted, or than those of the other half.
    """
    names = list(wanted) if wanted else sorted(found["train"])
    for half, classes in found.items():
        folder = next(key for key, value in FOLDERS.items() if value == half)
        if absent := [name for name in names if name not in classes]:
            raise InputError(f"{source}: {folder} has no pictures of class {absent[0]!r}")
        if further := [name for name in classes if name not in names]:
            known = "download.classes" if wanted else "train"
            raise InputError(f"{source}: {folder} has a class {further[0]!r} that {known} has not")
    return names


def blocks(
    classes: dict[str, list[str]], names: list[str], read: Opener, options: Options
) -> Blocks:
    """Yield the pictures of a half in blocks, class after class.

    Args:
        classes: Paths by class.
        names: Names of the classes in label order.
        read: Returns the content of a file by its path.
        options: How pictures become arrays.

    Raises:
        InputError: A picture cannot be read, or differs from the first one in size or channels.
    """
    pictures: list[Uint8] = []
    labels: list[int] = []
    shape: tuple[int, ...] = ()
    first = ""
    labelled = ((path, label) for label, name in enumerate(names) for path in classes[name])
    for path, label in labelled:
        picture = decoded(read(path), path, options)
        if not first:
            first, shape = path, picture.shape
            if not SIDES[0] <= min(shape[:2]) <= max(shape[:2]) <= SIDES[1]:
                raise InputError(
                    f"{path}: {shape[0]}x{shape[1]} pixels (height x width), expected "
                    f"{SIDES[0]} to {SIDES[1]} pixels; download.resize: [height, width] scales all "
                    "pictures"
                )
        if picture.shape != shape:
            raise InputError(_difference(path, picture.shape, first, shape))
        pictures.append(picture)
        labels.append(label)
        if len(pictures) == rows_of(shape):
            yield np.stack(pictures), np.array(labels)
            pictures, labels = [], []
    if pictures:
        yield np.stack(pictures), np.array(labels)


def _difference(path: str, found: tuple[int, ...], first: str, expected: tuple[int, ...]) -> str:
    if found[:2] != expected[:2]:
        return (
            f"{path}: {found[0]}x{found[1]} pixels (height x width), expected "
            f"{expected[0]}x{expected[1]} as {first}; download.resize: [height, width] scales "
            "all pictures to one size"
        )
    kinds = ["grey" if len(shape) == 2 else "in colour" for shape in (found, expected)]
    return (
        f"{path}: {kinds[0]}, expected {kinds[1]} as {first}; download.channels: 1 makes all "
        "pictures grey, 3 all coloured"
    )


def decoded(content: bytes, path: str, options: Options) -> Uint8:
    """Return a picture as uint8 (height, width), or (height, width, 3) if it is in colour.

    It is turned upright as its EXIF orientation says.

    Args:
        content: A PNG or JPEG file.
        path: What errors call it.
        options: How to make an array of it.

    Raises:
        InputError: It cannot be read, or is of a kind that 8 bits in grey or RGB do not hold.
    """
    if content.startswith(PNG) and content[PNG_DEPTH : PNG_DEPTH + 1] == bytes([16]):
        raise InputError(f"{path}: 16 bits per channel, expected 8 bits per channel")
    try:
        # Pillow warns of bombs and of damaged EXIF data, both of which are handled here.
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image,
        ):
            if image.width * image.height > MOST_PIXELS:
                raise InputError(
                    f"{path}: {image.height}x{image.width} pixels, expected {MOST_PIXELS:,} at most"
                )
            image.load()
            upright = ImageOps.exif_transpose(image)
            plain = _without_alpha(upright, path)
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: neither PNG nor JPEG") from error
    # Damage surfaces in many types, and a bomb in one of Pillow's own.
    except (*DAMAGED, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from error
    if options.channels:
        plain = plain.convert(GREY if options.channels == 1 else COLOUR)
    if options.resize:
        height, width = options.resize
        plain = plain.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(plain)


def _without_alpha(image: Image.Image, path: str) -> Image.Image:
    """Return a picture in the mode L or RGB.

    Raises:
        InputError: It has transparent pixels, more than 8 bits, or is in CMYK.
    """
    if image.mode not in MODES:
        raise InputError(
            f"{path}: in Pillow's mode {image.mode}, expected 8 bits per channel, grey or RGB"
        )
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema()[0] != 255:
            raise InputError(f"{path}: has transparent pixels, expected an opaque picture")
    plain = image.convert("RGB" if image.mode in ("P", "PA") else MODES[image.mode])
    if image.mode in ("P", "PA"):
        red, green, blue = plain.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            return red  # a palette of greys
    return plain


def read_listing(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each picture by its path, from a file in the format of `sha256sum`.

    Raises:
        InputError: A line is not in that format, or a path occurs twice.
    """
    listed: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        match = LINE.fullmatch(line)
        if not match:
            raise InputError(
                f"{path}: line {number}: expected a SHA-256, two spaces and a path, as sha256sum "
                "writes them"
            )
        name = str(PurePosixPath(match[2]))
        if name in listed:
            raise InputError(f"{path}: line {number}: {name} occurs twice")
        listed[name] = match[1]
    if not listed:
        raise InputError(f"{path}: lists no pictures")
    return listed


def check_complete(folder: Path, listed: Iterable[str], name: str) -> None:
    """Check that a folder has no pictures but those of its listing, and no class without any.

    Args:
        folder: The folder.
        listed: Paths in the listing.
        name: Name of the listing.

    Raises:
        InputError: It has.
    """
    there = {file for file in walk(folder) if file != name}
    if further := sorted(there - set(listed)):
        raise InputError(
            f"{folder / further[0]}: not in {name}, expected the listed pictures alone "
            f"({len(further)} more than listed)"
        )


def walk(folder: Path) -> Iterator[str]:
    """Yield the path of each file below a folder, with slashes; what systems leave is skipped.

    Links to folders are followed.

    Raises:
        InputError: A folder in it is empty, or a link leads to a folder around it.
    """
    for name, folders, files in os.walk(folder, followlinks=True):
        here = Path(name)
        if here.is_symlink() and here.parent.resolve().is_relative_to(here.resolve()):
            raise InputError(f"{here}: a link to a folder around it, expected pictures of a class")
        folders[:] = sorted(one for one in folders if not LITTER.search(one))
        kept = sorted(one for one in files if not LITTER.search(one))
        if not folders and not kept:
            raise InputError(f"{here}: an empty folder, expected pictures of a class")
        yield from ((here / one).relative_to(folder).as_posix() for one in kept)


class Archive:
    """Pictures in a zip, read one at a time.

    Args:
        path: The zip.

    Raises:
        InputError: It is no zip.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.archive = zipfile.ZipFile(path)
        except DAMAGED as error:
            raise InputError(f"{path}: not a zip: {error}") from error

    def names(self) -> list[str]:
        """Return the paths of its files.

        Raises:
            InputError: Two files have the same path, or a folder is empty.
        """
        found = [name for name in self.archive.namelist() if not name.endswith("/")]
        if len(set(found)) < len(found):
            twice = next(name for name, times in Counter(found).items() if times > 1)
            raise InputError(f"{self.path}: {_line(twice)} occurs twice")
        pictures = [PurePosixPath(name) for name in found if not LITTER.search(name)]
        filled = {folder for picture in pictures for folder in picture.parents}
        for name in self.archive.namelist():
            if name.endswith("/") and PurePosixPath(name) not in filled | {PurePosixPath()}:
                if LITTER.search(name):
                    continue
                raise InputError(f"{self.path}: {name}: an empty folder, expected pictures")
        return found

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            InputError: It is damaged, or larger than 64 MiB.
        """
        try:
            with self.archive.open(name) as file:
                content = file.read(LARGEST_PICTURE + 1)
        except (*DAMAGED, lzma.LZMAError, NotImplementedError) as error:
            raise InputError(f"{self.path}: {name}: {reason(error)}") from error
        if len(content) > LARGEST_PICTURE:
            raise InputError(f"{self.path}: {name}: more than {LARGEST_PICTURE:,} bytes")
        return content
