"""Arrays of an .npz file are read in blocks, or refused with the file and the array."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy
from numpy.typing import NDArray

from fashion_mnist.data import labelled, npz
from fashion_mnist.errors import InputError

IMAGES = np.random.default_rng(1).integers(0, 256, (3, 8, 9), np.uint8)
LABELS = np.arange(3)


def saved(folder: Path, compression: int = zipfile.ZIP_STORED, **arrays: Any) -> Path:
    """Write arrays, or the bytes of .npy files, as an .npz file."""
    path = folder / "some.npz"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, array in arrays.items():
            file = io.BytesIO()
            if isinstance(array, bytes):
                file.write(array)
            else:
                npy.write_array(file, array, allow_pickle=True)
            archive.writestr(f"{name}.npy", file.getvalue())
    return path


def file_with(header: str, content: bytes = IMAGES.tobytes(), version: bytes = b"\1\0") -> bytes:
    """Return an .npy file with a header of its own."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + content


def described(shape: str, descr: str = "'|u1'", fortran: str = "False") -> bytes:
    return file_with(f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}")


def pair(path: Path) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    return list(npz.pair(path, "x_train", "y_train"))


def complaint(path: Path) -> str:
    """Return what is refused about a pair, or nothing."""
    try:
        pair(path)
    except InputError as error:
        return str(error)
    return ""


def refused(path: Path, *words: str) -> None:
    """Check that a pair is refused with the file and some words, in one line that can be read."""
    message = complaint(path)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 500
    for word in words:
        assert word in message


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_as_numpy_writes_them(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "some.npz"
    save(path, x_train=IMAGES, y_train=LABELS)
    ((images, labels),) = pair(path)
    assert np.array_equal(images, IMAGES)
    assert np.array_equal(labels, LABELS)
    assert images.dtype == np.uint8


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (IMAGES[..., np.newaxis], LABELS),
        (IMAGES, LABELS[:, np.newaxis]),
        (IMAGES[..., np.newaxis], LABELS[:, np.newaxis].astype(np.uint8)),
        (IMAGES, LABELS.astype(">i2")),
        (IMAGES, LABELS.astype(np.int8)),
        (IMAGES, LABELS.astype(np.uint64)),
    ],
    ids=["a channel", "column", "both", "big-endian", "int8", "uint64"],
)
def test_other_shapes_and_types(tmp_path: Path, images: Any, labels: Any) -> None:
    ((found, of_labels),) = pair(saved(tmp_path, x_train=images, y_train=labels))
    assert np.array_equal(found, IMAGES)
    assert of_labels.tolist() == [0, 1, 2]


def test_colours(tmp_path: Path) -> None:
    colours = np.stack([IMAGES] * 3, axis=-1)
    ((found, _),) = pair(saved(tmp_path, x_train=colours, y_train=LABELS))
    assert np.array_equal(found, colours)


def test_many_images_come_in_blocks(tmp_path: Path) -> None:
    count = 2 * labelled.BLOCK + 1
    images = np.arange(count * 64, dtype=np.int64).astype(np.uint8).reshape(count, 8, 8)
    found = pair(saved(tmp_path, x_train=images, y_train=np.arange(count)))
    assert [len(block) for block, _ in found] == [labelled.BLOCK, labelled.BLOCK, 1]
    assert np.array_equal(np.concatenate([block for block, _ in found]), images)
    assert np.array_equal(np.concatenate([labels for _, labels in found]), np.arange(count))


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (
            IMAGES / 255,
            LABELS,
            ["x_train is float64 (3, 8, 9)", "expected uint8 (n, height, width)"],
        ),
        (IMAGES.astype(np.uint16), LABELS, ["x_train is uint16", "expected uint8"]),
        (IMAGES.reshape(3, -1), LABELS, ["x_train is uint8 (3, 72)"]),
        (IMAGES > 7, LABELS, ["x_train is bool"]),
        (IMAGES.astype(object), LABELS, ["x_train: an array of objects, expected numbers"]),
        (IMAGES, LABELS.astype(object), ["y_train: an array of objects, expected numbers"]),
        (np.asfortranarray(IMAGES), LABELS, ["x_train: an array in Fortran's order"]),
        (IMAGES, LABELS * 1.0, ["y_train is float64 (3,)", "expected integers (3,)"]),
        (IMAGES, np.eye(3, dtype=int), ["y_train is int64 (3, 3)", "expected integers (3,)"]),
        (IMAGES, LABELS[:2], ["y_train is int64 (2,)", "expected integers (3,)"]),
        (IMAGES, np.array(["a", "b", "c"]), ["y_train is <U1", "expected integers (3,)"]),
        (IMAGES, np.int64(3), ["y_train", "shape ()"]),
    ],
)
def test_arrays_of_other_kinds_are_refused(
    tmp_path: Path, images: Any, labels: Any, words: list[str]
) -> None:
    refused(saved(tmp_path, x_train=images, y_train=labels), *words)


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    refused(saved(tmp_path, x_train=IMAGES), "no array 'y_train'")
    refused(saved(tmp_path, y_train=LABELS), "no array 'x_train'")
    refused(saved(tmp_path), "no array 'x_train'")
    refused(tmp_path / "nothing.npz", "no such file")


def test_a_file_without_the_suffix_in_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train", b"")
        archive.writestr("y_train", b"")
    refused(path, "x_train")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"hello", b"\x93NUMPY\1\0"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.npz"
    path.write_bytes(content)
    refused(path)
    with pytest.raises(InputError, match=f"^{path}: "):
        npz.names(path)


@pytest.mark.parametrize(
    "shape",
    [
        "(4, 8, 9)",
        "(2, 8, 9)",
        "(3, 8, 10)",
        "(3, -1, 9)",
        "(-3, 8, 9)",
        "(3, -8, -9)",
        "(3, -72)",
        "(3, 8, 9, 0)",
        "(3, 0, 9)",
        "(1000000000, 8, 9)",
        "(1000000000000000000000, 8, 9)",
        "(3, 99999999999, 99999999999)",
        "(3.0, 8, 9)",
        "('a', 8, 9)",
        "3",
        "()",
        "(3, 8, 9",
        "10**9",
    ],
)
@pytest.mark.parametrize("count", [3, 4, 2])
def test_a_header_that_lies_about_the_shape(tmp_path: Path, shape: str, count: int) -> None:
    labels = np.zeros(count, np.uint8)
    refused(saved(tmp_path, x_train=described(shape), y_train=labels))


@pytest.mark.parametrize(
    "header",
    [
        described("(3, 8, 9)", descr="'|O'"),
        described("(3, 8, 9)", descr="'<U0'"),
        described("(3, 8, 9)", descr="[('a', '|u1')]"),
        described("(3, 8, 9)", descr="('|u1', (3,))"),
        described("(3, 8, 9)", descr="'zz'"),
        described("(3, 8, 9)", descr="5"),
        described("(3, 8, 9)", fortran="3"),
        file_with(""),
        file_with("{"),
        file_with("[1]"),
        file_with("{1: 2}"),
        file_with("{{}: 1}"),
        file_with("'''"),
        file_with("\0"),
        file_with("  \t x\n y"),
        file_with("(" * 9000),
        file_with("-" * 9000),
        file_with("1+" * 3000),
        file_with("{'a':" * 1500),
        file_with(" " * 20_000),
        file_with("{}", version=b"\3\0"),
        file_with("{}", version=b"\7\7"),
        b"\x93NUMPY\1\0\xff\xff",
        b"",
    ],
)
def test_a_header_that_is_none(tmp_path: Path, header: bytes) -> None:
    refused(saved(tmp_path, x_train=header, y_train=LABELS), "x_train")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "compression",
    [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
    ids=["stored", "deflated", "bzip2", "lzma"],
)
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, compression: int) -> None:
    content = saved(tmp_path, compression, x_train=IMAGES, y_train=LABELS).read_bytes()
    path = tmp_path / "damaged.npz"
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        message = complaint(path)
        assert message == "" or message.startswith(f"{path}: ")
        assert "\n" not in message


@pytest.mark.parametrize("end", [10, 100, 300, -1, -30])
def test_a_file_that_ends_early_is_refused(tmp_path: Path, end: int) -> None:
    path = saved(tmp_path, x_train=IMAGES, y_train=LABELS)
    path.write_bytes(path.read_bytes()[:end])
    refused(path)


def test_changed_pixels_are_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path, x_train=IMAGES, y_train=LABELS)
    content = path.read_bytes()
    assert content.count(IMAGES.tobytes()) == 1
    path.write_bytes(content.replace(IMAGES.tobytes(), (IMAGES ^ 1).tobytes()))
    refused(path, "x_train", "CRC")
