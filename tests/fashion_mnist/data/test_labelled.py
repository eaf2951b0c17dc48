"""Blocks of labelled images are checked against the data set, and errors count over blocks."""

import numpy as np
import pytest

from fashion_mnist import dataset
from fashion_mnist.data import labelled
from fashion_mnist.data.labelled import Blocks, checked, gathered, rows_of
from fashion_mnist.dataset import Dataset
from fashion_mnist.errors import InputError


def of_classes(count: int, channels: int = 1) -> Dataset:
    shape = (8, 9) if channels == 1 else (8, 9, channels)
    names = dataset.by_key([f"class {number}" for number in range(count)])
    return dataset.described(shape, names, "a test")


def blocks(*labels: list[int], shape: tuple[int, ...] = (8, 9)) -> Blocks:
    for part in labels:
        yield np.zeros((len(part), *shape), np.uint8), np.array(part)


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        ((28, 28), 4096),
        ((8, 8), 4096),
        ((), 4096),
        ((128, 128, 3), 65),
        ((1000, 1000, 3), 1),
        ((10**6, 10**6), 1),
        ((0, 5), 4096),
    ],
)
def test_a_block_has_a_limited_size(shape: tuple[int, ...], rows: int) -> None:
    assert rows_of(shape) == rows


def test_a_block_of_the_default_size() -> None:
    assert rows_of((28, 28)) == labelled.BLOCK


@pytest.mark.parametrize(("classes", "dtype"), [(2, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_labels_have_the_type_of_the_data_set(classes: int, dtype: type) -> None:
    images, labels = gathered(checked(blocks([0, classes - 1], [1]), of_classes(classes), "x"))
    assert labels.dtype == dtype
    assert labels.tolist() == [0, classes - 1, 1]
    assert images.shape == (3, 8, 9)


def test_labels_that_count_from_1() -> None:
    _, labels = gathered(checked(blocks([1, 3], [2]), of_classes(3), "x", first_label=1))
    assert labels.tolist() == [0, 2, 1]
    _, many = gathered(checked(blocks([1, 256]), of_classes(256), "x", first_label=1))
    assert many.tolist() == [0, 255]


@pytest.mark.parametrize(
    ("labels", "first", "complaint"),
    [
        ([[0, 1], [2, 3]], 0, "x: label 3 at index 3, expected 0 to 2"),
        ([[0, -1]], 0, "x: label -1 at index 1, expected 0 to 2"),
        ([[1, 0]], 1, "x: label 0 at index 1, expected 1 to 3"),
        ([[1, 2], [3, 4]], 1, "x: label 4 at index 3, expected 1 to 3"),
        ([[0, 70_000]], 0, "x: label 70000 at index 1, expected 0 to 2"),
    ],
)
def test_a_label_out_of_range_is_told_with_its_place(
    labels: list[list[int]], first: int, complaint: str
) -> None:
    with pytest.raises(InputError, match=f"^{complaint}"):
        gathered(checked(blocks(*labels), of_classes(3), "x", first))


def test_labels_from_1_are_refused_with_advice() -> None:
    with pytest.raises(InputError, match=r"; if labels count from 1, .* download.first_label: 1$"):
        gathered(checked(blocks([1, 2, 3]), of_classes(3), "x"))
    with pytest.raises(InputError, match=r"expected 0 to 2$"):
        gathered(checked(blocks([1, 2, 4]), of_classes(3), "x"))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int64, np.uint64, ">i2"])
def test_labels_of_any_integer_type(dtype: str) -> None:
    part = np.zeros((2, 8, 9), np.uint8), np.array([1, 2]).astype(dtype)
    _, labels = gathered(checked(iter([part]), of_classes(2), "x", first_label=1))
    assert labels.tolist() == [0, 1]


def test_the_highest_label_of_64_bits() -> None:
    part = np.zeros((1, 8, 9), np.uint8), np.array([2**64 - 1], np.uint64)
    with pytest.raises(InputError, match=f"^x: label {2**64 - 1} at index 0"):
        gathered(checked(iter([part]), of_classes(2), "x"))


@pytest.mark.parametrize(
    ("shape", "channels", "complaint"),
    [
        ((9, 8), 1, "x: grey images of 9x8, expected grey images of 8x9"),
        ((8, 9, 3), 1, "x: 3-channel images of 8x9, expected grey images of 8x9"),
        ((8, 9), 3, "x: grey images of 8x9, expected 3-channel images of 8x9"),
        ((8, 9, 4), 3, "x: 4-channel images of 8x9, expected 3-channel images of 8x9"),
    ],
)
def test_images_of_another_kind_are_refused(
    shape: tuple[int, ...], channels: int, complaint: str
) -> None:
    with pytest.raises(InputError, match=f"^{complaint}$"):
        gathered(checked(blocks([0, 1], shape=shape), of_classes(2, channels), "x"))


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"^x: no images$"):
        list(checked(blocks(), of_classes(2), "x"))
    with pytest.raises(InputError, match=r"^x: no images$"):
        list(checked(blocks([]), of_classes(2), "x"))
