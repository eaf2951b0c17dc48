"""Brings the data of the deliveries in params.yaml to a checkout, from where it can be reached."""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from fashion_mnist.errors import InputError, reason
from repository import revisions
from repository.commands import DVC, succeeds

RAW = "data/raw"  # output of `download`
FOLDER = f"{RAW}/deliveries"  # `download` does not fetch what is there
ATTEMPTS = 2
TIMEOUT = 60  # seconds without a byte


class UnreachableError(InputError):
    """Neither a cache, nor a DVC remote, nor the inbox that can be reached here has the data."""


def fetch(root: Path, folder: Path, commit: str) -> None:
    """Fill a checkout's folder of deliveries, so that `download` can run.

    Args:
        root: Top folder of the user's repository, whose DVC cache and remote are asked.
        folder: The checkout: a clone of it, or the same.
        commit: What is checked out in `folder`.

    Raises:
        UnreachableError: The data of a delivery cannot be reached; nothing is written then.
        InputError: params.yaml is not valid YAML.
    """
    if not (folder / revisions.PARAMETERS).exists():
        return
    section = revisions.working_tree(folder).yaml(revisions.PARAMETERS).get("download") or {}
    files = [file for item in section.get("deliveries") or [] for file in item["files"]]
    target = folder / FOLDER
    files = [file for file in files if not _is(target / file["sha256"], file)]
    if not files:
        return
    with tempfile.TemporaryDirectory() as name:
        for file in files:
            copy = Path(name, file["sha256"])
            if not (_from_repository(root, commit, file, copy) or _from_url(root, file, copy)):
                raise UnreachableError(
                    f"not run: the data of delivery {file['url']} cannot be reached here"
                )
        target.mkdir(parents=True, exist_ok=True)
        for copy in Path(name).iterdir():
            # What is there may be a link to DVC's cache.
            (target / copy.name).unlink(missing_ok=True)
            shutil.copyfile(copy, target / copy.name)


def _is(path: Path, file: dict[str, Any]) -> bool:
    """Return whether a path is a file with the listed hash."""
    if not path.is_file():
        return False
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == str(file["sha256"])


def _from_repository(root: Path, commit: str, file: dict[str, Any], copy: Path) -> bool:
    """Copy a file from the user's checkout, DVC cache or DVC remote; return whether it is there."""
    path = f"{FOLDER}/{file['sha256']}"
    if _is(root / path, file):
        shutil.copyfile(root / path, copy)
        return True
    words = ("get", "--quiet", str(root), path, "--rev", commit, "--out", str(copy))
    return succeeds(*DVC, *words, cwd=root) and _is(copy, file)


def _from_url(root: Path, file: dict[str, Any], copy: Path) -> bool:
    """Fetch a file from where it came; return whether it is there."""
    # `verify` without --rerun works where aiohttp and fsspec are not installed.
    from fashion_mnist.data import sources

    url = file["url"] if "://" in file["url"] else str(root / Path(file["url"]).expanduser())
    pin = sources.Pin(bytes=file["bytes"], sha256=file["sha256"])
    try:
        sources.fetch(url, pin, copy, timeout=TIMEOUT, attempts=ATTEMPTS)
    # Each protocol fails in its own way.
    except Exception as error:
        print(f"{file['url']}: {reason(error).replace(url, file['url'])}", file=sys.stderr)
        return False
    return True
