"""`python -m recipes own` finds out what a user's data is, or says what is wrong with it."""

import gzip
import hashlib
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from ruamel.yaml import YAML

import recipes.__main__
from fashion_mnist import params
from fashion_mnist.data import idx
from fashion_mnist.errors import InputError
from fashion_mnist.files import CHECKSUMS
from recipes import settings
from stages import download, split, train
from tests.conftest import ROOT

Command = Callable[..., dict[str, Any]]
Uint8 = NDArray[np.uint8]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with params.yaml."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return the command `python -m recipes own`, which returns the new content of params.yaml."""

    def command(*arguments: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["recipes", "own", *arguments])
        recipes.__main__.main()
        path = folder / "params.yaml"
        params.read(path, "split", split.Params)
        params.read(path, "train", train.Params)
        # `download` finds the same.
        found = params.read(path, "download", download.Params)
        output = folder / "raw"
        output.mkdir()
        download.fetch_release(found, output, output)
        shutil.rmtree(output)
        content: dict[str, Any] = YAML(typ="safe").load(path)
        return content

    return command


@pytest.fixture
def refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return the command, which must fail and change nothing; it returns the message."""

    def command(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["recipes", "own", *arguments])
        before = content(folder)
        with pytest.raises(SystemExit) as stopped:
            recipes.__main__.main()
        assert content(folder) == before
        message = str(stopped.value.code)
        assert message.startswith("recipes: error: ")
        assert "\n" not in message
        return message.removeprefix("recipes: error: ")

    return command


def content(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def images(count: int, *shape: int, seed: int = 0) -> Uint8:
    """Return random images."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def pictures(folder: Path, classes: dict[str, int], *shape: int, seed: int = 0) -> Path:
    """Write random pictures of these classes."""
    for number, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True)
        for place, image in enumerate(images(count, *(shape or (12, 10, 3)), seed=seed + number)):
            Image.fromarray(image).save(folder / name / f"{place:03}.png")
    return folder


def arrays(path: Path, labels: Uint8, test: Uint8 | None = None, first: int = 0) -> Path:
    """Write an .npz file as Keras has them."""
    found = {"x_train": images(len(labels), 9, 9), "y_train": labels + first}
    if test is not None:
        found |= {"x_test": images(len(test), 9, 9, seed=1), "y_test": test + first}
    np.savez(path, allow_pickle=False, **found)
    return path


def labels(count: int, classes: int) -> Uint8:
    return (np.arange(count) % classes).astype(np.uint8)


def pin(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_a_folder_of_pictures(
    folder: Path, own: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = {"cat": 40, "dog": 40, "Big bird": 40}
    pictures(folder / "mine", classes)
    found = own("--data", "mine")
    listing = folder / "mine" / CHECKSUMS
    lines = listing.read_text().splitlines()
    assert len(lines) == 120
    digest = hashlib.sha256((folder / "mine/cat/000.png").read_bytes()).hexdigest()
    assert f"{digest}  cat/000.png" in lines
    assert found["download"]["sources"] == ["mine"]
    assert found["download"]["classes"] is None
    assert found["download"]["files"] == {CHECKSUMS: pin(listing)}
    assert found["split"] | {"sample": "balanced", "size": 12, "role": "test"} == found["split"]
    assert not found["train"]["augmentation"]["flip"]
    assert not found["evaluate"]["mirror_average"]
    assert found["review"]["floors"] == {"accuracy": 0.5, "class_recall": 0.0}
    text = capsys.readouterr().out
    assert "mine: images of 12x10, in colour" in text
    assert "3 classes: Big bird, cat, dog" in text
    assert "training file: 120 images, 40 to 40 of a class" in text
    assert text.endswith("train it with: dvc repro\n")


def test_a_listing_that_fits_is_used(folder: Path, own: Command) -> None:
    pictures(folder / "mine", {"a": 9, "b": 9})
    first = own("--data", "mine")
    before = content(folder)
    assert own("--data", "mine") == first
    assert content(folder) == before


def test_train_and_test_folders_validate_on_a_sample(folder: Path, own: Command) -> None:
    pictures(folder / "mine/train", {"a": 30, "b": 30})
    pictures(folder / "mine/test", {"a": 5, "b": 5}, seed=7)
    found = own("--data", str(folder / "mine"))
    assert found["download"]["sources"] == ["mine"]  # a path that holds in clones too
    assert found["split"]["role"] == "validation"
    assert found["split"]["size"] == 6


def test_pictures_of_several_sizes_and_channels(folder: Path, own: Command) -> None:
    pictures(folder / "mine", {"a": 9, "b": 9})
    pictures(folder / "mine", {"c": 9}, 20, 20)
    found = own("--data", "mine", "--resize", "16", "12", "--channels", "1")["download"]
    assert (found["resize"], found["channels"]) == ([16, 12], 1)


def test_classes_in_another_order_than_the_alphabet(folder: Path, own: Command) -> None:
    pictures(folder / "mine", {"large": 9, "small": 9})
    found = own("--data", "mine", "--classes", "small, large")
    assert found["download"]["classes"] == ["small", "large"]


def test_a_zip(folder: Path, own: Command) -> None:
    pictures(folder / "tree", {"a": 30, "b": 30})
    with zipfile.ZipFile(folder / "shapes.zip", "w") as archive:
        for path in sorted((folder / "tree").rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    found = own("--data", "shapes.zip")["download"]
    assert found["files"] == {"shapes.zip": pin(folder / "shapes.zip")}
    assert found["classes"] is None


def test_an_npz_with_labels_from_1(folder: Path, own: Command) -> None:
    path = arrays(folder / "letters.npz", labels(130, 26), labels(52, 26), first=1)
    found = own("--data", "letters.npz", "--first-label", "1")
    assert found["download"]["files"] == {"letters.npz": pin(path)}
    assert found["download"]["classes"] == [str(number) for number in range(1, 27)]
    assert found["download"]["first_label"] == 1
    assert found["split"]["role"] == "validation"
    assert found["split"]["size"] == 26


def test_classes_by_name(folder: Path, own: Command) -> None:
    arrays(folder / "x.npz", labels(30, 3))
    assert own("--data", ".", "--classes", "x,y,z")["download"]["classes"] == ["x", "y", "z"]


def test_a_csv_pair(folder: Path, own: Command) -> None:
    header = ",".join(["label", *(f"pixel{number}" for number in range(1, 82))])
    for seed, name in enumerate(("digits_train.csv", "digits_test.csv")):
        pixels = images(40, 9, 9, seed=seed).reshape(40, -1)
        rows = np.column_stack([labels(40, 4), pixels])
        np.savetxt(folder / name, rows, "%d", ",", header=header, comments="")
    both = own("--data", ".")["download"]["files"]
    assert both == {name: pin(folder / name) for name in ("digits_test.csv", "digits_train.csv")}
    assert own("--data", "digits_train.csv")["download"]["files"] == both


def write_idx(folder: Path, prefix: str, suffix: str = "") -> None:
    """Write the training file of a data set in IDX, gzipped if the suffix says so."""
    folder.mkdir(exist_ok=True)
    parts = {"images-idx3-ubyte": images(60, 9, 9), "labels-idx1-ubyte": labels(60, 3)}
    for name, array in parts.items():
        plain = folder / f"{prefix}train-{name}"
        idx.write(plain, array)
        if suffix:
            (folder / f"{prefix}train-{name}{suffix}").write_bytes(
                gzip.compress(plain.read_bytes())
            )
            plain.unlink()


def test_gzipped_idx_files_are_pinned_uncompressed(folder: Path, own: Command) -> None:
    write_idx(folder / "plain", "")
    write_idx(folder / "zipped", "", ".gz")
    (folder / "zipped/README.txt").write_text("no part of the data")
    found = own("--data", "zipped")["download"]["files"]
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    assert found == {name: pin(folder / "plain" / name) for name in names}


def test_one_of_several_data_sets_in_a_folder(
    folder: Path, own: Command, refused: Callable[..., str]
) -> None:
    for name in ("letters-", "balanced-"):
        write_idx(folder / "idx", name)
    assert "expected" in refused("--data", "idx")
    found = own("--data", "idx/letters-train-images-idx3-ubyte")["download"]["files"]
    assert [*found] == ["letters-train-images-idx3-ubyte", "letters-train-labels-idx1-ubyte"]


def test_fashion_mnist_leads_back(
    folder: Path, own: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "params.yaml").read_bytes()
    pictures(folder / "mine", {"a": 9, "b": 9})
    own("--data", "mine")
    monkeypatch.setattr(sys, "argv", ["recipes", "fashion_mnist"])
    recipes.__main__.main()
    assert (folder / "params.yaml").read_bytes() == before


def test_equal_pictures_of_a_class_are_noted(
    folder: Path, own: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(folder / "mine", {"a": 9, "b": 9})
    shutil.copy(folder / "mine/a/000.png", folder / "mine/a/999.png")
    own("--data", "mine")
    text = capsys.readouterr().out
    assert "note: 1 images repeat another of their class" in text
    assert "a/000.png and a/999.png" in text


def two_classes(folder: Path) -> Path:
    return pictures(folder / "mine", {"a": 9, "b": 9})


def same_in_two_classes(folder: Path) -> None:
    two_classes(folder)
    shutil.copy(folder / "mine/a/003.png", folder / "mine/b/999.png")


def same_in_two_sets(folder: Path) -> None:
    pictures(folder / "mine/train", {"a": 9, "b": 9})
    pictures(folder / "mine/test", {"a": 2, "b": 2}, seed=7)
    shutil.copy(folder / "mine/train/a/003.png", folder / "mine/test/a/999.png")


def empty_class(folder: Path) -> None:
    (two_classes(folder) / "c").mkdir()


def broken_picture(folder: Path) -> None:
    (two_classes(folder) / "b/005.png").write_bytes(b"nothing")


def other_size(folder: Path) -> None:
    pictures(two_classes(folder), {"c": 9}, 20, 20, 3)


def listing_without_a_picture(folder: Path) -> None:
    (two_classes(folder) / CHECKSUMS).write_text(f"{'0' * 64}  a/gone.png\n")


def listing_with_another_hash(folder: Path) -> None:
    files = sorted(two_classes(folder).rglob("*.png"))
    lines = [f"{'0' * 64}  {path.relative_to(folder / 'mine')}\n" for path in files]
    (folder / "mine" / CHECKSUMS).write_text("".join(lines))


def rare_class(folder: Path) -> None:
    pictures(folder / "mine", {"a": 90, "b": 2})


def one_class(folder: Path) -> None:
    pictures(folder / "mine", {"a": 9})


def no_class(folder: Path) -> None:
    (folder / "mine").mkdir()


def text_file(folder: Path) -> None:
    (two_classes(folder) / "a/notes.txt").write_text("x")


def labels_from_1(folder: Path) -> None:
    arrays(folder / "mine.npz", labels(30, 3), first=1)


def label_without_images(folder: Path) -> None:
    arrays(folder / "mine.npz", labels(30, 3) * 2)


def damaged_gzip(folder: Path) -> None:
    write_idx(folder / "mine", "", ".gz")
    path = folder / "mine/train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("make", "arguments", "complaint"),
    [
        (no_class, ["nothing"], "nothing: no such file or folder"),
        (no_class, ["mine"], "mine: expected IDX files"),
        (same_in_two_classes, ["mine"], "a/003.png and b/999.png are equal"),
        (same_in_two_sets, ["mine"], "train/a/003.png and test/a/999.png are equal"),
        (empty_class, ["mine"], "mine/c: an empty folder"),
        (broken_picture, ["mine"], "b/005.png: neither PNG nor JPEG"),
        (other_size, ["mine"], "c/000.png: 20x20 pixels"),
        (text_file, ["mine"], "mine: a/notes.txt: expected pictures"),
        (listing_without_a_picture, ["mine"], f"mine/{CHECKSUMS}: does not list a/000.png"),
        (listing_with_another_hash, ["mine"], "lists another SHA-256 of a/000.png"),
        (rare_class, ["mine"], "2 images of class 'b'"),
        (one_class, ["mine"], "expected the names of 2 to 1,000 classes"),
        (two_classes, ["mine", "--classes", "a,c"], "no pictures of class 'c'"),
        (two_classes, ["mine", "--classes", "a,b,b"], "classes: expected names that differ"),
        (two_classes, ["mine", "--first-label", "1"], "--first-label: expected arrays"),
        (two_classes, ["mine", "--resize", "4", "4"], "4x4 pixels"),
        (labels_from_1, ["mine.npz"], "no image of class '0'; if labels count from 1"),
        (labels_from_1, ["mine.npz", "--classes", "a,b,c"], "mine.npz: label 3 at index 2"),
        (labels_from_1, ["mine.npz", "--channels", "1"], "--resize and --channels"),
        (label_without_images, ["mine.npz"], "the training file has no image of class '1'"),
        (damaged_gzip, ["mine"], "mine/train-images-idx3-ubyte.gz: EOFError"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(
    make: Callable[[Path], object],
    arguments: list[str],
    complaint: str,
    folder: Path,
    refused: Callable[..., str],
) -> None:
    make(folder)
    message = refused("--data", *arguments)
    assert complaint in message
    assert "/own-" not in message  # the user's files, not copies of them


def test_a_damaged_params_yaml_leaves_the_pictures_alone(
    folder: Path, refused: Callable[..., str]
) -> None:
    two_classes(folder)
    (folder / "params.yaml").write_text("train: {}")
    assert refused("--data", "mine") == "params.yaml: no section 'download'"


def test_a_failed_write_removes_the_listing(
    folder: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    two_classes(folder)
    monkeypatch.setattr(recipes, "rewrite", full)
    assert refused("--data", "mine") == "No space left on device"


@pytest.mark.parametrize(
    ("counts", "has_test", "expected"),
    [
        ([100] * 10, True, ("balanced", 100, "validation")),
        ([100] * 10, False, ("balanced", 100, "test")),
        ([5, 5, 5], False, ("balanced", 3, "test")),
        ([300, 200, 40], False, ("stratified", 54, "test")),
        ([990, 10], False, ("stratified", 100, "test")),
        ([195, 5], False, ("stratified", 40, "test")),
    ],
)
def test_the_sample_has_images_of_every_class(
    counts: list[int], has_test: bool, expected: tuple[str, int, str]
) -> None:
    names = tuple(map(str, range(len(counts))))
    found = settings.split(counts, names, has_test)
    assert tuple(found.values()) == expected
    every = np.repeat(np.arange(len(counts), dtype=np.uint8), counts)
    section = split.Params(**found, seed=27)
    drawn = split.draw(every, section, names)
    left = np.delete(every, drawn)
    for sample in (every[drawn], left[split.draw(left, section, names)]):
        assert np.bincount(sample, minlength=len(counts)).all()


def test_too_few_images_of_a_class() -> None:
    with pytest.raises(InputError, match="3 images of class 'b' and 93 in all"):
        settings.split([90, 3], ("a", "b"), False)


@pytest.mark.parametrize(
    ("count", "batch", "epochs"),
    [(100, 64, 100), (1297, 64, 30), (19_999, 64, 30), (20_000, 256, 14)],
)
def test_small_sets_are_trained_in_small_batches(count: int, batch: int, epochs: int) -> None:
    found = settings.train(count)
    assert (found["batch_size"], found["epochs"]) == (batch, epochs)
    assert (found["selection"] is None) == (count < 20_000)
