"""Deliveries are collected from a folder, whatever else is in it."""

import gzip
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.data import idx
from fashion_mnist.errors import InputError
from fashion_mnist.files import sha256
from retraining import inbox
from stages.download import HALVES
from tests.conftest import kaggle_table


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def place(raw: Path, tmp_path: Path) -> Path:
    """The same real images in each of the three formats, and files that are no delivery."""
    folder = tmp_path / "inbox"
    (folder / "folder.npz").mkdir(parents=True)
    images, labels = idx.read_pair(*(raw / name for name in HALVES["t10k"]))
    for name in HALVES["t10k"]:
        kind = name.removeprefix("t10k")
        shutil.copy(raw / name, folder / f"monday{kind}")
    kaggle_table(images, labels).to_csv(folder / "tuesday.csv", index=False)
    np.savez(folder / "wednesday.npz", images=images, labels=labels.astype(np.int64))
    (folder / "notes.txt").write_text("not a delivery")
    return folder


def test_each_format_gives_the_images_in_order_of_the_names(
    place: Path, scratch: Path, raw: Path
) -> None:
    images, labels = idx.read_pair(*(raw / name for name in HALVES["t10k"]))
    found = inbox.collect(str(place), scratch)
    assert [delivery.name for delivery in found] == ["monday", "tuesday.csv", "wednesday.npz"]
    for delivery in found:
        assert delivery.fault is None
        assert np.array_equal(delivery.images, images)
        assert np.array_equal(delivery.labels, labels)
    assert [len(delivery.files) for delivery in found] == [2, 1, 1]


def test_hashes_are_of_the_content_whatever_its_name_or_compression(
    place: Path, scratch: Path
) -> None:
    before = inbox.collect(str(place), scratch)
    for path in place.glob("*-ubyte"):
        other = place / path.name.replace("monday", "friday")
        other.with_name(f"{other.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    shutil.rmtree(scratch)
    scratch.mkdir()
    after = inbox.collect(str(place), scratch)
    assert [delivery.name for delivery in after] == ["friday", "tuesday.csv", "wednesday.npz"]
    assert [delivery.hashes for delivery in after] == [delivery.hashes for delivery in before]


def test_an_accepted_delivery_is_listed_with_url_length_and_hash(
    place: Path, scratch: Path
) -> None:
    path = place / "wednesday.npz"
    delivery = inbox.collect(str(place), scratch)[-1]
    file = {"url": str(path), "bytes": path.stat().st_size, "sha256": sha256(path)}
    assert delivery.accepted(date(2026, 11, 2)) == {"date": "2026-11-02", "files": [file]}


def test_a_delivery_that_cannot_be_read_says_why_and_spares_the_others(
    place: Path, scratch: Path
) -> None:
    (place / "monday-labels-idx1-ubyte").unlink()
    (place / "tuesday.csv").write_text("no,header\n")
    half, table, whole = inbox.collect(str(place), scratch)
    assert half.images is None
    assert half.fault == (
        f"{place}/monday-images-idx3-ubyte: expected images and labels in IDX files, "
        "or one .npz or CSV file"
    )
    assert table.fault == f"{place}/tuesday.csv: line 1: column 1 is 'no', expected 'label'"
    assert whole.fault is None


def test_no_such_place_is_empty(tmp_path: Path, scratch: Path) -> None:
    assert inbox.collect(str(tmp_path / "nothing"), scratch) == []


def test_what_cannot_be_listed_or_fetched_is_named(
    place: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"^carrier-pigeon://roof: ValueError "):
        inbox.collect("carrier-pigeon://roof", scratch)
    monkeypatch.setattr(inbox, "LIMIT", 10)
    message = f"^{place}/monday-images-idx3-ubyte: longer than 10 bytes$"
    with pytest.raises(InputError, match=message):
        inbox.collect(str(place), scratch)
