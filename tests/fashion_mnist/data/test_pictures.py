"""Pictures become the pixels that a viewer shows, or are refused by name."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fashion_mnist.data import pictures
from fashion_mnist.data.labelled import Uint8
from fashion_mnist.data.pictures import Options
from fashion_mnist.errors import InputError

AS_THEY_ARE = Options(None, None)
PATH = "cats/1.png"
COLOUR = np.random.default_rng(1).integers(0, 256, (8, 10, 3), np.uint8)
GREY = COLOUR[..., 0]
HASH = "a" * 64


def encoded(picture: Uint8 | Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """Return a picture as a file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(width: int, height: int, depth: int, kind: int, rows: bytes) -> bytes:
    """Return a PNG file with a header of its own; `rows` are its bytes with the filter types."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def decoded(content: bytes, options: Options = AS_THEY_ARE) -> Uint8:
    return pictures.decoded(content, PATH, options)


def complaint(call: Callable[[], object]) -> str:
    """Return what is refused about bad input, or nothing."""
    try:
        call()
    except InputError as error:
        return str(error)
    return ""


def refused(content: bytes, *words: str) -> None:
    """Check that a picture is refused with its name and some words, in one line."""
    message = complaint(lambda: decoded(content))
    assert message.startswith(f"{PATH}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def opaque(picture: Uint8) -> Uint8:
    """Return a picture with an alpha channel that hides nothing."""
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(GREY), GREY),
        (encoded(COLOUR), COLOUR),
        (encoded(opaque(GREY)), GREY),
        (encoded(opaque(COLOUR)), COLOUR),
        (encoded(Image.fromarray(GREY).convert("P")), GREY),
        (encoded(GREY, interlace=True), GREY),
    ],
    ids=[
        "grey",
        "colour",
        "grey with alpha",
        "colour with alpha",
        "palette of greys",
        "interlaced",
    ],
)
def test_a_png_keeps_its_pixels(content: bytes, expected: Uint8) -> None:
    found = decoded(content)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_a_palette_in_colour_keeps_its_pixels() -> None:
    image = Image.fromarray(COLOUR).quantize(16)
    assert image.mode == "P"
    assert np.array_equal(decoded(encoded(image)), np.asarray(image.convert("RGB")))


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_a_palette_whose_transparency_hides_nothing() -> None:
    image = Image.fromarray(COLOUR).quantize(16)
    content = encoded(image, transparency=bytes([255] * 16))
    assert np.array_equal(decoded(content), np.asarray(image.convert("RGB")))


def test_one_bit_becomes_black_and_white() -> None:
    found = decoded(encoded(Image.fromarray(GREY > 127)))
    assert np.array_equal(found, np.where(GREY > 127, 255, 0))
    assert found.dtype == np.uint8


@pytest.mark.parametrize(("depth", "values"), [(2, [0, 85, 170, 255]), (4, [17, 187, 255, 255])])
def test_few_bits_span_black_to_white(depth: int, values: list[int]) -> None:
    row = {2: b"\x1b", 4: b"\x1b\xff"}[depth]
    assert decoded(png(4, 1, depth, 0, b"\0" + row)).tolist() == [values]


@pytest.mark.parametrize("picture", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_jpeg(picture: Uint8) -> None:
    content = encoded(picture, "JPEG", quality=95)
    assert np.array_equal(decoded(content), np.asarray(Image.open(io.BytesIO(content))))
    assert decoded(content).shape == picture.shape


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda p: p),
        (2, np.fliplr),
        (3, lambda p: np.rot90(p, 2)),
        (6, lambda p: np.rot90(p, -1)),
    ],
)
def test_a_picture_is_turned_upright(
    form: str, orientation: int, turned: Callable[[Uint8], Uint8]
) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    content = encoded(COLOUR, form, exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        stored = np.asarray(image)
    assert np.array_equal(decoded(content), turned(stored))


@pytest.mark.parametrize(
    "content",
    [
        encoded(np.dstack([COLOUR, GREY])),
        encoded(np.dstack([GREY, GREY])),
        encoded(COLOUR, transparency=tuple(COLOUR[0, 0].tolist())),
        encoded(GREY, transparency=int(GREY[0, 0])),
        encoded(Image.fromarray(COLOUR).quantize(16), transparency=3),
    ],
    ids=["RGBA", "LA", "a colour", "a grey", "of a palette"],
)
def test_transparent_pixels_are_refused(content: bytes) -> None:
    refused(content, "has transparent pixels, expected an opaque picture")


@pytest.mark.parametrize(
    ("kind", "pixel"),
    [(0, b"\1\2"), (2, b"\1\2\3\4\5\6"), (4, b"\1\2\xff\xff"), (6, b"\1\2\3\4\5\6\xff\xff")],
    ids=["grey", "colour", "grey with alpha", "colour with alpha"],
)
def test_16_bits_are_refused(kind: int, pixel: bytes) -> None:
    """Pillow would drop the lower 8 bits of some of them, without a word."""
    refused(png(4, 4, 16, kind, (b"\0" + pixel * 4) * 4), "expected 8 bits per channel")


def test_cmyk_is_refused() -> None:
    content = encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG")
    refused(content, "CMYK", "expected 8 bits per channel, grey or RGB")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "neither PNG nor JPEG"),
        (b"hello, I am a text file\n", "neither PNG nor JPEG"),
        (encoded(GREY, "GIF"), "neither PNG nor JPEG"),
        (encoded(GREY, "TIFF"), "neither PNG nor JPEG"),
        (encoded(COLOUR)[:150], "cannot be read"),
        (encoded(COLOUR)[:20], "cannot be read"),
        (encoded(COLOUR, "JPEG")[:300], "cannot be read"),
        (png(4, 4, 8, 0, b"\0" * 3), "cannot be read"),
        (png(20_000, 20_000, 8, 2, b"\0"), "decompression bomb"),
        (png(2**31 - 1, 2**31 - 1, 8, 0, b"\0"), "decompression bomb"),
    ],
    ids=["empty", "text", "gif", "tiff", "cut", "header", "jpeg", "short", "bomb", "larger bomb"],
)
def test_what_is_no_picture_is_refused(content: bytes, reason: str) -> None:
    refused(content, reason)


def test_a_bomb_of_100_million_pixels_is_refused() -> None:
    """Pillow only warns of it, and it takes 300 MB."""
    content = png(12_000, 9_000, 8, 2, (b"\0" + bytes(36_000)) * 9_000)
    assert len(content) < 1_000_000
    refused(content)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "content",
    [
        encoded(COLOUR, "JPEG", exif=b"Exif\0\0" + b"MM\0*\0\0\0\x08\0\2\1\x12\0\3\0\0\0\1\0\6"),
        encoded(COLOUR),
        encoded(Image.fromarray(COLOUR).quantize(16), transparency=bytes([255] * 16)),
    ],
    ids=["jpeg", "png", "palette"],
)
def test_a_damaged_picture_is_read_or_refused(content: bytes) -> None:
    generator = np.random.default_rng(2)
    for _ in range(200):
        damaged = bytearray(content)
        for place in generator.integers(0, min(len(content), 200), 2):
            damaged[place] = generator.integers(256)
        message = complaint(partial(decoded, bytes(damaged)))
        assert message == "" or message.startswith(f"{PATH}: ")
        assert "\n" not in message


def test_resize_and_channels() -> None:
    assert decoded(encoded(COLOUR), Options((16, 12), None)).shape == (16, 12, 3)
    assert decoded(encoded(COLOUR), Options((16, 12), 1)).shape == (16, 12)
    assert decoded(encoded(GREY), Options(None, 3)).tolist() == np.dstack([GREY] * 3).tolist()
    even = np.full((20, 30, 3), 77, np.uint8)
    assert (decoded(encoded(even), Options((8, 8), 1)) == 77).all()


# Folders


def test_halves_and_classes_are_sorted() -> None:
    found = pictures.tree(
        ["train/b/2.PNG", "train/b/10.png", "train/a/1.jpeg", "test/a/1.JPG", "test/b/x.png"],
        "x.zip",
    )
    assert found == {
        "t10k": {"a": ["test/a/1.JPG"], "b": ["test/b/x.png"]},
        "train": {"a": ["train/a/1.jpeg"], "b": ["train/b/10.png", "train/b/2.PNG"]},
    }


def test_classes_alone_are_the_training_file() -> None:
    assert pictures.tree(["b/1.png", "a/1.png"], "x.zip") == {
        "train": {"a": ["a/1.png"], "b": ["b/1.png"]}
    }


def test_an_archive_may_have_a_folder_around_all() -> None:
    inner = ["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"]
    found = pictures.tree([f"pets/{path}" for path in inner], "x.zip")
    assert found["t10k"] == {"a": ["pets/test/a/1.png"], "b": ["pets/test/b/1.png"]}
    assert set(found["train"]) == {"a", "b"}


def test_what_systems_leave_behind_is_skipped() -> None:
    litter = ["__MACOSX/a/._1.png", "a/.DS_Store", "b/Thumbs.db", ".git/x/y", "a/desktop.ini"]
    assert pictures.tree(["a/1.png", "b/1.png", *litter], "x.zip") == {
        "train": {"a": ["a/1.png"], "b": ["b/1.png"]}
    }


@pytest.mark.parametrize(
    "path",
    [
        "../evil.png",
        "../a/evil.png",
        "a/../../evil.png",
        "a/../evil.png",
        "/etc/a/evil.png",
        "/.hidden/evil.png",
        ".hidden/../../evil.png",
        "..\\a\\evil.png",
        "a/..",
    ],
)
def test_a_path_that_leads_outside_is_refused(path: str) -> None:
    with pytest.raises(InputError, match=r"^x.zip: .* leads outside"):
        pictures.tree(["a/1.png", "b/1.png", path], "x.zip")


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        (["a/1.png", "b/1.txt"], "b/1.txt"),
        (["a/1.png", "b/1"], "b/1"),
        (["a/1.png", "b/c/1.png"], "b/c/1.png"),
        (["1.png", "a/1.png"], "1.png"),
        (["train/a/1.png", "test/a/1.png", "README.md"], "README.md"),
        (["train/a/1.png", "test/a/1.png", "labels.csv"], "labels.csv"),
        (["train/a/1.png", "test/a/1.png", "zebra.txt"], "zebra.txt"),
        (["train/a/1.png", "test/a/1.png", "validation/a/1.png"], "validation/a/1.png"),
        (["train/a/1.png", "train/1.png"], "train/1.png"),
    ],
)
def test_a_file_that_is_no_picture_of_a_class_is_named(paths: list[str], named: str) -> None:
    with pytest.raises(InputError, match=f"^x.zip: {re.escape(named)}: expected pictures as"):
        pictures.tree(paths, "x.zip")


@pytest.mark.parametrize("paths", [[], ["test/a/1.png"], [".DS_Store"]])
def test_without_a_picture_to_train_on(paths: list[str]) -> None:
    with pytest.raises(InputError, match=r"^x.zip: no pictures in train/<class>/"):
        pictures.tree(paths, "x.zip")


def test_two_spellings_of_a_path_are_one_picture() -> None:
    """Taken twice, it could not be told from a duplicate."""
    with pytest.raises(InputError, match=r"a/1\.png"):
        pictures.tree(["a/1.png", "a//1.png", "b/1.png"], "x.zip")


def test_a_message_has_one_line_whatever_a_file_is_called() -> None:
    with pytest.raises(InputError) as caught:
        pictures.tree(["a/1.png", "b/1\n.txt"], "x.zip")
    assert "\n" not in str(caught.value)


TREE = {"train": {"a": ["1"], "b": ["2"]}, "t10k": {"a": ["3"], "b": ["4"]}}


def test_names_are_wanted_or_sorted() -> None:
    assert pictures.class_names(TREE, None, "x.zip") == ["a", "b"]
    assert pictures.class_names(TREE, ["b", "a"], "x.zip") == ["b", "a"]


@pytest.mark.parametrize(
    ("half", "classes", "wanted", "complaint"),
    [
        ("t10k", {"a": []}, None, "test has no pictures of class 'b'"),
        ("t10k", {"a": [], "b": [], "c": []}, None, "test has a class 'c' that train has not"),
        ("train", {"a": []}, ["a", "b"], "train has no pictures of class 'b'"),
        ("train", {"a": [], "b": [], "c": []}, ["a", "b"], "a class 'c' that download.classes has"),
    ],
)
def test_classes_that_differ_are_named(
    half: str, classes: dict[str, list[str]], wanted: list[str] | None, complaint: str
) -> None:
    with pytest.raises(InputError, match=f"^x.zip: .*{complaint}"):
        pictures.class_names(TREE | {half: classes}, wanted, "x.zip")


# Blocks


def blocks(files: dict[str, bytes], options: Options = AS_THEY_ARE) -> list[Any]:
    """Return the blocks of pictures whose paths are <class>/<name>."""
    found = pictures.tree(files, "x.zip")["train"]
    return list(pictures.blocks(found, sorted(found), files.__getitem__, options))


def test_classes_follow_each_other() -> None:
    files = {f"{name}/{n}.png": encoded(GREY + n) for name in "ba" for n in range(3)}
    ((images, labels),) = blocks(files)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(images[4], GREY + 1)
    assert images.shape == (6, 8, 10)


def test_large_pictures_come_in_smaller_blocks() -> None:
    large = encoded(np.zeros((128, 128, 3), np.uint8))
    found = blocks({f"{name}/{n}.png": large for name in "ab" for n in range(70)})
    assert len(found) > 1
    assert sum(len(labels) for _, labels in found) == 140


def test_several_sizes_are_refused_with_both_names() -> None:
    files = {"a/1.png": encoded(GREY), "b/2.png": encoded(GREY[:, :9])}
    with pytest.raises(InputError) as caught:
        blocks(files)
    message = str(caught.value)
    assert message.startswith("b/2.png: 8x9 pixels (height x width), expected 8x10 as a/1.png")
    assert "download.resize: [height, width]" in message
    ((images, _),) = blocks(files, Options((9, 9), None))
    assert images.shape == (2, 9, 9)


def test_grey_among_coloured_ones_is_refused() -> None:
    files = {"a/1.png": encoded(COLOUR), "b/2.png": encoded(GREY)}
    with pytest.raises(
        InputError, match=r"^b/2.png: grey, expected in colour as a/1.png; .*channels"
    ):
        blocks(files)
    assert [images.shape for images, _ in blocks(files, Options(None, 1))] == [(2, 8, 10)]
    assert [images.shape for images, _ in blocks(files, Options(None, 3))] == [(2, 8, 10, 3)]


def test_a_picture_that_cannot_be_read_is_named() -> None:
    with pytest.raises(InputError, match=r"^b/2.png: neither PNG nor JPEG$"):
        blocks({"a/1.png": encoded(GREY), "b/2.png": b"nothing"})


# Listings


def listing(folder: Path, *lines: str) -> Path:
    path = folder / "SHA256SUMS"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    return path


def test_a_listing_as_sha256sum_writes_it(tmp_path: Path) -> None:
    path = listing(tmp_path, f"{HASH}  a/1.png", f"{HASH} *./b/two words é.png")
    assert pictures.read_listing(path) == {"a/1.png": HASH, "b/two words é.png": HASH}


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "lists no pictures"),
        ([f"{HASH}  a/1.png", ""], "line 2: expected a SHA-256, two spaces and a path"),
        (["a/1.png"], "line 1: expected a SHA-256, two spaces and a path"),
        ([f"{HASH[1:]}  a/1.png"], "line 1: expected"),
        ([f"{HASH}  a/1.png", f"{HASH}  a/1.png"], "line 2: a/1.png occurs twice"),
        ([f"{HASH}  a/1.png", f"{HASH}  ./a/1.png"], "line 2: a/1.png occurs twice"),
        ([f"{HASH}  a/1.png", f"{HASH}  a//1.png"], "line 2: a//?1.png occurs twice"),
    ],
)
def test_a_bad_listing_is_told_with_its_line(
    tmp_path: Path, lines: list[str], complaint: str
) -> None:
    path = listing(tmp_path, *lines)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {complaint}"):
        pictures.read_listing(path)


def test_a_folder_has_what_its_listing_has(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png", "a/.DS_Store", "SHA256SUMS"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pictures.check_complete(tmp_path, ["a/1.png", "b/2.png"], "SHA256SUMS")
    with pytest.raises(InputError, match=rf"^{tmp_path}/b/2.png: not in SHA256SUMS"):
        pictures.check_complete(tmp_path, ["a/1.png"], "SHA256SUMS")


@pytest.mark.parametrize("litter", [[], [".DS_Store"], ["Thumbs.db", ".hidden"]])
def test_an_empty_class_in_a_folder_is_named(tmp_path: Path, litter: list[str]) -> None:
    for name in ("a/1.png", "b/2.png", *(f"c/{name}" for name in litter)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "c").mkdir(exist_ok=True)
    with pytest.raises(InputError, match=f"^{tmp_path}/c: an empty folder"):
        list(pictures.walk(tmp_path))


def test_a_class_behind_a_link_is_not_lost(tmp_path: Path) -> None:
    for name in ("there/a/1.png", "elsewhere/2.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "there/b").symlink_to(tmp_path / "elsewhere")
    assert list(pictures.walk(tmp_path / "there")) == ["a/1.png", "b/2.png"]


# Archives


def read_all(path: Path) -> list[bytes]:
    found = pictures.Archive(path)
    return [found.read(name) for name in found.names()]


def archive(folder: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    path = folder / "some.zip"
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return path


def test_an_archive_gives_its_files(tmp_path: Path) -> None:
    files = {"a/1.png": b"one", "b/2.png": b"two"}
    found = pictures.Archive(archive(tmp_path, {"a/": b"", **files}))
    assert found.names() == list(files)
    assert [found.read(name) for name in files] == [b"one", b"two"]


@pytest.mark.parametrize("litter", [[], [".DS_Store"], ["Thumbs.db"]])
def test_an_empty_class_in_an_archive_is_named(tmp_path: Path, litter: list[str]) -> None:
    files = dict.fromkeys(("a/1.png", "b/2.png", "c/", *(f"c/{name}" for name in litter)), b"")
    path = archive(tmp_path, files)
    with pytest.raises(InputError, match=f"^{path}: c/: an empty folder"):
        pictures.Archive(path).names()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_path_twice_in_an_archive(tmp_path: Path) -> None:
    path = archive(tmp_path, {"a/1.png": b"one", "b/1.png": b"two"})
    with zipfile.ZipFile(path, "a") as target:
        target.writestr("a/1.png", b"three")
    with pytest.raises(InputError, match=f"^{path}: a/1.png occurs twice"):
        pictures.Archive(path).names()


def test_an_archive_with_dots_before_its_paths(tmp_path: Path) -> None:
    """As `tar` and some programs write them."""
    files = {"./a/1.png": encoded(GREY), "./b/2.png": encoded(GREY)}
    found = pictures.Archive(archive(tmp_path, files))
    classes = pictures.tree(found.names(), "some.zip")["train"]
    assert sorted(classes) == ["a", "b"]
    assert [found.read(name) for paths in classes.values() for name in paths] == [*files.values()]


def test_a_bomb_in_an_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"a/1.png": bytes(1 << 27)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000
    with pytest.raises(InputError, match=f"^{path}: a/1.png: more than 67,108,864 bytes"):
        pictures.Archive(path).read("a/1.png")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"hello", encoded(GREY)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.zip"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{path}: not a zip"):
        pictures.Archive(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "compression",
    [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
    ids=["stored", "deflated", "bzip2", "lzma"],
)
def test_a_damaged_archive_is_read_or_refused(tmp_path: Path, compression: int) -> None:
    content = archive(tmp_path, {"a/1.png": bytes(range(256))}, compression).read_bytes()
    path = tmp_path / "damaged.zip"
    for place in range(len(content)):
        for value in (0, content[place] ^ 0x55):
            path.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            message = complaint(lambda: read_all(path))
            assert message == "" or message.startswith(f"{path}: ")
            assert "\n" not in message
