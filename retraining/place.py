"""The place where deliveries wait, a folder or an fsspec URL: lists its files and fetches them.

A fault of the place ends the run; a fault of a file is kept with the file.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from fashion_mnist.data import delivery, sources
from fashion_mnist.errors import InputError, reason

# Longest file, uncompressed: enough for 170,000 images of 28x28 as CSV.
LIMIT = 1 << 29  # bytes
TIMEOUT = 60  # seconds without a byte
ATTEMPTS = 3
BLOCK = 1 << 20  # bytes
# These have no folders: one that is empty does not exist.
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci"}
HEADER = b"label,"  # of a CSV file


class File(NamedTuple):
    """A file in the inbox.

    name:
        Its path in the inbox.
    copy:
        Its content, uncompressed.
    kind:
        images or labels (IDX), npz, csv, or nothing, by the content.
    entry:
        URL, length and SHA-256, as in `download.deliveries`. For a file that cannot be fetched,
        URL and SHA-256 of what is stored, or of the name if that cannot be read either.
    fault:
        Why it cannot be fetched; None if it can.
    """

    name: str
    copy: Path
    kind: str
    entry: dict[str, Any]
    fault: str | None


class Place:
    """An inbox.

    Args:
        inbox: A folder, or a URL that fsspec knows.
        root: Top folder of the repository, which a path is relative to.

    Raises:
        InputError: The protocol is unknown or not installed, or the folder has the repository in
            it.
    """

    def __init__(self, inbox: str, root: Path) -> None:
        self.inbox = inbox
        try:
            where = inbox if "://" in inbox else str(root / Path(inbox).expanduser())
            self.system, self.top = fsspec.url_to_fs(where)
            self.local = isinstance(self.system, LocalFileSystem)
            self.prefix = self._prefix(root) if self.local else ""
        except InputError:
            raise
        # Each protocol fails in its own way.
        except Exception as error:
            raise self._error(reason(error)) from error
        names = self.system.protocol
        self.protocols = {names} if isinstance(names, str) else set(names)

    def _prefix(self, root: Path) -> str:
        """Return what the URL of a local file begins with.

        In the repository it is no path of this machine; elsewhere it is what the user wrote.

        Raises:
            InputError: The folder has the repository in it.
        """
        self.top = os.path.normpath(self.top)
        folder = Path(self.top)
        if not self.inbox or root.resolve().is_relative_to(folder.resolve()):
            raise self._error("expected a folder for deliveries alone, or a URL")
        for place, base in ((folder, root), (folder.resolve(), root.resolve())):
            if place.is_relative_to(base):
                return place.relative_to(base).as_posix()
        return self.inbox.rstrip("/")

    def _error(self, fault: str) -> InputError:
        return InputError(f"inbox '{self.inbox}': {fault}")

    def fetch_all(self, scratch: Path) -> Iterator[File]:
        """Yield the files in the place and its folders, sorted by name.

        Args:
            scratch: Empty folder for their content.

        Raises:
            InputError: The place is no folder, or cannot be listed.
        """
        for number, (path, fault) in enumerate(self._below(self.top, self._listed())):
            yield self._fetch(path, fault, scratch / str(number))

    def _listed(self) -> list[dict[str, Any]]:
        """Return what fsspec knows about each file and folder in the place."""
        try:
            self.system.invalidate_cache()
            listed: list[dict[str, Any]] = self.system.ls(self.top, detail=True)
            if not listed and "http" in self.protocols:
                page = self.system.info(self.top).get("mimetype", "text/html")
                listed = [] if page == "text/html" else [{"name": self.top, "type": "file"}]
        except FileNotFoundError as error:
            if self._is_empty_store():
                return []
            where = f" at {self.top}" if self.local else ""
            raise self._error(
                f"no such folder{where}; create it, name another with --inbox, or "
                "correct retraining.inbox in main"
            ) from error
        except Exception as error:
            raise self._error(reason(error)) from error
        if [item["name"] for item in listed if item["type"] != "directory"] == [self.top]:
            raise self._error("it is a file, expected a folder")
        return listed

    def _is_empty_store(self) -> bool:
        """Return whether the place, which does not exist, is in a bucket that exists."""
        try:
            bucket = self.top.partition("/")[0]
            return bool(self.protocols & OBJECT_STORES and self.system.exists(bucket))
        except Exception as error:
            raise self._error(reason(error)) from error

    def _below(self, folder: str, listed: list[dict[str, Any]]) -> Iterator[tuple[str, str | None]]:
        """Yield the path of each file, and why it cannot be fetched if the list says so."""
        for item in sorted(listed, key=lambda item: str(item["name"])):
            path = str(item["name"])
            # The folder itself, and the links that sort an index page.
            if path.rstrip("/") == folder.rstrip("/") or path.rpartition("/")[2].startswith("?"):
                continue
            if item["type"] != "directory":
                yield path, self._fault(path, item)
                continue
            try:
                inside = self.system.ls(path, detail=True)
            except Exception as error:
                yield path, reason(error)
                continue
            yield from self._below(path, inside)

    def _fault(self, path: str, item: dict[str, Any]) -> str | None:
        if item.get("islink"):
            try:
                item = self.system.info(path)
            except OSError as error:
                return f"a broken link, {error.strerror}"
        if item["type"] == "directory":
            return "a link to a folder"
        # Opening a pipe would wait for ever.
        if item["type"] != "file":
            return "not a regular file"
        if (item.get("size") or 0) > LIMIT:
            return f"{item['size']} bytes, expected at most {LIMIT}"
        return None

    def _fetch(self, path: str, fault: str | None, copy: Path) -> File:
        """Return a file with its content in `copy`, or with its fault.

        Raises:
            InputError: The place can no longer be listed.
        """
        inside = path.removeprefix(self.top).strip("/")
        url = f"{self.prefix}/{inside}" if self.local else self.system.unstrip_protocol(path)
        name = "".join(sign if sign.isprintable() else "?" for sign in inside)
        if fault is None:
            try:
                url.encode()  # params.yaml is UTF-8
                pin = sources.fetch_unpinned(
                    path if self.local else url, copy, LIMIT, timeout=TIMEOUT, attempts=ATTEMPTS
                )
                return File(name, copy, _kind(copy), {"url": url, **pin.model_dump()}, None)
            # Whatever is wrong with a file, the others must not wait for it.
            except Exception as error:
                fault = reason(error).replace(path, name)
                if not self.local:
                    self._listed()  # unless the server is at fault
        return File(name, copy, "", {"url": url, "sha256": self._stored(path, name)}, fault)

    def _stored(self, path: str, name: str) -> str:
        """Return the SHA-256 of a file as it is stored, or of its name if it cannot be read."""
        digest, left = hashlib.sha256(), LIMIT
        try:
            if self.system.info(path)["type"] == "file":
                with self.system.open(path, "rb") as file:
                    while left > 0 and (block := file.read(BLOCK)):
                        digest.update(block)
                        left -= len(block)
                return digest.hexdigest()
        except Exception:  # noqa: S110 - what is wrong with the file is known already
            pass
        return hashlib.sha256(name.encode()).hexdigest()


def _kind(path: Path) -> str:
    """Return images or labels (IDX), npz, csv, or nothing, by the content of a file."""
    with path.open("rb") as file:
        start = file.read(len(HEADER))
    if start.startswith(delivery.ZIP):
        try:
            with zipfile.ZipFile(path) as archive:
                return "npz" if any(name.endswith(".npy") for name in archive.namelist()) else ""
        except Exception:
            return ""
    return "csv" if start == HEADER else delivery.IDX.get(start[:4], "")
