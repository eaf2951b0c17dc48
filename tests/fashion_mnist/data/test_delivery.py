"""Images that came after the release are verified and join the training set only."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fashion_mnist.data import delivery, idx
from fashion_mnist.data.labelled import Uint8
from fashion_mnist.dataset import HALVES
from fashion_mnist.errors import InputError
from fashion_mnist.files import sha256
from tests.conftest import FASHION, Pipeline, kaggle_table

Files = list[Path]


def write_pair(folder: Path, images: Uint8, labels: Uint8) -> Files:
    files = [folder / "new-labels", folder / "new-images"]
    idx.write(files[1], images)
    idx.write(files[0], labels)
    return files


def write_csv(folder: Path, images: Uint8, labels: Uint8) -> Files:
    kaggle_table(images, labels).to_csv(folder / "new.data", index=False)
    return [folder / "new.data"]


def write_npz(folder: Path, images: Uint8, labels: Uint8) -> Files:
    np.savez(folder / "new.npz", images=images, labels=labels.astype(np.int64))
    return [folder / "new.npz"]


def write_compressed(folder: Path, images: Uint8, labels: Uint8) -> Files:
    np.savez_compressed(folder / "new.npz", images=images, labels=labels)
    return [folder / "new.npz"]


FORMATS = [write_pair, write_csv, write_npz, write_compressed]
Write = Callable[[Path, Uint8, Uint8], Files]


@pytest.fixture
def new(raw: Path) -> tuple[Uint8, Uint8]:
    """Images that the release does not have: forty of it, mirrored."""
    images, labels = idx.read_pair(*(raw / name for name in HALVES["train"]))
    return images[:40, :, ::-1], labels[:40]


@pytest.mark.parametrize("write", FORMATS)
def test_reads_each_format(tmp_path: Path, new: tuple[Uint8, Uint8], write: Write) -> None:
    images, labels = delivery.read(write(tmp_path, *new), FASHION)
    assert images.dtype == labels.dtype == np.uint8
    assert np.array_equal(images, new[0])
    assert np.array_equal(labels, new[1])


IMAGES, LABELS = np.zeros((3, 28, 28), np.uint8), np.array([0, 9, 5])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": IMAGES}, "no array 'labels'"),
        (
            {"images": IMAGES.astype(float), "labels": LABELS},
            "images is float64 (3, 28, 28), expected uint8 (n",
        ),
        ({"images": IMAGES[0], "labels": LABELS}, "images is uint8 (28, 28), expected uint8 (n"),
        ({"images": IMAGES, "labels": LABELS[:2]}, "labels is int64 (2,), expected integers (3,)"),
        (
            {"images": IMAGES, "labels": LABELS / 2},
            "labels is float64 (3,), expected integers (3,)",
        ),
        ({"images": IMAGES, "labels": LABELS - 1}, "label -1 at index 0, expected 0 to 9"),
        ({"images": IMAGES, "labels": LABELS + 1}, "label 10 at index 1, expected 0 to 9"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "no images"),
    ],
)
def test_an_npz_with_other_content_is_rejected(
    tmp_path: Path, arrays: dict[str, Any], words: str
) -> None:
    np.savez(tmp_path / "new.npz", **arrays)
    with pytest.raises(InputError, match=re.escape(words)):
        delivery.read([tmp_path / "new.npz"], FASHION)


def test_files_that_are_not_a_delivery(tmp_path: Path, new: tuple[Uint8, Uint8]) -> None:
    labels, images = write_pair(tmp_path, *new)
    for files in ([images], [labels], [images, images], [images, *write_csv(tmp_path, *new)]):
        with pytest.raises(InputError, match="expected images and labels in IDX files, or one"):
            delivery.read(files, FASHION)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "new.npz"
    np.savez_compressed(path, images=np.zeros(delivery.LIMIT * 28**2 + 1, np.uint8), labels=LABELS)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(InputError, match=r"images, expected at most 1,000,000$"):
        delivery.read([path], FASHION)


def accept(pipeline: Pipeline, files: Files, date: str = "2026-11-22") -> None:
    """List a delivery in params.yaml."""
    pinned = [
        {"url": str(file), "bytes": file.stat().st_size, "sha256": sha256(file)} for file in files
    ]
    accepted = [*pipeline.params["download"]["deliveries"], {"date": date, "files": pinned}]
    pipeline.set("download.deliveries", accepted)


def sets(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    found = {}
    for name in ("train", "validation", "test"):
        with np.load(pipeline.folder / f"data/split/{name}.npz", allow_pickle=False) as archive:
            found[name] = dict(archive)
    return found


@pytest.mark.parametrize("write", FORMATS[:3])
def test_only_the_training_set_grows(
    copy: Pipeline, tmp_path_factory: pytest.TempPathFactory, new: tuple[Uint8, Uint8], write: Write
) -> None:
    names = ("validation", "test")
    before = {name: (copy.folder / f"data/split/{name}.npz").read_bytes() for name in names}
    released = sets(copy)["train"]
    accept(copy, write(tmp_path_factory.mktemp("inbox"), *new))
    copy.run_all("download", "split")
    for name, content in before.items():
        assert (copy.folder / f"data/split/{name}.npz").read_bytes() == content
    train = sets(copy)["train"]
    assert np.array_equal(train["images"], np.concatenate([released["images"], new[0]]))
    assert np.array_equal(train["labels"], np.concatenate([released["labels"], new[1]]))
    # They count on from the end of the training file.
    assert np.array_equal(train["index"], [*released["index"], *range(300, 340)])
    metrics = json.loads((copy.folder / "metrics/download.json").read_text())
    (name,) = set(metrics) - set(HALVES)
    assert re.fullmatch(r"delivery_2026_11_22_[0-9a-f]{8}", name)
    assert metrics[name]["images"] == 40
    # Another pipeline may ask for the release alone.
    copy.set("split.deliveries", False)
    copy.run_all("split")
    assert sets(copy)["train"]["images"].shape == released["images"].shape


def test_a_delivery_outlives_its_place(
    copy: Pipeline, tmp_path_factory: pytest.TempPathFactory, new: tuple[Uint8, Uint8]
) -> None:
    inbox = tmp_path_factory.mktemp("inbox")
    accept(copy, write_csv(inbox, *new))
    copy.run_all("download")
    second = tmp_path_factory.mktemp("second")
    accept(copy, write_npz(second, new[0][:7, ::-1], new[1][:7]), "2026-11-23")
    shutil.rmtree(inbox)
    copy.run_all("download", "split")
    assert sets(copy)["train"]["index"].max() == 346
    # Without either the file or its place there is no data.
    shutil.rmtree(copy.folder / "data/raw/deliveries")
    copy.refuses("download", str(inbox / "new.data"), "FileNotFoundError")


def test_two_pairs_with_the_same_labels(
    copy: Pipeline, tmp_path_factory: pytest.TempPathFactory, new: tuple[Uint8, Uint8]
) -> None:
    images, labels = new
    for day, pictures in (("2026-11-22", images[:5]), ("2026-11-23", images[5:10])):
        pair = write_pair(tmp_path_factory.mktemp("inbox"), pictures, labels[:5])
        accept(copy, pair[::-1], day)
    accepted = copy.params["download"]["deliveries"]
    hashes = [file["sha256"] for one in accepted for file in one["files"]]
    assert len(set(hashes)) == 3
    copy.run_all("download", "split")
    downloaded = json.loads((copy.folder / "metrics/download.json").read_text())
    assert len([name for name in downloaded if name.startswith("delivery_")]) == 2
    assert sets(copy)["train"]["images"][-10:].tobytes() == images[:10].tobytes()


def test_a_delivery_that_is_another_one(
    copy: Pipeline, tmp_path_factory: pytest.TempPathFactory, new: tuple[Uint8, Uint8]
) -> None:
    (file,) = write_npz(tmp_path_factory.mktemp("inbox"), *new)
    accept(copy, [file])
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    copy.refuses("download", str(file), "SHA-256 is", "expected")


def test_a_delivery_with_an_image_of_the_test_set(
    copy: Pipeline, tmp_path_factory: pytest.TempPathFactory, new: tuple[Uint8, Uint8]
) -> None:
    test = sets(copy)["test"]
    images = np.concatenate([new[0], test["images"][5:6]])
    labels = np.concatenate([new[1], test["labels"][5:6]])
    accept(copy, write_npz(tmp_path_factory.mktemp("inbox"), images, labels))
    copy.run_all("download")
    copy.refuses("split", "1 images are in two sets", "340")


def test_deliveries_are_listed_with_care(copy: Pipeline) -> None:
    file = {"url": "inbox/new.csv", "bytes": 10, "sha256": "0" * 64}
    for deliveries, words in (
        ([{"date": "yesterday", "files": [file]}], "download.deliveries.0.date: got 'yesterday'"),
        ([{"date": "2026-11-22", "files": []}], "download.deliveries.0.files: got []"),
        ([{"date": "2026-11-22", "files": [file, file]}], "expected each delivery once, but 000"),
        ([{"date": "2026-11-22", "url": "x", "files": [file]}], "deliveries.0.url: unknown key"),
    ):
        copy.set("download.deliveries", deliveries)
        copy.refuses("download", words)
