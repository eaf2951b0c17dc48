"""Collects the deliveries that wait in a folder or at an fsspec URL."""

import re
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from fashion_mnist.data import delivery, sources
from fashion_mnist.data.idx import Uint8
from fashion_mnist.data.sources import Pin
from fashion_mnist.errors import InputError, reason

# Longest file, uncompressed: enough for 170,000 images as CSV.
LIMIT = 1 << 29  # bytes
TIMEOUT = 60  # seconds without a byte
ATTEMPTS = 3
SUFFIXES = (".csv", ".npz", "-images-idx3-ubyte", "-labels-idx1-ubyte")


class Delivery(NamedTuple):
    """Labelled images that wait in the inbox.

    name:
        First file's name without its IDX suffix.
    files:
        URL, length and SHA-256 of each file, as in `download.deliveries`.
    images, labels:
        uint8 (n, 28, 28) and (n,); None if the files cannot be read.
    fault:
        Why they cannot be read; None if they can.
    """

    name: str
    files: list[dict[str, Any]]
    images: Uint8 | None
    labels: Uint8 | None
    fault: str | None

    @property
    def hashes(self) -> list[str]:
        """Return the SHA-256 of each file, sorted: they identify a delivery, its name does not."""
        return sorted(file["sha256"] for file in self.files)

    def accepted(self, day: date) -> dict[str, Any]:
        """Return the entry in `download.deliveries`."""
        return {"date": day.isoformat(), "files": self.files}


def collect(inbox: str, scratch: Path) -> list[Delivery]:
    """Return the deliveries, sorted by name; none if the place does not exist.

    Files with other suffixes are ignored.

    Args:
        inbox: A folder, or a URL that fsspec knows.
        scratch: Empty folder to copy files to.

    Raises:
        InputError: The place cannot be listed, or a file cannot be fetched.
    """
    try:
        system, path = fsspec.url_to_fs(inbox)
        local = "file" in system.protocol
        listed = system.ls(path, detail=True) if system.exists(path) else []
    # Each protocol fails in its own way.
    except Exception as error:
        raise InputError(f"{inbox}: {reason(error)}") from error
    urls: dict[str, list[str]] = {}
    for item in sorted(listed, key=lambda item: str(item["name"])):
        name = str(item["name"])
        plain = name.removesuffix(".gz")
        if item["type"] == "file" and plain.endswith(SUFFIXES):
            stem = re.sub(r"-(images-idx3|labels-idx1)-ubyte$", "", plain)
            urls.setdefault(stem, []).append(name if local else system.unstrip_protocol(name))
    return [_fetch(stem, found, scratch) for stem, found in urls.items()]


def _fetch(stem: str, urls: list[str], scratch: Path) -> Delivery:
    name = stem.rpartition("/")[2]
    files, copies = [], []
    for url in urls:
        copy = scratch / f"{len(list(scratch.iterdir()))}"
        try:
            pin: Pin = sources.fetch_unpinned(url, copy, LIMIT, timeout=TIMEOUT, attempts=ATTEMPTS)
        except Exception as error:
            raise InputError(f"{url}: {reason(error)}") from error
        files.append({"url": url, **pin.model_dump()})
        copies.append(copy)
    try:
        images, labels = delivery.read(copies)
    except InputError as error:
        fault = str(error)
        for url, copy in zip(urls, copies, strict=True):
            fault = fault.replace(str(copy), url)
        return Delivery(name, files, None, None, fault)
    return Delivery(name, files, images, labels, None)
