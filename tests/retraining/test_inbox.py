"""Deliveries are collected whatever else is in the inbox; what is not read is named."""

import gzip
import os
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fashion_mnist.data import idx
from fashion_mnist.data.labelled import Labels, Uint8
from fashion_mnist.dataset import HALVES, Dataset
from fashion_mnist.errors import InputError
from fashion_mnist.files import sha256
from retraining import inbox, place
from retraining.inbox import Delivery, Found
from tests.conftest import kaggle_table

NEITHER = "neither IDX, .npz nor CSV"


def dataset(shape: tuple[int, ...] = (28, 28), classes: int = 10) -> Dataset:
    height, width, channels = (*shape, 1)[:3]
    names = {str(label): str(label) for label in range(classes)}
    return Dataset(height=height, width=width, channels=channels, classes=names)


@pytest.fixture
def pair(raw: Path) -> tuple[Uint8, Labels]:
    return idx.read_pair(*(raw / name for name in HALVES["t10k"]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty inbox outside of the repository."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def collect(folder: Path, tmp_path: Path) -> Callable[..., Found]:
    """Return `inbox.collect`, for the folder or another place."""
    (tmp_path / "root").mkdir()

    def call(inbox_place: str | None = None) -> Found:
        scratch = tmp_path / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        return inbox.collect(inbox_place or str(folder), tmp_path / "root", scratch)

    return call


def write_idx(folder: Path, images: Uint8, labels: Labels, *names: str) -> None:
    for name, array in zip(names, (images, labels), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        idx.write(folder / name, array)


@pytest.fixture
def filled(folder: Path, pair: tuple[Uint8, Labels]) -> Path:
    """The same real images in each of the three formats, and files that are no delivery."""
    write_idx(folder, *pair, "monday-images-idx3-ubyte", "monday-labels-idx1-ubyte")
    kaggle_table(*pair).to_csv(folder / "tuesday.csv", index=False)
    np.savez(folder / "wednesday.npz", images=pair[0], labels=pair[1].astype(np.int64))
    (folder / "notes.txt").write_text("not a delivery")
    return folder


def faults(found: Found, data: Dataset | None = None) -> dict[str, str]:
    """Return why each delivery that cannot be read is refused, by its name."""
    refused = {}
    for delivery in found.deliveries:
        try:
            delivery.read(data or dataset())
        except InputError as error:
            refused[delivery.name] = str(error)
    return refused


def names(found: Found) -> list[str]:
    return [delivery.name for delivery in found.deliveries]


def entries(delivery: Delivery) -> list[dict[str, object]]:
    found: list[dict[str, object]] = delivery.accepted(date(2026, 11, 2))["files"]
    return found


def test_each_format_gives_the_images_in_order_of_the_names(
    filled: Path, collect: Callable[..., Found], pair: tuple[Uint8, Labels]
) -> None:
    found = collect()
    assert names(found) == ["monday", "tuesday.csv", "wednesday.npz"]
    for delivery in found.deliveries:
        for array, expected in zip(delivery.read(dataset()), pair, strict=True):
            assert np.array_equal(array, expected)
    assert [len(delivery.parts) for delivery in found.deliveries] == [2, 1, 1]
    assert found.rest == [f"notes.txt: {NEITHER}"]


def test_hashes_are_of_the_content_whatever_its_name_or_compression(
    filled: Path, collect: Callable[..., Found]
) -> None:
    before = collect()
    for path in filled.glob("*-ubyte"):
        other = filled / path.name.replace("monday", "friday")
        other.with_name(f"{other.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
    after = collect()
    assert names(after) == ["friday", "tuesday.csv", "wednesday.npz"]
    assert [one.hashes for one in after.deliveries] == [one.hashes for one in before.deliveries]


@pytest.mark.parametrize(
    "pair_of_names",
    [
        ("monday-images.idx3-ubyte", "monday-labels.idx1-ubyte"),
        ("MONDAY-IMAGES-IDX3-UBYTE.GZ", "MONDAY-LABELS-IDX1-UBYTE.GZ"),
        ("monday-images-idx3-ubyte (1)", "monday-labels-idx1-ubyte (1)"),
        ("images", "labels"),
        ("monday_images.idx", "monday_labels.idx"),
        ("monday/train-images-idx3-ubyte", "monday/train-labels-idx1-ubyte"),
        ("a labels 2-images-idx3-ubyte", "a labels 2-labels-idx1-ubyte"),
    ],
)
def test_pairs_by_the_names_people_have(
    folder: Path,
    collect: Callable[..., Found],
    pair: tuple[Uint8, Labels],
    pair_of_names: tuple[str, str],
) -> None:
    write_idx(folder, *pair, *pair_of_names)
    found = collect()
    (delivery,) = found.deliveries
    assert faults(found) == {}
    assert found.rest == []
    # `download` calls it by the hash of its images.
    assert entries(delivery)[0]["sha256"] == sha256(folder / pair_of_names[0])


@pytest.mark.parametrize(
    "name", ["MONDAY.NPZ", "day1/a.npz", "upload-17", "a.npz.bak", "a#b?c,ü (1).npz", "x/y/z.Npz"]
)
def test_one_file_by_the_names_people_have(
    folder: Path, collect: Callable[..., Found], pair: tuple[Uint8, Labels], name: str
) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("wb") as file:
        np.savez(file, images=pair[0], labels=pair[1])
    found = collect()
    assert names(found) == [name]
    assert faults(found) == {}


def test_an_accepted_delivery_is_listed_with_url_length_and_hash(
    filled: Path, collect: Callable[..., Found]
) -> None:
    path = filled / "wednesday.npz"
    delivery = collect().deliveries[-1]
    file = {"url": str(path), "bytes": path.stat().st_size, "sha256": sha256(path)}
    assert delivery.accepted(date(2026, 11, 2)) == {"date": "2026-11-02", "files": [file]}


@pytest.mark.parametrize("written", ["data/inbox", "./data/inbox/", "data/../data/inbox", "{root}"])
def test_in_the_repository_a_url_is_no_path_of_this_machine(
    collect: Callable[..., Found], filled: Path, tmp_path: Path, written: str
) -> None:
    inside = tmp_path / "root/data/inbox"
    shutil.copytree(filled, inside)
    found = collect(written.format(root=inside))
    urls = [entry["url"] for delivery in found.deliveries for entry in entries(delivery)]
    assert urls[-1] == "data/inbox/wednesday.npz"
    assert not [url for url in urls if not str(url).startswith("data/inbox/")]
    # Elsewhere it is as it was written.
    found = collect("../inbox")
    assert entries(found.deliveries[-1])[0]["url"] == "../inbox/wednesday.npz"


def test_a_home_folder_is_expanded(
    collect: Callable[..., Found], filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(filled.parent))
    (delivery,) = [one for one in collect("~/inbox").deliveries if one.name == "wednesday.npz"]
    assert entries(delivery)[0]["url"] == "~/inbox/wednesday.npz"


# --- a file that is wrong: it is refused by name, and the others are read


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def damaged_zip(folder: Path, pair: tuple[Uint8, Labels]) -> bytes:
    """Return a compressed .npz with wrong bytes inside, which only decompression notices."""
    path = folder.parent / "whole.npz"
    np.savez_compressed(path, images=pair[0], labels=pair[1])
    content = bytearray(path.read_bytes())
    content[200:300] = bytes(100)
    return bytes(content)


def encrypted_zip(folder: Path, pair: tuple[Uint8, Labels]) -> bytes:
    path = folder.parent / "whole.npz"
    np.savez(path, images=pair[0], labels=pair[1])
    content = bytearray(path.read_bytes())
    for place_of_flags in (content.find(b"PK\x03\x04") + 6, content.find(b"PK\x01\x02") + 8):
        content[place_of_flags] |= 1
    return bytes(content)


def objects(folder: Path, pair: tuple[Uint8, Labels]) -> bytes:
    path = folder.parent / "objects.npz"
    np.savez(path, images=pair[0].astype(object), labels=pair[1])
    return path.read_bytes()


def archive(folder: Path, pair: tuple[Uint8, Labels]) -> bytes:
    path = folder.parent / "archive.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "no arrays")
    return path.read_bytes()


IDX3 = b"\0\0\x08\x03"
TABLE = b"label," + b",".join(b"pixel%d" % n for n in range(1, 785)) + b"\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "empty"),
        ("a.npz", b"", "empty"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "empty"),
        ("a.csv.gz", cut(gzip.compress(TABLE, mtime=0)), "EOFError Compressed file ended"),
        ("a.csv.gz", gzip.compress(TABLE, mtime=0)[:-8] + bytes(8), "BadGzipFile CRC check failed"),
        ("a.npz.gz", b"\x1f\x8b\x08" + bytes(90), ""),
        ("A.CSV", b"no,header\n", "line 1: column 1 is 'no', expected 'label'"),
        ("a.csv", TABLE, "no images"),
        ("a.csv", TABLE + b"1,2\n", "line 2: 2 columns, expected 785"),
        ("a.csv", b"\xff\xfe\0\0" * 99, "line 1: column 1"),
        ("a.csv", b"\0" * 5000, "line 1: column 1"),
        ("a.npz", b"PK\x03\x04 and no more", "not a zip file"),
        ("a.npz", damaged_zip, "a.npz: "),
        ("a.npz", encrypted_zip, "encrypted"),
        ("a.npz", objects, "images: an array of objects, expected numbers"),
        ("a.npz", archive, "no array 'images'"),
        ("a", IDX3, "a: expected images and labels in IDX files"),
        ("a-images-idx3-ubyte", IDX3 + bytes(4), "expected images and labels in IDX files"),
        (
            "a-labels-idx1-ubyte.gz",
            cut(gzip.compress(IDX3 * 9, mtime=0)),
            "a-labels-idx1-ubyte.gz: EOF",
        ),
    ],
)
def test_a_broken_file_is_refused_by_name_and_spares_the_others(
    filled: Path,
    collect: Callable[..., Found],
    pair: tuple[Uint8, Labels],
    name: str,
    content: bytes | Callable[[Path, tuple[Uint8, Labels]], bytes],
    words: str,
) -> None:
    (filled / name).write_bytes(content if isinstance(content, bytes) else content(filled, pair))
    found = collect()
    (fault,) = faults(found).values()
    assert name.partition("-")[0] in fault
    assert words in fault
    assert str(filled.parent) not in fault
    assert "\n" not in fault
    assert len(found.deliveries) == 4
    # The ledger knows it by its content: the next night it is no news.
    renamed = filled / f"renamed-{name}"
    (filled / name).rename(renamed)
    again = collect()
    assert {tuple(one.hashes) for one in again.deliveries} == {
        tuple(one.hashes) for one in found.deliveries
    }


def test_half_of_a_pair_is_refused_until_the_other_half_comes(
    filled: Path, collect: Callable[..., Found]
) -> None:
    whole = collect().deliveries[0]
    labels = (filled / "monday-labels-idx1-ubyte").read_bytes()
    (filled / "monday-labels-idx1-ubyte").unlink()
    found = collect()
    assert faults(found) == {
        "monday": "monday-images-idx3-ubyte: expected images and labels in IDX files, "
        "or one .npz or CSV file"
    }
    assert found.deliveries[0].hashes != whole.hashes
    (filled / "monday-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, mtime=0))
    assert collect().deliveries[0].hashes == whole.hashes


def test_what_cannot_be_opened_is_refused_by_name(
    filled: Path, collect: Callable[..., Found]
) -> None:
    (filled / "gone.npz").symlink_to(filled / "nowhere.npz")
    os.mkfifo(filled / "pipe.csv")
    (filled / "loop").symlink_to(filled)
    (filled / "link.npz").symlink_to(filled / "wednesday.npz")
    found = collect()
    assert faults(found) == {
        "gone.npz": "gone.npz: a broken link, No such file or directory",
        "pipe.csv": "pipe.csv: not a regular file",
    }
    assert found.rest == [
        "loop: a link to a folder",
        f"notes.txt: {NEITHER}",
        "wednesday.npz: the same as link.npz",
    ]
    # Once it can be read, it is another delivery.
    before = {tuple(one.hashes) for one in found.deliveries}
    (filled / "gone.npz").unlink()
    np.savez(filled / "gone.npz", images=np.zeros((1, 28, 28), np.uint8), labels=np.array([3]))
    assert len({tuple(one.hashes) for one in collect().deliveries} - before) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(filled: Path, collect: Callable[..., Found]) -> None:
    (filled / "wednesday.npz").chmod(0)
    (filled / "closed").mkdir(mode=0)
    found = collect()
    assert "wednesday.npz: PermissionError" in faults(found)["wednesday.npz"]
    assert any(line.startswith("closed: PermissionError") for line in found.rest)
    filled.chmod(0)
    try:
        with pytest.raises(InputError, match="PermissionError"):
            collect()
    finally:
        filled.chmod(0o755)


def test_a_file_that_is_too_long_is_refused(
    filled: Path, collect: Callable[..., Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (filled / "wednesday.npz").stat().st_size
    content = (filled / "tuesday.csv").read_bytes()
    (filled / "tuesday.csv").unlink()
    (filled / "tuesday.csv.gz").write_bytes(gzip.compress(content + b"\n" * size, mtime=0))
    monkeypatch.setattr(place, "LIMIT", size - 1)
    assert faults(collect()) == {
        "tuesday.csv": f"tuesday.csv.gz: longer than {size - 1} bytes",
        "wednesday.npz": f"wednesday.npz: {size} bytes, expected at most {size - 1}",
    }


def test_a_name_that_is_no_text_is_shown_and_refused(
    filled: Path, collect: Callable[..., Found]
) -> None:
    shutil.copy(filled / "wednesday.npz", os.fsencode(filled) + b"/\xff\n.npz")
    (filled / "wednesday.npz").unlink()
    (fault,) = faults(collect()).values()
    assert fault.startswith("??.npz: UnicodeEncodeError")


def test_images_of_another_size_are_refused_by_name_and_alone(
    filled: Path, collect: Callable[..., Found], pair: tuple[Uint8, Labels]
) -> None:
    images, labels = pair
    np.savez(filled / "small.npz", images=images[:, :26, :26], labels=labels)
    np.savez(filled / "colour.npz", images=np.stack([images] * 3, axis=3), labels=labels)
    table = pd.DataFrame(images[:, :27, :27].reshape(len(images), -1))
    table.columns = [f"pixel{number}" for number in range(1, 27**2 + 1)]
    table.insert(0, "label", labels)
    table.to_csv(filled / "square.csv", index=False)
    write_idx(filled, images[:, :14], labels, "half-images-idx3-ubyte", "half-labels-idx1-ubyte")
    np.savez(filled / "label.npz", images=images, labels=labels.astype(int) + 1)
    found = collect()
    refused = faults(found)
    assert sorted(refused) == ["colour.npz", "half", "label.npz", "small.npz", "square.csv"]
    for name, words in {
        "colour.npz": "3-channel images of 28x28",
        "half": "grey images of 14x28",
        "small.npz": "grey images of 26x26",
        "square.csv": "grey images of 27x27",
    }.items():
        assert refused[name].startswith(name)
        assert refused[name].endswith(f": {words}, expected grey images of 28x28")
    assert refused["label.npz"].startswith("label.npz: label 10 at index ")
    assert len(found.deliveries) == 8


def test_colour_images_and_labels_of_16_bits(
    folder: Path, collect: Callable[..., Found], pair: tuple[Uint8, Labels]
) -> None:
    data = dataset((28, 28, 3), classes=300)
    images = np.stack([pair[0], pair[0] // 2, 255 - pair[0]], axis=3)
    labels = (np.arange(len(images), dtype=np.uint16) * 3) % 300
    write_idx(folder, images, labels, "monday-images-idx4-ubyte", "monday-labels-idx1-ubyte")
    np.savez(folder / "tuesday.npz", images=images, labels=labels.astype(np.int64))
    found = collect()
    assert names(found) == ["monday", "tuesday.npz"]
    assert found.rest == []
    for delivery in found.deliveries:
        for array, expected in zip(delivery.read(data), (images, labels), strict=True):
            assert np.array_equal(array, expected)
            assert array.dtype == expected.dtype


def test_a_small_file_of_too_many_pixels_is_refused(
    filled: Path,
    collect: Callable[..., Found],
    pair: tuple[Uint8, Labels],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is compressed in a .npz file could fill the memory."""
    size = pair[0].nbytes
    np.savez_compressed(
        filled / "bomb.npz", images=np.zeros((200, 28, 28), np.uint8), labels=np.zeros(200, int)
    )
    monkeypatch.setattr(inbox, "LIMIT", size)
    assert faults(collect()) == {"bomb.npz": f"bomb.npz: expected at most {size} bytes of pixels"}


# --- the same upload twice


def test_a_file_twice_is_one_delivery(filled: Path, collect: Callable[..., Found]) -> None:
    content = (filled / "wednesday.npz").read_bytes()
    (filled / "wednesday (1).npz").write_bytes(content)
    (filled / "wednesday.npz.gz").write_bytes(gzip.compress(content, mtime=0))
    (filled / "day1").mkdir()
    (filled / "day1/other").write_bytes(content)
    for path in list(filled.glob("monday-*")):
        (filled / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        (filled / f"{path.name} (1)").write_bytes(path.read_bytes())
    found = collect()
    assert faults(found) == {}
    assert names(found) == ["day1/other", "monday", "tuesday.csv"]
    assert sorted(found.rest) == [
        "monday-images-idx3-ubyte (1): the same as monday",
        "monday-images-idx3-ubyte.gz: the same as monday",
        "monday-labels-idx1-ubyte (1): the same as monday",
        "monday-labels-idx1-ubyte.gz: the same as monday",
        f"notes.txt: {NEITHER}",
        "wednesday (1).npz: the same as day1/other",
        "wednesday.npz.gz: the same as day1/other",
        "wednesday.npz: the same as day1/other",
    ]


def test_half_of_a_pair_twice_is_that_pair(filled: Path, collect: Callable[..., Found]) -> None:
    shutil.copy(filled / "monday-images-idx3-ubyte", filled / "again-images-idx3-ubyte")
    found = collect()
    assert faults(found) == {}
    assert found.rest[-1] == "again-images-idx3-ubyte: the same as monday"


def test_pairs_with_the_same_labels_are_two_deliveries(
    filled: Path, collect: Callable[..., Found], pair: tuple[Uint8, Labels]
) -> None:
    other = pair[0][:, ::-1]
    write_idx(filled, other, pair[1], "sunday-images-idx3-ubyte", "sunday-labels-idx1-ubyte")
    found = collect()
    assert names(found) == ["monday", "sunday", "tuesday.csv", "wednesday.npz"]
    assert faults(found) == {}
    assert np.array_equal(found.deliveries[1].read(dataset())[0], other)


# --- an inbox that is wrong: the run ends


def test_a_wrong_place_is_named(
    filled: Path, collect: Callable[..., Found], tmp_path: Path
) -> None:
    for wrong, words in {
        "data/inbxo": f"no such folder at {tmp_path}/root/data/inbxo",
        "~no-such-user/inbox": "RuntimeError Could not determine home directory",
        str(filled / "wednesday.npz"): "it is a file, expected a folder",
        str(filled / "notes.txt/inbox"): "NotADirectoryError",
        "carrier-pigeon://roof": "ValueError Protocol not known: carrier-pigeon",
        "gs://bucket/inbox": "ImportError Please install gcsfs",
        "http://127.0.0.1:9/inbox": "Cannot connect to host 127.0.0.1:9",
        ".": "expected a folder for deliveries alone, or a URL",
        "..": "expected a folder for deliveries alone, or a URL",
        "/": "expected a folder for deliveries alone, or a URL",
        " ": "no such folder",
        "s3:bucket": "no such folder",
        "a\0b": "ValueError",
        "memory://nowhere": "no such folder",
    }.items():
        with pytest.raises(InputError) as caught:
            collect(wrong)
        assert str(caught.value).startswith(f"inbox '{wrong}': ")
        assert words in str(caught.value)


def test_an_empty_folder_is_no_fault(collect: Callable[..., Found]) -> None:
    assert collect() == ([], [])


@pytest.fixture
def server(filled: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=filled)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_an_inbox_on_a_web_server(filled: Path, collect: Callable[..., Found], server: str) -> None:
    (filled / "day1").mkdir()
    (filled / "wednesday.npz").rename(filled / "day1/a b.npz")
    (filled / "empty").mkdir()
    (filled / "broken.csv").write_bytes(b"")
    found = collect(server)
    assert names(found) == ["broken.csv", "day1/a%20b.npz", "monday", "tuesday.csv"]
    assert faults(found) == {"broken.csv": "broken.csv: empty"}
    assert found.rest == [f"notes.txt: {NEITHER}"]
    assert entries(found.deliveries[1])[0]["url"] == f"{server}/day1/a%20b.npz"
    assert collect(f"{server}/empty") == ([], [])
    with pytest.raises(InputError, match="no such folder"):
        collect(f"{server}/nowhere")
    with pytest.raises(InputError, match="it is a file, expected a folder"):
        collect(f"{server}/tuesday.csv")
