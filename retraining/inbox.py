"""Collects the batches that wait in a folder or at an fsspec URL."""

import re
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from fashion_mnist.data import delivery, sources
from fashion_mnist.data.idx import Uint8
from fashion_mnist.data.sources import Pin
from fashion_mnist.errors import InputError

# Of a file, uncompressed. A hundred thousand images as CSV have about as many.
MOST = 1 << 29  # bytes
TIMEOUT, ATTEMPTS = 60, 3
KINDS = (".csv", ".npz", "-images-idx3-ubyte", "-labels-idx1-ubyte")


class Batch(NamedTuple):
    """A batch in the inbox.

    name:
        Of its first file, without what tells the half of an IDX pair.
    files:
        Where each of its files is and what it is, as `download.batches` names them.
    images, labels:
        uint8 (n, 28, 28) and (n,); None if it cannot be read.
    fault:
        Why it cannot.
    """

    name: str
    files: list[dict[str, Any]]
    images: Uint8 | None
    labels: Uint8 | None
    fault: str | None

    @property
    def hashes(self) -> list[str]:
        """Return the SHA-256 of each file, sorted: what the batch is, whatever its name."""
        return sorted(file["sha256"] for file in self.files)

    def accepted(self, day: date) -> dict[str, Any]:
        """Return its entry in `download.batches`."""
        return {"date": day.isoformat(), "files": self.files}


def collect(inbox: str, scratch: Path) -> list[Batch]:
    """Return the batches, in the order of their names; none where there is no such place.

    Files whose name tells no format are left alone.

    Args:
        inbox: A folder, or a URL that fsspec knows.
        scratch: Empty folder to fetch files to.

    Raises:
        InputError: The place cannot be listed or a file not be fetched.
    """
    try:
        system, path = fsspec.url_to_fs(inbox)
        local = "file" in system.protocol
        listed = system.ls(path, detail=True) if system.exists(path) else []
    # Each protocol fails in ways of its own.
    except Exception as error:
        raise InputError(f"{inbox}: {type(error).__name__} {error}") from error
    urls: dict[str, list[str]] = {}
    for item in sorted(listed, key=lambda item: str(item["name"])):
        name = str(item["name"])
        plain = name.removesuffix(".gz")
        if item["type"] == "file" and plain.endswith(KINDS):
            stem = re.sub(r"-(images-idx3|labels-idx1)-ubyte$", "", plain)
            urls.setdefault(stem, []).append(name if local else system.unstrip_protocol(name))
    return [_fetch(stem, found, scratch) for stem, found in urls.items()]


def _fetch(stem: str, urls: list[str], scratch: Path) -> Batch:
    name = stem.rpartition("/")[2]
    files, fetched = [], []
    for url in urls:
        target = scratch / f"{len(list(scratch.iterdir()))}"
        try:
            pin: Pin = sources.take(url, target, MOST, timeout=TIMEOUT, attempts=ATTEMPTS)
        except Exception as error:
            raise InputError(f"{url}: {type(error).__name__} {error}") from error
        files.append({"url": url, **pin.model_dump()})
        fetched.append(target)
    try:
        images, labels = delivery.read(fetched)
    except InputError as error:
        fault = str(error)
        for url, target in zip(urls, fetched, strict=True):
            fault = fault.replace(str(target), url)
        return Batch(name, files, None, None, fault)
    return Batch(name, files, images, labels, None)
