"""What train and evaluate read is checked, and stays on disk."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.data import prepared
from fashion_mnist.errors import InputError
from fashion_mnist.files import CHECKSUMS, sha256, write_checksums


def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    write_checksums(folder)


def good(count: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    images = np.zeros((count, 28, 28, 1), np.float32)
    return images, np.eye(10, dtype=np.float32)[np.arange(count) % 10]


def test_arrays_are_memory_mapped(tmp_path: Path) -> None:
    write(tmp_path, *good())
    data = prepared.load(tmp_path)
    assert isinstance(data.images, np.memmap)
    assert isinstance(data.labels, np.memmap)
    assert (data.images.shape, data.labels.shape) == ((6000, 28, 28, 1), (6000, 10))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(tmp_path: Path, value: float) -> None:
    images, labels = good()
    images[5000, 3, 4] = value
    write(tmp_path, images, labels)
    with pytest.raises(InputError, match=r"images.npy: row 5000 has a value that is not finite"):
        prepared.load(tmp_path)


Change = Callable[[np.ndarray], np.ndarray]


@pytest.mark.parametrize("row", [np.zeros(10), np.ones(10), np.eye(10)[0] * 2, np.full(10, 0.1)])
def test_not_one_hot(tmp_path: Path, row: np.ndarray) -> None:
    images, labels = good(20)
    labels[7] = row
    write(tmp_path, images, labels)
    with pytest.raises(InputError, match=r"labels.npy: row 7 is not one-hot"):
        prepared.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda images: images.astype(np.float64), "float64 .*expected float32"),
        (lambda images: images[..., 0], "expected float32"),
        (lambda images: images[:-1], "19 images but 20 rows of labels"),
    ],
)
def test_wrong_arrays(tmp_path: Path, change: Change, words: str) -> None:
    images, labels = good(20)
    write(tmp_path, change(images), labels)
    with pytest.raises(InputError, match=words):
        prepared.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 50, 1000])
def test_truncated(tmp_path: Path, keep: int) -> None:
    write(tmp_path, *good(20))
    path = tmp_path / "images.npy"
    path.write_bytes(path.read_bytes()[:keep])
    write_checksums(tmp_path)
    with pytest.raises(InputError, match=r"images.npy: "):
        prepared.load(tmp_path)


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    write(tmp_path, *good(20))
    np.save(tmp_path / "images.npy", np.array([{"a": 1}], object), allow_pickle=True)
    write_checksums(tmp_path)
    with pytest.raises(InputError, match=r"images.npy: "):
        prepared.load(tmp_path)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy"])
def test_one_flipped_bit(tmp_path: Path, name: str) -> None:
    write(tmp_path, *good(20))
    path = tmp_path / name
    expected = sha256(path)
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        prepared.load(tmp_path)
    assert str(caught.value) == f"{path}: SHA-256 is {sha256(path)}, expected {expected}"


@pytest.mark.parametrize("sums", ["", "0" * 64 + "  labels.npy\n", "nonsense\n", "\xff", None])
def test_damaged_checksums(tmp_path: Path, sums: str | None) -> None:
    write(tmp_path, *good(20))
    path = tmp_path / CHECKSUMS
    path.unlink()
    if sums is not None:
        path.write_text(sums, encoding="latin-1")
    with pytest.raises(InputError, match=r"SHA256SUMS|labels\.npy: SHA-256 is"):
        prepared.load(tmp_path)


def test_the_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    write(tmp_path, *good(20))
    subprocess.run(["sha256sum", "--check", "--strict", CHECKSUMS], cwd=tmp_path, check=True)
