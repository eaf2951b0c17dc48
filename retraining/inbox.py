"""Collects the deliveries that wait in an inbox; their content decides, whatever their names."""

import re
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from fashion_mnist.data import delivery, labelled
from fashion_mnist.data.labelled import Blocks, Labels, Uint8
from fashion_mnist.dataset import Dataset
from fashion_mnist.errors import InputError, reason
from retraining.place import File, Place

# A compressed .npz file may hold a thousand times its length.
LIMIT = 1 << 30  # bytes of pixels
# A browser adds this to the name of a second download.
COPY = r"( ?\(\d+\))?"
GZIP_NAME = re.compile(rf"\.gz(?={COPY}$)", re.I)
# Names of files that are meant as a delivery, even if their content is damaged.
IDX_NAME = re.compile(rf"[-_. ]?(images|labels)[-_. ]idx[134][-_. ]ubyte(?={COPY}$)", re.I)
OTHER_NAME = re.compile(rf"\.(csv|npz){COPY}$", re.I)
# What distinguishes the names of the two files of an IDX pair, in any convention.
HALF = re.compile(r"[-_. ]*(images?|labels?|idx[134]?|ubyte)", re.I)


class Delivery(NamedTuple):
    """Labelled images that wait in the inbox.

    name:
        First file's path in the inbox, without its IDX suffix.
    parts:
        Its files, images first.
    """

    name: str
    parts: list[File]

    @property
    def hashes(self) -> list[str]:
        """Return the SHA-256 of each file, sorted: they identify a delivery, its name does not."""
        return sorted(part.entry["sha256"] for part in self.parts)

    def accepted(self, day: date) -> dict[str, Any]:
        """Return the entry in `download.deliveries`."""
        return {"date": day.isoformat(), "files": [part.entry for part in self.parts]}

    def read(self, dataset: Dataset) -> tuple[Uint8, Labels]:
        """Return the images, (n, height, width) or (n, height, width, 3), and the labels (n,).

        Args:
            dataset: What the images and labels must be.

        Raises:
            InputError: A file could not be fetched or is damaged, or they are not a delivery of
                such images. The message has their paths in the inbox.
        """
        for part in self.parts:
            if part.fault:
                raise InputError(f"{part.name}: {part.fault}")
        try:
            return labelled.gathered(self._blocks(dataset))
        # Whatever is wrong with a file, the other deliveries must not wait for it.
        except Exception as error:
            fault = reason(error)
            for part in self.parts:
                fault = fault.replace(str(part.copy), part.name)
            if not isinstance(error, InputError):
                fault = f"{self.parts[0].name}: {fault}"
            raise InputError(fault) from error

    def _blocks(self, dataset: Dataset) -> Blocks:
        """Yield images and labels in blocks.

        Raises:
            InputError: There are too many.
        """
        size = 0
        for images, labels in delivery.blocks([part.copy for part in self.parts], dataset):
            size += images.nbytes
            if size > LIMIT:
                raise InputError(f"{self.parts[0].name}: expected at most {LIMIT} bytes of pixels")
            yield images, labels


class Found(NamedTuple):
    """What an inbox has.

    deliveries:
        Sorted by name.
    rest:
        A line for each file that is in none of them: its name, and why.
    """

    deliveries: list[Delivery]
    rest: list[str]


def collect(inbox: str, root: Path, scratch: Path) -> Found:
    """Fetch what is in an inbox and its folders, and return the deliveries in it.

    Args:
        inbox: A folder, or a URL that fsspec knows.
        root: Top folder of the repository, which a path is relative to.
        scratch: Empty folder to copy files to.

    Raises:
        InputError: The place is no folder, or cannot be listed.
    """
    files: list[File] = []
    rest = []
    for file in Place(inbox, root).fetch_all(scratch):
        plain = _plain(file)
        if file.kind or IDX_NAME.search(plain) or OTHER_NAME.search(plain):
            files.append(file)
        else:
            rest.append(f"{file.name}: {file.fault or 'neither IDX, .npz nor CSV'}")
    deliveries, again = _once(_group(files))
    return Found(sorted(deliveries, key=lambda one: one.name), [*rest, *again])


def _plain(file: File) -> str:
    """Return a file's name as it would be without compression."""
    return GZIP_NAME.sub("", file.name)


def _group(files: list[File]) -> list[Delivery]:
    """Return files as deliveries: IDX files in pairs by their names, each other file alone."""
    groups: dict[str, list[File]] = {}
    for file in files:
        groups.setdefault(_key(file), []).append(file)
    found = []
    for group in groups.values():
        # A file may be there both compressed and not.
        single = list({file.entry["sha256"]: file for file in reversed(group)}.values())
        # `download` calls a delivery by the hash of its first file, and two may share their labels.
        parts = sorted(single, key=lambda file: (file.kind == "labels", file.name))
        name = IDX_NAME.sub("", _plain(parts[0]))
        found += [
            Delivery(name, parts),
            *(Delivery(name, [file]) for file in group if file not in single),
        ]
    return found


def _key(file: File) -> str:
    """Return what the names of the files of a delivery have in common."""
    plain = _plain(file)
    if file.kind in delivery.IDX.values() or (not file.kind and IDX_NAME.search(plain)):
        folder, _, name = plain.rpartition("/")
        return f"{folder}/{HALF.sub('', name)}/"  # no file has a name like this
    return file.name


def _once(deliveries: list[Delivery]) -> tuple[list[Delivery], list[str]]:
    """Return deliveries without those whose files are in another one, and a line for each of those.

    Pairs come first, since one file of a pair may be there again.
    """
    kept: list[Delivery] = []
    again = []
    for one in sorted(deliveries, key=lambda one: (-len(one.parts), one.name)):
        same = next((other for other in kept if set(one.hashes) <= set(other.hashes)), None)
        if same:
            again += [f"{part.name}: the same as {same.name}" for part in one.parts]
        else:
            kept.append(one)
    return kept, again
