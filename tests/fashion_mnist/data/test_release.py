"""A release in any format becomes IDX files, or is refused with the name of the file."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fashion_mnist.data import idx, release
from fashion_mnist.data.pictures import Options
from fashion_mnist.data.release import Reading
from fashion_mnist.dataset import HALVES, Dataset
from fashion_mnist.errors import InputError
from fashion_mnist.files import CHECKSUMS, sha256

TRAIN, T10K = HALVES["train"], HALVES["t10k"]
NAMES = ["first", "second", "third"]
COUNT = 9


def images(count: int = COUNT, shape: tuple[int, ...] = (8, 8), seed: int = 1) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def labels(count: int = COUNT, classes: int = 3) -> Any:
    return np.arange(count) % classes


def reading(
    classes: list[str] | None = NAMES,
    first_label: int = 0,
    resize: tuple[int, int] | None = None,
    channels: int | None = None,
) -> Reading:
    return Reading(classes, first_label, Options(resize, channels))


@pytest.mark.parametrize(
    ("names", "kind", "parts"),
    [
        ([*TRAIN, *T10K], "idx", [*TRAIN, *T10K]),
        (TRAIN, "idx", TRAIN),
        (
            ["emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte"],
            "idx",
            TRAIN,
        ),
        (["a-Test-images-idx4-ubyte", "a-test-labels-idx1-ubyte", *TRAIN], "idx", [*T10K, *TRAIN]),
        (["mnist_train.csv", "mnist_test.CSV"], "csv", ["train", "t10k"]),
        (["sign_mnist_train.csv"], "csv", ["train"]),
        (["mnist.npz"], "npz", ["npz"]),
        (["Pets.ZIP"], "zip", ["zip"]),
        ([CHECKSUMS], "listing", ["listing"]),
    ],
)
def test_names_decide_the_format(names: list[str], kind: str, parts: list[str]) -> None:
    found = release.format_of(names)
    assert found.kind == kind
    assert found.files == dict(zip(parts, names, strict=True))


@pytest.mark.parametrize(
    "names",
    [
        [],
        TRAIN[:1],
        T10K,
        [*TRAIN, T10K[0]],
        [*TRAIN, "other-train-images-idx3-ubyte"],
        [*T10K, *TRAIN, "test-images-idx3-ubyte", "test-labels-idx1-ubyte"],
        [*TRAIN, "readme.txt"],
        ["mnist_test.csv"],
        ["a_train.csv", "b_train.csv"],
        ["a_train.csv", "a_test.csv", "b_test.csv"],
        ["a_train.csv", "unlabelled.csv"],
        ["a.npz", "b.npz"],
        ["a.zip", "b.zip"],
        ["a.zip", CHECKSUMS],
        ["a.tar.gz"],
        ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"],
        ["sha256sums"],
    ],
)
def test_other_names_are_of_no_format(names: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^train-images-idx3-ubyte and train-labels-idx1-ubyte"):
        release.format_of(names)


class Place:
    """Files of a release, and the folder of what becomes of them."""

    def __init__(self, folder: Path) -> None:
        self.fetched, self.output = folder / "fetched", folder / "output"
        self.fetched.mkdir()
        self.output.mkdir()

    def idx(self, name: str, array: Any) -> None:
        idx.write(self.fetched / name, array)

    def csv(self, name: str, pixels: Any, numbers: Any) -> None:
        table = pd.DataFrame(pixels.reshape(len(pixels), np.prod(pixels.shape[1:])))
        table.columns = [f"pixel{n + 1}" for n in range(table.shape[1])]
        table.insert(0, "label", numbers)
        table.to_csv(self.fetched / name, index=False)

    def npz(self, **arrays: Any) -> None:
        np.savez(self.fetched / "some.npz", **arrays)

    def zip(self, files: dict[str, Any]) -> None:
        with zipfile.ZipFile(self.fetched / "some.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, encoded(content))

    def listing(self, files: dict[str, Any]) -> None:
        for name, content in files.items():
            path = self.fetched / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(content))
        lines = [f"{sha256(self.fetched / name)}  {name}\n" for name in files]
        (self.fetched / CHECKSUMS).write_text("".join(lines))

    def convert(self, **options: Any) -> Dataset:
        names = [path.name for path in self.fetched.iterdir() if path.is_file()]
        form = release.format_of([CHECKSUMS] if CHECKSUMS in names else names)
        return release.convert(form, self.fetched, self.output, reading(**options))

    def refuses(self, *words: str, **options: Any) -> None:
        """Check that the release is refused in one line with some words."""
        with pytest.raises(InputError) as caught:
            self.convert(**options)
        message = str(caught.value)
        assert "\n" not in message
        for word in words:
            assert word in message

    def half(self, half: str = "train") -> tuple[Any, Any]:
        return idx.read_pair(*(self.output / name for name in HALVES[half]))

    def written(self) -> set[str]:
        return {path.name for path in self.output.iterdir()}


def encoded(picture: Any) -> bytes:
    if isinstance(picture, bytes):
        return picture
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# IDX


def test_idx_files_keep_their_bytes(place: Place) -> None:
    for half, count in (("train", 9), ("t10k", 6)):
        for name, array in zip(HALVES[half], (images(count), labels(count)), strict=True):
            place.idx(name, array.astype(np.uint8))
    found = place.convert()
    assert (found.shape, found.names) == ((8, 8, 1), tuple(NAMES))
    assert place.written() == {*TRAIN, *T10K}
    for name in place.written():
        assert (place.output / name).read_bytes() == (place.fetched / name).read_bytes()


def test_idx_with_a_prefix_without_a_test_file_and_with_labels_from_1(place: Place) -> None:
    prefix = "emnist-letters-"
    place.idx(prefix + TRAIN[0], images())
    place.idx(prefix + TRAIN[1], (labels() + 1).astype(np.uint8))
    place.refuses(
        prefix + TRAIN[1], "label 3 at index 2, expected 0 to 2", "download.first_label: 1"
    )
    place.convert(first_label=1)
    assert place.written() == set(TRAIN)
    assert place.half()[1].tolist() == labels().tolist()


def test_idx_in_colour(place: Place) -> None:
    place.idx(TRAIN[0], images(shape=(8, 10, 3)))
    place.idx(TRAIN[1], labels().astype(np.uint8))
    assert place.convert().shape == (8, 10, 3)
    assert np.array_equal(place.half()[0], images(shape=(8, 10, 3)))


def test_idx_of_one_channel_is_grey(place: Place) -> None:
    place.idx(TRAIN[0], images(shape=(8, 10, 1)))
    place.idx(TRAIN[1], labels().astype(np.uint8))
    assert place.convert().shape == (8, 10, 1)
    assert place.half()[0].shape == (COUNT, 8, 10)


def test_300_classes_have_labels_of_16_bits(place: Place) -> None:
    names = [f"class {number}" for number in range(300)]
    place.idx(TRAIN[0], images(600))
    place.idx(TRAIN[1], labels(600, 300).astype(np.uint16))
    place.convert(classes=names)
    assert (place.output / TRAIN[1]).read_bytes()[:4] == bytes([0, 0, 0x0B, 1])
    found = place.half()[1]
    assert found.tolist() == labels(600, 300).tolist()


def test_16_bit_labels_of_few_classes_become_bytes(place: Place) -> None:
    place.idx(TRAIN[0], images())
    place.idx(TRAIN[1], labels().astype(np.uint16))
    place.convert()
    assert (place.output / TRAIN[1]).read_bytes()[:4] == bytes([0, 0, 8, 1])
    assert place.half()[1].tolist() == labels().tolist()


def test_16_bit_images_are_refused(place: Place) -> None:
    place.idx(TRAIN[0], images().astype(np.uint16))
    place.idx(TRAIN[1], labels().astype(np.uint8))
    place.refuses(TRAIN[0], "starts with 00 00 0b 03", "unsigned bytes")


@pytest.mark.parametrize("code", [0x09, 0x0C, 0x0D, 0x0E])
def test_other_types_of_values_are_refused(place: Place, code: int) -> None:
    place.idx(TRAIN[0], images())
    place.idx(TRAIN[1], labels().astype(np.uint8))
    for name in TRAIN:
        path = place.fetched / name
        content = bytearray(path.read_bytes())
        content[2] = code
        path.write_bytes(content)
        place.refuses(name, f"starts with 00 00 {code:02x}")
        content[2] = 8
        path.write_bytes(content)
    place.convert()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((7, 8), ["images of 7x8", "expected 8 to 128 pixels"]),
        ((129, 128), ["images of 129x128", "expected 8 to 128 pixels"]),
        ((8, 8, 2), ["8x8x2", "1 or 3 channels"]),
        ((8, 8, 4), ["8x8x4", "1 or 3 channels"]),
        ((3, 32, 32), ["3x32x32", "1 or 3 channels"]),
    ],
)
def test_images_that_no_model_takes_name_their_file(
    place: Place, shape: tuple[int, ...], words: list[str]
) -> None:
    place.idx(TRAIN[0], images(shape=shape))
    place.idx(TRAIN[1], labels().astype(np.uint8))
    place.refuses(TRAIN[0], *words)


def test_a_test_file_of_another_size_is_named(place: Place) -> None:
    for half, shape in (("train", (8, 8)), ("t10k", (8, 9))):
        place.idx(HALVES[half][0], images(shape=shape))
        place.idx(HALVES[half][1], labels().astype(np.uint8))
    place.refuses(T10K[0], "grey images of 8x9, expected grey images of 8x8")


def test_more_images_than_labels(place: Place) -> None:
    place.idx(TRAIN[0], images())
    place.idx(TRAIN[1], labels(8).astype(np.uint8))
    place.refuses(TRAIN[0], TRAIN[1], "has 9 images", "has 8 labels")


# CSV


def test_csv_of_32x32_without_a_test_file(place: Place) -> None:
    place.csv("some_train.csv", images(shape=(32, 32)), labels())
    assert place.convert().shape == (32, 32, 1)
    assert place.written() == set(TRAIN)
    assert np.array_equal(place.half()[0], images(shape=(32, 32)))


def test_csv_with_a_test_file_and_labels_from_1(place: Place) -> None:
    place.csv("some_train.csv", images(), labels() + 1)
    place.csv("some_test.csv", images(6, seed=2), labels(6) + 1)
    place.convert(first_label=1)
    assert place.half("t10k")[1].tolist() == labels(6).tolist()


def test_csv_with_labels_from_1_is_refused_with_advice(place: Place) -> None:
    place.csv("some_train.csv", images(), labels() + 1)
    place.refuses("some_train.csv: line 4", "expected an integer from 0 to 2", "first_label: 1")


def test_csv_with_300_classes(place: Place) -> None:
    place.csv("some_train.csv", images(600), labels(600, 300))
    place.convert(classes=[f"class {number}" for number in range(300)])
    assert place.half()[1].max() == 299


@pytest.mark.parametrize("shape", [(28, 27), (7, 7), (129, 129), (32, 32, 3)])
def test_csv_of_other_images(place: Place, shape: tuple[int, ...]) -> None:
    place.csv("some_train.csv", images(shape=shape), labels())
    columns = 1 + int(np.prod(shape))
    place.refuses(
        "some_train.csv: line 1", f"{columns} columns", "square images of 8 to 128 pixels"
    )


def test_a_csv_test_file_of_another_size(place: Place) -> None:
    place.csv("some_train.csv", images(), labels())
    place.csv("some_test.csv", images(shape=(9, 9)), labels())
    place.refuses("some_test.csv: grey images of 9x9, expected grey images of 8x8")


def test_a_csv_without_rows(place: Place) -> None:
    place.csv("some_train.csv", images(0), labels(0))
    place.refuses("some_train.csv: no images")


# .npz


def test_npz_in_colour_with_a_test_file(place: Place) -> None:
    colours = images(shape=(10, 8, 3))
    place.npz(
        x_train=colours, y_train=labels()[:, np.newaxis], x_test=colours[:3], y_test=labels(3)
    )
    assert place.convert().shape == (10, 8, 3)
    assert np.array_equal(place.half("t10k")[0], colours[:3])
    assert place.half()[1].tolist() == labels().tolist()


def test_npz_without_a_test_file(place: Place) -> None:
    place.npz(x_train=images(), y_train=labels())
    place.convert()
    assert place.written() == set(TRAIN)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, ["has no arrays, expected x_train, y_train"]),
        ({"images": 1, "labels": 1}, ["has images, labels, expected x_train, y_train"]),
        ({"x_test": images(), "y_test": labels()}, ["has x_test, y_test, expected x_train"]),
        ({"x_train": images()}, ["no array 'y_train'"]),
        ({"x_train": images(), "y_train": labels(), "x_test": images()}, ["no array 'y_test'"]),
        ({"x_train": images(0), "y_train": labels(0)}, ["no images in train"]),
        (
            {"x_train": images(), "y_train": labels(), "x_test": images(0), "y_test": labels(0)},
            ["no images in t10k"],
        ),
        (
            {"x_train": images(shape=(8, 8, 3)), "y_train": labels()}
            | {"x_test": images(), "y_test": labels()},
            ["grey images of 8x8, expected 3-channel images of 8x8"],
        ),
        ({"x_train": images(shape=(3, 32, 32)), "y_train": labels()}, ["images of 3x32x32"]),
        ({"x_train": images(), "y_train": labels() - 1}, ["label -1 at index 0"]),
        ({"x_train": images(), "y_train": labels() + 1}, ["label 3 at index 2", "first_label: 1"]),
    ],
)
def test_npz_is_refused_with_its_name(
    place: Place, arrays: dict[str, Any], words: list[str]
) -> None:
    place.npz(**arrays)
    place.refuses("some.npz: ", *words)


# Pictures


def drawn(*folders: str, each: int = 2, shape: tuple[int, ...] = (8, 8)) -> dict[str, Any]:
    names = [f"{folder}/{number}.png" for folder in folders for number in range(each)]
    return dict(zip(names, images(len(names), shape), strict=True))


@pytest.mark.parametrize("form", ["zip", "listing"])
def test_pictures_of_classes(place: Place, form: str) -> None:
    files = drawn("Tom Cat", "dog")
    getattr(place, form)(files)
    found = place.convert(classes=None)
    assert found.classes == {"tom_cat": "Tom Cat", "dog": "dog"}
    assert found.shape == (8, 8, 1)
    assert place.written() == set(TRAIN)
    pixels, numbers = place.half()
    assert numbers.tolist() == [0, 0, 1, 1]
    assert np.array_equal(pixels, np.stack([*files.values()]))


@pytest.mark.parametrize("form", ["zip", "listing"])
def test_pictures_with_a_test_folder_and_classes_in_another_order(place: Place, form: str) -> None:
    folders = ["train/a", "train/b", "test/a", "test/b"]
    files = drawn(*folders, shape=(8, 9, 3))
    getattr(place, form)(files)
    found = place.convert(classes=["b", "a"])
    assert found.names == ("b", "a")
    assert found.shape == (8, 9, 3)
    pixels, numbers = place.half("t10k")
    assert numbers.tolist() == [0, 0, 1, 1]
    assert np.array_equal(pixels[0], files["test/b/0.png"])


def test_pictures_are_resized(place: Place) -> None:
    place.zip(drawn("a", shape=(20, 30)) | drawn("b", shape=(300, 200)))
    place.refuses(
        "b/0.png: 300x200 pixels", "expected 20x30 as a/0.png", "download.resize", classes=None
    )
    assert place.convert(classes=None, resize=(16, 12)).shape == (16, 12, 1)


def test_pictures_of_300_classes(place: Place) -> None:
    place.zip(drawn(*(f"class {number}" for number in range(300)), each=1))
    place.convert(classes=None)
    assert sorted(place.half()[1].tolist()) == [*range(300)]


@pytest.mark.parametrize(
    ("files", "options", "words"),
    [
        ({}, {}, ["no pictures in train/<class>/"]),
        (drawn("only"), {}, ["2 to 1,000 classes"]),
        (drawn("Cat", "cat"), {}, ["'Cat' and 'cat'", "the same key"]),
        (drawn("a b", "a-b"), {}, ["'a b'", "'a-b'", "the same key"]),
        (drawn("a", "!!"), {}, ["letters or digits", "'!!'"]),
        (drawn("train/a", "train/b", "test/a"), {}, ["test has no pictures of class 'b'"]),
        (drawn("train/a", "train/b", "test/a", "test/b", "test/c"), {}, ["test has a class 'c'"]),
        (drawn("a", "b"), {"classes": ["a", "b", "c"]}, ["no pictures of class 'c'"]),
        (drawn("a", "b", "c"), {"classes": ["a", "b"]}, ["a class 'c'", "download.classes"]),
        (drawn("a", "b", shape=(7, 8)), {}, ["7x8 pixels", "expected 8 to 128 pixels"]),
        (drawn("a", "b", shape=(200, 300)), {}, ["200x300 pixels", "expected 8 to 128 pixels"]),
        (drawn("a", "b") | {"b/x.png": b"text"}, {}, ["b/x.png: neither PNG nor JPEG"]),
        (drawn("a", "b") | {"b/x.png": b""}, {}, ["b/x.png: neither PNG nor JPEG"]),
        (drawn("a", "b") | {"b/x.gif": b""}, {}, ["b/x.gif: expected pictures"]),
        (drawn("a", "b") | {"c/": b""}, {}, ["c/: an empty folder"]),
        (drawn("a", "b") | {"../x/evil.png": b""}, {}, ["../x/evil.png leads outside"]),
        (drawn("a", "b") | {"/x/evil.png": b""}, {}, ["/x/evil.png leads outside"]),
        (
            drawn("train/a", "train/b") | drawn("test/a", "test/b", shape=(8, 8, 3)),
            {},
            ["3-channel images of 8x8, expected grey images of 8x8"],
        ),
        (
            drawn("train/a", "train/b") | drawn("test/a", "test/b", shape=(8, 9)),
            {},
            ["8x9", "expected", "8x8"],
        ),
    ],
)
def test_a_zip_is_refused(place: Place, files: Any, options: Any, words: list[str]) -> None:
    place.zip(files)
    place.refuses(*words, **({"classes": None} | options))


@pytest.mark.parametrize("form", ["zip", "listing"])
def test_a_picture_of_the_test_folder_that_differs_is_named(place: Place, form: str) -> None:
    """As one of the training folder is."""
    train, test = drawn("train/a", "train/b"), drawn("test/a", "test/b")
    getattr(place, form)(train | test | drawn("test/a", each=1, shape=(8, 9)))
    place.refuses("test/a/0.png", "8x9", "8x8", "download.resize", classes=None)


def test_the_message_about_small_pictures_says_what_to_do(place: Place) -> None:
    place.zip(drawn("a", "b", shape=(200, 300)))
    place.refuses("some.zip", "200x300 pixels", "download.resize", classes=None)


def test_names_of_files_do_not_matter(place: Place) -> None:
    files = {
        "a/with space.png": images(1)[0],
        "a/#1?.png": images(1, seed=2)[0],
        "b/%20[x]*.PNG": images(1, seed=3)[0],
        "b/é.png": images(1, seed=4)[0],
    }
    place.listing(files)
    place.convert(classes=None)
    assert len(place.half()[0]) == 4


def test_expected_names_are_in_the_message() -> None:
    for word in ("train-images-idx3-ubyte", ".csv", ".npz", ".zip", CHECKSUMS):
        assert re.search(re.escape(word), release.EXPECTED)
