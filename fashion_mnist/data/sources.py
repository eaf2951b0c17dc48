"""Fetches a pinned file from a source: a web mirror, any other fsspec URL, a folder, or Debian.

No source is trusted: only length and SHA-256 decide whether a file is accepted. That makes a
plain-http mirror safe.
"""

import gzip
import hashlib
import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import aiohttp
import fsspec
from pydantic import Field, PositiveInt
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter
from tqdm import tqdm

from fashion_mnist.errors import InputError
from fashion_mnist.params import Section

DEBIAN = "debian:"
SCHEME = re.compile(rf"{DEBIAN}|[a-z][a-z0-9+.-]*://", re.IGNORECASE)
BLOCK = 1 << 18  # bytes
LARGEST_PICTURE = 1 << 26  # bytes


class Pin(Section):
    """Length and hash of a file's uncompressed content (mirrors differ in their gzip headers)."""

    bytes: PositiveInt
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


@contextmanager
def opened(source: str) -> Iterator[str]:
    """Yield the folder or URL that has the files of `source`.

    `debian:<package>` is downloaded and unpacked into a temporary folder that is removed when the
    block ends; any other source is yielded, its scheme in lower case.

    Raises:
        InputError: The package cannot be downloaded.
    """
    scheme = SCHEME.match(source)
    if scheme:
        source = scheme[0].lower() + source.removeprefix(scheme[0])
    if not source.startswith(DEBIAN):
        yield source.rstrip("/")
        return
    with tempfile.TemporaryDirectory(prefix="debian-") as scratch:
        yield str(_debian(source.removeprefix(DEBIAN), Path(scratch)))


def candidates(place: str, name: str) -> list[str]:
    """Return where a file may be: at a URL with or without `.gz`, in a folder under any spelling.

    Only the hash decides about a file's content, so a folder may have `T10K-IMAGES.IDX3-UBYTE` for
    `t10k-images-idx3-ubyte`.

    Raises:
        FileNotFoundError: There is no such folder, or no such file in it.
    """
    if SCHEME.match(place):
        return [f"{place}/{name}.gz", f"{place}/{name}"]
    folder = Path(located(place)).expanduser()
    found = [str(path) for path in folder.iterdir() if _plain(path.name) == _plain(name)]
    if not found:
        raise FileNotFoundError(f"no file {name} in it")
    return sorted(found, reverse=True)


def _plain(name: str) -> str:
    """Return a file's name without case, suffix .gz, and the dots that some releases have."""
    return name.lower().removesuffix(".gz").replace(".", "-")


def fetch(url: str, pin: Pin, target: Path, *, timeout: float, attempts: int) -> None:
    """Write the file at `url` to `target`, uncompressed, and verify it.

    Gzip is recognized by content, so `url` may name either form. After an error, `target` may
    hold part of the file. http(s) honours the proxy variables of the environment.

    Args:
        url: Path (a relative one as `located`), or URL of any protocol that fsspec knows.
        pin: Expected length and hash of the uncompressed content.
        target: File to write.
        timeout: Seconds without a byte before a connection is dropped; the whole file may take
            thirty times as long.
        attempts: Number of tries, with growing pauses, if the network fails.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: The content is not the pinned one.
        OSError, EOFError, zlib.error, aiohttp.ClientError, TimeoutError: The transfer failed.
    """
    found = fetch_unpinned(url, target, pin.bytes, timeout=timeout, attempts=attempts)
    if found.bytes < pin.bytes:
        raise InputError(f"ends after {found.bytes} bytes, expected {pin.bytes}")
    if found.sha256 != pin.sha256:
        raise InputError(f"SHA-256 is {found.sha256}, expected {pin.sha256}")


def fetch_listed(url: str, sha256: str, target: Path, *, timeout: float, attempts: int) -> None:
    """Write the picture at `url` to `target`, and verify its hash; otherwise as `fetch`."""
    found = fetch_unpinned(url, target, LARGEST_PICTURE, timeout=timeout, attempts=attempts)
    if found.sha256 != sha256:
        raise InputError(f"SHA-256 is {found.sha256}, expected {sha256}")


def fetch_unpinned(url: str, target: Path, limit: int, *, timeout: float, attempts: int) -> Pin:
    """Write the file at `url` to `target`, uncompressed, and return its length and hash.

    As `fetch`, for a file whose content is not known in advance.

    Args:
        url: Path or URL.
        target: File to write.
        limit: Greatest length that is accepted, in bytes.
        timeout: Seconds without a byte before a connection is dropped.
        attempts: Number of tries.

    Raises:
        InputError: The file is longer, or empty.
    """
    for attempt in Retrying(
        retry=retry_if_exception(_transient),
        stop=stop_after_attempt(attempts),
        wait=wait_exponential_jitter(multiplier=0.5, max=10),
        reraise=True,
    ):
        with attempt, _stream(url, timeout) as stream, target.open("wb") as file:
            found = _copy(stream, file, limit, Path(url).name)
    return found


def _copy(stream: BinaryIO, file: BinaryIO, limit: int, name: str) -> Pin:
    digest, length = hashlib.sha256(), 0
    progress = tqdm(total=limit, desc=name, unit="B", unit_scale=True, disable=None, leave=False)
    with progress:
        while block := stream.read(BLOCK):
            length += len(block)
            if length > limit:
                raise InputError(f"longer than {limit} bytes")
            digest.update(block)
            file.write(block)
            progress.update(len(block))
    if not length:
        raise InputError("empty")
    return Pin(bytes=length, sha256=digest.hexdigest())


@contextmanager
def _stream(url: str, timeout: float) -> Iterator[BinaryIO]:
    if url.startswith(("http:", "https:")):
        limits = aiohttp.ClientTimeout(total=30 * timeout, sock_connect=timeout, sock_read=timeout)
        client = {"timeout": limits, "trust_env": True}
        system, path = fsspec.url_to_fs(url, client_kwargs=client)
        # Block size 0 streams the file in one request. Giving a size, any size, avoids a HEAD
        # request: fsspec reports its failure, whatever the cause, as a missing file.
        opening = system.open(path, "rb", block_size=0, size=1)
    else:
        # fsspec would look for protocols and archives in the name of a local file.
        local = None if SCHEME.match(url) else Path(located(url))
        opening = local.open("rb") if local else fsspec.open(url, "rb")
    with opening as raw:
        buffered = io.BufferedReader(raw, BLOCK)
        if buffered.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=buffered) as plain:
                yield cast(BinaryIO, plain)
        else:
            yield cast(BinaryIO, buffered)


def located(path: str) -> str:
    """Return where a relative path leads if it does not exist in a clone below `.dvc/tmp`.

    DVC and `review` run stages in such clones, which only have what git has. The path then leads
    into the repository around the clone. URLs and all other paths are returned unchanged.
    """
    if not Path(path).exists():
        for folder in Path.cwd().parents:
            if folder.name == ".dvc" and (folder.parent / path).exists():
                return str(folder.parent / path)
    return path


def _transient(error: BaseException) -> bool:
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status >= 500 or error.status == 429
    return isinstance(error, aiohttp.ClientError | TimeoutError | ConnectionError)


def _debian(package: str, scratch: Path) -> Path:
    """Unpack a Debian package below `scratch` and return the folder of its data sets.

    apt gets its own lists and cache, so this needs neither root nor up-to-date system lists.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise InputError("apt is not installed")
    (scratch / "lists/partial").mkdir(parents=True)
    (scratch / "cache/archives/partial").mkdir(parents=True)
    apt = ["apt-get", "-qq", "-o", f"Dir::State::Lists={scratch}/lists"]
    apt += ["-o", f"Dir::Cache={scratch}/cache", "-o", "Debug::NoLocking=1"]
    apt += ["-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=2"]
    _run([*apt, "update"], scratch)
    _run([*apt, "download", package], scratch)
    (archive,) = scratch.glob("*.deb")
    _run(["dpkg-deb", "-x", archive.name, "content"], scratch)
    return scratch / "content/usr/share/datasets" / package.removeprefix("dataset-")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        complaints = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"{command[0]}: {complaints[-1]}")
