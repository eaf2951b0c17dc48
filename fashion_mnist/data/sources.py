"""Fetches one pinned file from a source: a web mirror, any other fsspec URL, a folder, or Debian.

Nothing that a source says is trusted: a file is accepted for its length and SHA-256 alone. That
is why a plain-http mirror is good enough.
"""

import gzip
import hashlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import aiohttp
import fsspec
from pydantic import Field
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter
from tqdm import tqdm

from fashion_mnist.errors import InputError
from fashion_mnist.params import Section

DEBIAN = "debian:"
BLOCK = 1 << 18  # bytes


class Pin(Section):
    """What a file must be, once it is uncompressed (mirrors differ in their gzip headers)."""

    bytes: int = Field(gt=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


@contextmanager
def opened(source: str) -> Iterator[str]:
    """Yield the folder or URL at which the files of `source` can be read.

    `debian:<package>` is downloaded and unpacked to a temporary folder for as long as the block
    lasts; anything else is yielded as it is.

    Raises:
        InputError: The package cannot be had here.
    """
    if not source.startswith(DEBIAN):
        yield source.rstrip("/")
        return
    with tempfile.TemporaryDirectory(prefix="debian-") as scratch:
        yield str(_debian(source.removeprefix(DEBIAN), Path(scratch)))


def fetch(url: str, pin: Pin, target: Path, *, timeout: float, attempts: int) -> None:
    """Write the file at `url` to `target`, uncompressed and verified while it is written.

    Gzip is recognised by its content, so `url` may name either form. `target` holds part of a
    file when this raises. http(s) honours the proxy variables of the environment.

    Args:
        url: A path or a URL of any protocol that fsspec knows.
        pin: Length and hash that the uncompressed content must have.
        target: File to write.
        timeout: Seconds without a byte after which a connection is given up; a file may take
            thirty times as long as a whole.
        attempts: How often a transfer is begun, with growing pauses between, when the network
            is at fault.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: The content is not the pinned one.
        OSError, EOFError, zlib.error, aiohttp.ClientError, TimeoutError: The transfer failed.
    """
    found = take(url, target, pin.bytes, timeout=timeout, attempts=attempts)
    if found.bytes < pin.bytes:
        raise InputError(f"ends after {found.bytes} bytes, expected {pin.bytes}")
    if found.sha256 != pin.sha256:
        raise InputError(f"SHA-256 is {found.sha256}, expected {pin.sha256}")


def take(url: str, target: Path, most: int, *, timeout: float, attempts: int) -> Pin:
    """Write the file at `url` to `target`, uncompressed, and return what it is.

    Like `fetch`, of a file that nobody has pinned yet and that has up to `most` bytes.

    Raises:
        InputError: It is longer, or empty.
    """
    for attempt in Retrying(
        retry=retry_if_exception(_transient),
        stop=stop_after_attempt(attempts),
        wait=wait_exponential_jitter(multiplier=0.5, max=10),
        reraise=True,
    ):
        with attempt, _stream(url, timeout) as stream, target.open("wb") as file:
            found = _copy(stream, file, most, Path(url).name)
    return found


def _copy(stream: BinaryIO, file: BinaryIO, most: int, name: str) -> Pin:
    digest, length = hashlib.sha256(), 0
    progress = tqdm(total=most, desc=name, unit="B", unit_scale=True, disable=None)
    with progress:
        while block := stream.read(BLOCK):
            length += len(block)
            if length > most:
                raise InputError(f"longer than the expected {most} bytes")
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
        # Block size 0 streams the file in one request. A size, any size, spares the HEAD request,
        # whose failure for whatever reason fsspec reports as a missing file.
        opening = system.open(path, "rb", block_size=0, size=1)
    else:
        opening = fsspec.open(url, "rb")
    with opening as raw:
        buffered = io.BufferedReader(raw, BLOCK)
        if buffered.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=buffered) as plain:
                yield cast(BinaryIO, plain)
        else:
            yield cast(BinaryIO, buffered)


def _transient(error: BaseException) -> bool:
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status >= 500 or error.status == 429
    return isinstance(error, aiohttp.ClientError | TimeoutError | ConnectionError)


def _debian(package: str, scratch: Path) -> Path:
    """Unpack a Debian package below `scratch` and return the folder of its data sets.

    Lists and cache are private, so this needs neither root nor fresh system lists.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise InputError("there is no apt on this machine")
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
