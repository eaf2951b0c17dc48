"""Preprocessing scales exactly, works in blocks, and rejects damaged sets."""

import io
import json
import re
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist import dataset
from fashion_mnist.data.labelled import BLOCK
from fashion_mnist.errors import InputError
from stages.preprocess import (
    blocks,
    constants,
    histogram,
    moments,
    one_hot,
    prepare,
)
from tests.conftest import FASHION, Pipeline


def write_set(path: Path, images: int) -> None:
    """Write a set of pixels that repeat with a period, cheap to make at any length."""
    rows = np.arange(images * 784, dtype=np.uint32) % 251
    np.savez(
        path,
        images=rows.astype(np.uint8).reshape(images, 28, 28),
        labels=(np.arange(images) % 10).astype(np.uint8),
    )


@pytest.mark.parametrize(
    ("scale", "mean", "deviation", "low", "high"),
    [("unit", None, None, 0, 1), ("none", None, None, 0, 255), ("standard", 0, 1, None, None)],
)
def test_pixels_are_scaled_as_asked(copy: Pipeline, scale, mean, deviation, low, high) -> None:
    copy.set("preprocess.scale", scale)
    copy.run_all("preprocess")
    metrics = json.loads((copy.folder / "metrics/preprocess.json").read_text())
    for name in ("train", "validation", "test"):
        with np.load(copy.folder / f"data/split/{name}.npz") as archive:
            grey, labels = archive["images"], archive["labels"]
        images = np.load(copy.folder / f"data/prepared/{name}/images.npy")
        hot = np.load(copy.folder / f"data/prepared/{name}/labels.npy")
        assert (images.dtype, images.shape) == (np.float32, (*grey.shape, 1))
        assert (hot.dtype, hot.shape) == (np.float32, (len(labels), 10))
        assert np.array_equal(hot.argmax(axis=1), labels)
        assert np.array_equal(hot.sum(axis=1), np.ones(len(labels)))
        # Computed independently, from the written arrays.
        exact = images.astype(np.float64)
        assert metrics[name]["mean"] == pytest.approx(exact.mean(), abs=2e-6)
        assert metrics[name]["standard_deviation"] == pytest.approx(exact.std(), abs=2e-6)
        assert metrics[name]["min"] == pytest.approx(exact.min(), abs=2e-6)
        assert metrics[name]["max"] == pytest.approx(exact.max(), abs=2e-6)
        back = exact[..., 0] * metrics["scale"]["divisor"] + metrics["scale"]["offset"]
        assert np.allclose(back, grey, atol=1e-3)
    for expected, key in (
        (mean, "mean"),
        (deviation, "standard_deviation"),
        (low, "min"),
        (high, "max"),
    ):
        if expected is not None:
            assert metrics["train"][key] == pytest.approx(expected, abs=1e-6)


def test_an_empty_set_stays_empty(copy: Pipeline) -> None:
    copy.set("split.size", 0)
    copy.set("split.role", "validation")
    copy.run_all("split", "preprocess")
    folder = copy.folder / "data/prepared/validation"
    assert np.load(folder / "images.npy").shape == (0, 28, 28, 1)
    assert np.load(folder / "labels.npy").shape == (0, 10)
    metrics = json.loads((copy.folder / "metrics/preprocess.json").read_text())
    assert metrics["validation"] == {"images": 0}


def test_moments_are_exact() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 28, 28), np.uint8)
    mean, deviation = moments(histogram(iter([pixels[:20], pixels[20:]])))
    assert mean == pytest.approx(pixels.mean(), rel=1e-14)
    assert deviation == pytest.approx(pixels.std(), rel=1e-12)


def test_offset_and_divisor_of_each_scale() -> None:
    counts = histogram(iter([np.array([[[10, 20]]], np.uint8)]))
    assert counts.dtype == np.int64
    assert constants("unit", counts) == (0.0, 255.0)
    assert constants("none", counts) == (0.0, 1.0)
    assert constants("standard", counts) == (15.0, 5.0)


def test_labels_become_one_hot_rows() -> None:
    rows = one_hot(np.array([3, 0, 9], np.uint8), 10)
    assert rows.dtype == np.float32
    assert np.array_equal(rows, np.eye(10)[[3, 0, 9]])


def test_a_set_is_scaled_and_described(tmp_path: Path) -> None:
    # 100 and 50 occur once each, which is often enough for minimum and maximum.
    images = np.full((3, 28, 28), 80, np.uint8)
    images[0, 0, 0], images[2, 27, 27] = 100, 50
    np.savez(tmp_path / "set.npz", images=images, labels=np.array([1, 2, 3], np.uint8))
    found = prepare(tmp_path / "set.npz", tmp_path / "prepared", 30.0, 21.0, FASHION)
    expected = (images - 30.0) / 21
    assert found == {
        "images": 3,
        "mean": pytest.approx(expected.mean()),
        "standard_deviation": pytest.approx(expected.std()),
        "min": float(np.float32(20 / 21)),
        "max": float(np.float32(70 / 21)),
    }
    written = np.load(tmp_path / "prepared/images.npy")
    assert written.dtype == np.float32
    assert np.array_equal(written[..., 0], expected.astype(np.float32))
    assert np.load(tmp_path / "prepared/labels.npy").argmax(axis=1).tolist() == [1, 2, 3]


def test_a_set_without_images(tmp_path: Path) -> None:
    empty = {"images": np.zeros((0, 28, 28), np.uint8), "labels": np.zeros(0, np.uint8)}
    np.savez(tmp_path / "set.npz", **empty)
    assert prepare(tmp_path / "set.npz", tmp_path / "prepared", 0.0, 255.0, FASHION) == {
        "images": 0
    }
    assert np.load(tmp_path / "prepared/images.npy").shape == (0, 28, 28, 1)


def test_equal_pixels_cannot_be_standardized() -> None:
    with pytest.raises(
        InputError, match=r"^preprocess.scale: got standard, but all training pixels are equal$"
    ):
        constants("standard", histogram(iter([np.full((2, 28, 28), 7, np.uint8)])))


def test_blocks_give_all_rows_in_order(tmp_path: Path) -> None:
    write_set(tmp_path / "set.npz", BLOCK + 1)
    read = list(blocks(tmp_path / "set.npz", "labels", (), np.uint8))
    assert [len(block) for block in read] == [BLOCK, 1]
    assert np.array_equal(np.concatenate(read), np.arange(BLOCK + 1) % 10)


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    peaks = []
    for images in (2 * BLOCK, 8 * BLOCK):
        write_set(tmp_path / "set.npz", images)
        tracemalloc.start()
        prepare(tmp_path / "set.npz", tmp_path / "prepared", 0.0, 255.0, FASHION)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert np.load(tmp_path / "prepared/images.npy", mmap_mode="r").shape[0] == images
    assert peaks[1] < 1.1 * peaks[0]


def damaged(content: bytes) -> dict[str, tuple[bytes, str]]:
    """Return damaged forms of a set's file, each with what must be said of it."""
    flipped = bytearray(content)
    flipped[5000] ^= 1
    pickled = io.BytesIO()
    np.savez(pickled, images=np.array([{"a": 1}], object), labels=np.zeros(1, np.uint8))
    floats = io.BytesIO()
    np.savez(floats, images=np.zeros((1, 28, 28)), labels=np.zeros(1, np.uint8))
    nameless = io.BytesIO()
    np.savez(nameless, labels=np.zeros(1, np.uint8))
    return {
        "truncated": (content[:-100], "not a zip file"),
        "empty": (b"", "not a zip file"),
        "bit flipped": (bytes(flipped), "CRC"),
        "pickled": (pickled.getvalue(), "an array of objects, expected numbers"),
        "floats": (floats.getvalue(), "float64 (1, 28, 28), expected uint8"),
        "no images": (nameless.getvalue(), "no array 'images'"),
    }


@pytest.mark.parametrize("kind", damaged(bytes(9000)))
def test_a_damaged_set_is_named_with_its_damage(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "set.npz"
    write_set(path, 20)
    content, words = damaged(path.read_bytes())[kind]
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(blocks(path, "images", (28, 28), np.uint8))
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 28, 27), np.uint8), "uint8 (2, 28, 27), expected uint8 ('n', 28, 28)"),
        (np.zeros((2, 28, 28), np.int8), "int8 (2, 28, 28), expected uint8 ('n', 28, 28)"),
        (np.asfortranarray(np.ones((2, 28, 28), np.uint8)), "Fortran's order, expected C's"),
    ],
)
def test_an_array_of_another_shape_or_type_is_rejected(
    tmp_path: Path, array: np.ndarray, words: str
) -> None:
    np.savez(tmp_path / "set.npz", images=array)
    with pytest.raises(InputError, match=re.escape(words)):
        list(blocks(tmp_path / "set.npz", "images", (28, 28), np.uint8))


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_an_array_of_a_later_format(tmp_path: Path, version: tuple[int, int]) -> None:
    content = io.BytesIO()
    array = np.arange(784, dtype=np.uint32).astype(np.uint8).reshape(1, 28, 28)
    np.lib.format.write_array(content, array, version=version)
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("images.npy", content.getvalue())
    if version < (3, 0):
        (found,) = blocks(tmp_path / "set.npz", "images", (28, 28), np.uint8)
        assert np.array_equal(found, array)
        return
    words = r": images: the .npy format \(3, 0\), expected 1.0 or 2.0$"
    with pytest.raises(InputError, match=words):
        list(blocks(tmp_path / "set.npz", "images", (28, 28), np.uint8))


def test_an_array_that_ends_early(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.zeros((3, 28, 28), np.uint8))
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("images.npy", content.getvalue()[:-7])
    with pytest.raises(InputError, match=r": images: ends 7 bytes early$"):
        list(blocks(tmp_path / "set.npz", "images", (28, 28), np.uint8))


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}/set.npz: no such file$"):
        list(blocks(tmp_path / "set.npz", "images", (28, 28), np.uint8))


@pytest.mark.parametrize("kind", damaged(bytes(9000)))
def test_stage_refuses_damaged_sets(copy: Pipeline, kind: str) -> None:
    path = copy.folder / "data/split/train.npz"
    content, words = damaged(path.read_bytes())[kind]
    path.write_bytes(content)
    copy.refuses("preprocess", "data/split/train.npz: ", words)


def test_stage_refuses_a_missing_set(copy: Pipeline) -> None:
    (copy.folder / "data/split/train.npz").unlink()
    copy.refuses("preprocess", "data/split/train.npz: no such file")


def test_labels_out_of_range() -> None:
    with pytest.raises(InputError, match="label 10, expected 0 to 9"):
        one_hot(np.array([1, 10], np.uint8), 10)


def test_images_and_labels_of_different_length(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "set.npz", images=np.zeros((3, 28, 28), np.uint8), labels=np.zeros(2, np.uint8)
    )
    with pytest.raises(InputError, match="3 images but 2 labels"):
        prepare(tmp_path / "set.npz", tmp_path / "prepared", 0.0, 255.0, FASHION)
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 3)])
def test_colour_images_and_many_classes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    found = dataset.described(shape, {f"c{number}": "c" for number in range(300)}, "some")
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (2000, *shape), np.uint8)
    labels = generator.integers(0, 300, 2000).astype(np.uint16)
    np.savez(tmp_path / "set.npz", images=images, labels=labels)
    described = prepare(tmp_path / "set.npz", tmp_path / "prepared", 0.0, 255.0, found)
    assert described["images"] == 2000
    assert described["mean"] == pytest.approx(images.mean() / 255)
    written = np.load(tmp_path / "prepared/images.npy")
    assert written.shape == (2000, 9, 11, found.channels)
    assert np.array_equal(written.ravel(), (images.ravel() / 255.0).astype(np.float32))
    rows = np.load(tmp_path / "prepared/labels.npy")
    assert rows.shape == (2000, 300)
    assert np.array_equal(rows.argmax(axis=1), labels)
    other = dataset.described(shape, {f"c{number}": "c" for number in range(10)}, "some")
    with pytest.raises(InputError, match=r"labels: uint16 \(2000,\), expected uint8 \('n',\)"):
        prepare(tmp_path / "set.npz", tmp_path / "again", 0.0, 255.0, other)
    assert not (tmp_path / "again").exists()
