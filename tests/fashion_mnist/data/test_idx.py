"""The IDX reader takes the real form and refuses every damaged one."""

from pathlib import Path

import numpy as np
import pytest

from fashion_mnist import dataset
from fashion_mnist.data import delivery, idx
from fashion_mnist.data.labelled import BLOCK
from fashion_mnist.dataset import HALVES
from fashion_mnist.errors import InputError
from tests.conftest import FASHION

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


def test_writes_integers_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float64"):
        idx.write(tmp_path / "images", np.zeros((1, 28, 28)))
    with pytest.raises(ValueError, match="int64"):
        idx.write(tmp_path / "labels", np.array([3]))


def test_colour_images_and_many_classes_read_back(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 8, 3), np.uint8)
    labels = np.array([0, 255, 256, 999, 3], np.uint16)
    idx.write(tmp_path / "images", images)
    idx.write(tmp_path / "labels", labels)
    assert (tmp_path / "images").read_bytes()[:4] == b"\0\0\x08\x04"
    assert (tmp_path / "images").read_bytes()[20:] == images.tobytes()
    assert (tmp_path / "labels").read_bytes()[:8] == b"\0\0\x0b\x01\0\0\0\x05"
    assert (tmp_path / "labels").read_bytes()[8:] == labels.astype(">i2").tobytes()
    found = idx.read_pair(tmp_path / "images", tmp_path / "labels")
    assert found[0].dtype == np.uint8
    assert np.array_equal(found[0], images)
    assert np.array_equal(found[1], labels)
    many = dataset.described((9, 8, 3), {f"c{number}": "c" for number in range(1000)}, "")
    read = delivery.read([tmp_path / "images", tmp_path / "labels"], many)
    assert (read[0].dtype, read[1].dtype) == (np.uint8, np.uint16)
    assert np.array_equal(read[1], labels)


def test_refuses_images_of_16_bits(tmp_path: Path) -> None:
    idx.write(tmp_path / "images", np.zeros((2, 28, 28), np.uint16))
    idx.write(tmp_path / "labels", np.zeros(2, np.uint8))
    with pytest.raises(InputError, match="images: starts with 00 00 0b 03, expected 00 00 08 03"):
        idx.read_pair(tmp_path / "images", tmp_path / "labels")


def test_a_file_is_read_and_written_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "images"
    images = np.random.default_rng(0).integers(0, 256, (3 * BLOCK + 7, 8, 9), np.uint8)
    with path.open("wb") as file:
        writer = idx.Writer(file)
        for start in range(0, len(images), 1000):
            writer.append(images[start : start + 1000])
        writer.close()
    assert path.read_bytes()[16:] == images.tobytes()
    assert idx.header(path, idx.IMAGES).shape == images.shape
    found = list(idx.blocks(path, idx.IMAGES))
    assert [len(block) for block in found] == [BLOCK, BLOCK, BLOCK, 7]
    assert np.array_equal(np.concatenate(found), images)


def test_rows_come_in_the_order_of_their_places(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 9, 3), np.uint8)
    labels = np.arange(950, 1000, dtype=np.uint16)
    idx.write(tmp_path / "images", images)
    idx.write(tmp_path / "labels", labels)
    for places in ([49, 3, 3, 0], [], [7]):
        index = np.array(places, np.int32)
        assert np.array_equal(idx.rows(tmp_path / "images", idx.IMAGES, index), images[index])
        assert np.array_equal(idx.rows(tmp_path / "labels", idx.LABELS, index), labels[index])


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
        (lambda content: content[:4] + bytes(4) + b"\xff" * 8, "0 images but .* has 100 labels"),
        (lambda content: content[:4] + b"\xff" * 8 + bytes(4), r"4294967295, 0\] .* no pixels"),
        (lambda content: content[:4] + bytes(12), r"\[0, 0, 0\] in its header have no pixels"),
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
    with pytest.raises(InputError, match="label 10 at index 42, expected 0 to 9") as error:
        delivery.read([raw / IMAGES, raw / LABELS], FASHION)
    assert str(raw / LABELS) in str(error.value)


def test_refuses_other_sizes_and_no_images(tmp_path: Path) -> None:
    idx.write(tmp_path / "labels", np.zeros(2, np.uint8))
    idx.write(tmp_path / "images", np.zeros((2, 32, 32), np.uint8))
    with pytest.raises(InputError, match=r"32x32, expected grey images of 28x28$"):
        delivery.read([tmp_path / "images", tmp_path / "labels"], FASHION)
    idx.write(tmp_path / "labels", np.zeros(0, np.uint8))
    idx.write(tmp_path / "images", np.zeros((0, 28, 28), np.uint8))
    with pytest.raises(InputError, match="no images"):
        delivery.read([tmp_path / "images", tmp_path / "labels"], FASHION)
