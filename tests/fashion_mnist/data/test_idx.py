"""The IDX reader takes the real form and refuses every damaged one."""

from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.data import idx
from fashion_mnist.dataset import HALVES
from fashion_mnist.errors import InputError

IMAGES, LABELS = HALVES["t10k"]


def test_reads_real_images(raw: Path) -> None:
    images, labels = idx.read_pair(raw / IMAGES, raw / LABELS)
    assert (images.shape, images.dtype) == ((100, 28, 28), np.uint8)
    assert np.bincount(labels).tolist() == [10] * 10
    # The first test image of the release is an ankle boot: empty above, dark at the sole.
    assert labels[0] == 9
    assert images[0, :7].sum() == 0
    assert images[0, 20].mean() > 100


def test_written_file_reads_back_byte_for_byte(raw: Path, tmp_path: Path) -> None:
    images, labels = idx.read_pair(raw / IMAGES, raw / LABELS)
    idx.write(tmp_path / "images", images)
    idx.write(tmp_path / "labels", labels)
    assert (tmp_path / "images").read_bytes() == (raw / IMAGES).read_bytes()
    assert (tmp_path / "labels").read_bytes() == (raw / LABELS).read_bytes()


def test_writes_bytes_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float64"):
        idx.write(tmp_path / "images", np.zeros((1, 28, 28)))


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda content: content[:-1], "expected 78416 for the dimensions"),
        (lambda content: content + b"\0", "78417 bytes, expected 78416"),
        (lambda content: content[:10], "10 bytes, expected a header of 16"),
        (lambda content: b"", "starts with nothing"),
        (lambda content: b"<html>" + content[6:], "starts with 3c 68 74 6d"),
        (lambda content: b"\0\0\x0d" + content[3:], "expected 00 00 08 03"),
        (lambda content: content[:4] + b"\xff" * 12 + content[16:], "for the dimensions"),
        (lambda content: content[:4] + bytes(4) + b"\xff" * 8, "too big"),
        (lambda content: content[:4] + b"\xff" * 8 + bytes(4), "cannot reshape"),
    ],
)
def test_refuses_damaged_images(raw: Path, damage, complaint: str) -> None:
    path = raw / IMAGES
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=complaint) as error:
        idx.read_pair(path, raw / LABELS)
    assert str(path) in str(error.value)


def test_refuses_swapped_files(raw: Path) -> None:
    with pytest.raises(InputError, match="expected 00 00 08 03"):
        idx.read_pair(raw / LABELS, raw / IMAGES)


def test_refuses_pairs_of_different_length(raw: Path) -> None:
    with pytest.raises(InputError, match=r"300 images but .* 100 labels"):
        idx.read_pair(raw / HALVES["train"][0], raw / LABELS)


def test_refuses_a_label_that_is_no_class(raw: Path) -> None:
    content = bytearray((raw / LABELS).read_bytes())
    content[8 + 42] = 10
    (raw / LABELS).write_bytes(content)
    with pytest.raises(InputError, match="label 10 at index 42, expected 0 to 9"):
        idx.read_pair(raw / IMAGES, raw / LABELS)


def test_refuses_other_sizes_and_no_images(tmp_path: Path) -> None:
    idx.write(tmp_path / "labels", np.zeros(2, np.uint8))
    idx.write(tmp_path / "images", np.zeros((2, 32, 32), np.uint8))
    with pytest.raises(InputError, match="32x32, expected 28x28"):
        idx.read_pair(tmp_path / "images", tmp_path / "labels")
    idx.write(tmp_path / "labels", np.zeros(0, np.uint8))
    idx.write(tmp_path / "images", np.zeros((0, 28, 28), np.uint8))
    with pytest.raises(InputError, match="no images"):
        idx.read_pair(tmp_path / "images", tmp_path / "labels")
