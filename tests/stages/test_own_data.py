"""Data of one's own, in every format: read as it is, or refused in one line that names the file."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fashion_mnist import params
from fashion_mnist.data import idx
from fashion_mnist.dataset import HALVES
from fashion_mnist.errors import InputError
from fashion_mnist.files import CHECKSUMS, sha256
from stages import download
from tests.conftest import FILES, Pipeline, kaggle_table

TRAIN = HALVES["train"]
DATA_STAGES = "download", "split", "preprocess"
WRITTEN = "data/raw", "data/split", "data/prepared", "data/figures", "metrics"


def pixels(count: int, shape: tuple[int, ...] = (8, 8), seed: int = 1) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def encoded(picture: Any) -> bytes:
    if isinstance(picture, bytes):
        return picture
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def drawn(*folders: str, each: int = 10, shape: tuple[int, ...] = (8, 8)) -> dict[str, Any]:
    """Return pictures by path, no two of which are equal."""
    names = [f"{folder}/{number}.png" for folder in folders for number in range(each)]
    return dict(zip(names, pixels(len(names), shape), strict=True))


def use(pipeline: Pipeline, *names: str, **settings: Any) -> Path:
    """Let a pipeline read files in its folder `mine`, pinned as they are."""
    folder = pipeline.folder / "mine"
    pins = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in names
    }
    pipeline.params["download"] |= {"sources": ["mine"], "files": pins} | settings
    pipeline.set("split.size", 3 * len(settings.get("classes") or "ab"))
    return folder


def mine(pipeline: Pipeline) -> Path:
    folder = pipeline.folder / "mine"
    folder.mkdir(exist_ok=True)
    return folder


def use_zip(pipeline: Pipeline, files: dict[str, Any], **settings: Any) -> Path:
    path = mine(pipeline) / "some.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, encoded(content))
    return use(pipeline, path.name, **({"classes": None} | settings))


def use_listing(pipeline: Pipeline, files: dict[str, Any], **settings: Any) -> Path:
    folder = mine(pipeline)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(content))
    lines = [f"{sha256(folder / name)}  {name}\n" for name in files]
    return use_lines(pipeline, *lines, **settings)


def use_lines(pipeline: Pipeline, *lines: str, **settings: Any) -> Path:
    (mine(pipeline) / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
    return use(pipeline, CHECKSUMS, **({"classes": None} | settings))


def use_npz(pipeline: Pipeline, classes: int = 2, **arrays: Any) -> Path:
    np.savez(mine(pipeline) / "some.npz", **arrays)
    return use(pipeline, "some.npz", classes=[f"class {n}" for n in range(classes)])


def use_idx(
    pipeline: Pipeline, images: Any, labels: Any, prefix: str = "", **settings: Any
) -> Path:
    for name, array in zip(TRAIN, (images, labels), strict=True):
        idx.write(mine(pipeline) / f"{prefix}{name}", array)
    return use(
        pipeline, *(f"{prefix}{name}" for name in TRAIN), **({"classes": ["a", "b"]} | settings)
    )


def labels(count: int, classes: int = 2) -> Any:
    return (np.arange(count) % classes).astype(np.uint8)


def outputs(pipeline: Pipeline) -> dict[str, bytes]:
    return {name: content for name, content in pipeline.files().items() if name.startswith(WRITTEN)}


# The same images in every format


def as_csv(folder: Path, halves: dict[str, tuple[Any, Any]]) -> list[str]:
    for name, pair in zip(("my_train.csv", "my_test.csv"), halves.values(), strict=True):
        kaggle_table(*pair).to_csv(folder / name, index=False)
    return ["my_train.csv", "my_test.csv"]


def as_npz(
    save: Callable[..., None], folder: Path, halves: dict[str, tuple[Any, Any]]
) -> list[str]:
    (x_train, y_train), (x_test, y_test) = halves.values()
    path = folder / "my.npz"
    save(
        path,
        x_train=x_train[..., np.newaxis],
        y_train=y_train.astype(np.int64),
        x_test=x_test,
        y_test=y_test[:, np.newaxis],
    )
    return [path.name]


def as_idx(folder: Path, halves: dict[str, tuple[Any, Any]]) -> list[str]:
    names = [f"my-{name.replace('t10k', 'test')}" for name in FILES]
    arrays = [array for pair in halves.values() for array in pair]
    for name, array in zip(names, arrays, strict=True):
        idx.write(folder / name, array)
    return names


@pytest.mark.parametrize(
    "write",
    [as_csv, partial(as_npz, np.savez), partial(as_npz, np.savez_compressed), as_idx],
    ids=["csv", "npz", "compressed npz", "idx with a prefix"],
)
def test_every_format_gives_the_same_bytes(
    pipeline: Pipeline, raw: Path, tmp_path_factory: pytest.TempPathFactory, write: Any
) -> None:
    pipeline.run_all(*DATA_STAGES)
    expected = outputs(pipeline)
    other = Pipeline(tmp_path_factory.mktemp("other"))
    halves = {
        half: idx.read_pair(*(raw / name for name in names)) for half, names in HALVES.items()
    }
    names = write(mine(other), halves)
    use(other, *names)
    other.set("split.size", 100)
    other.run_all(*DATA_STAGES)
    assert outputs(other) == expected
    for name in FILES:
        assert expected[f"data/raw/{name}"] == (raw / name).read_bytes()


@pytest.mark.parametrize("shape", [(9, 12), (9, 12, 3)], ids=["grey", "colour"])
def test_a_folder_and_a_zip_of_pictures_give_the_same_bytes(
    pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, ...]
) -> None:
    files = drawn("train/Tom Cat", "train/dog", "test/Tom Cat", "test/dog", shape=shape)
    use_zip(pipeline, files)
    pipeline.run_all(*DATA_STAGES)
    dataset = json.loads((pipeline.folder / "metrics/dataset.json").read_text())
    assert dataset == {
        "height": 9,
        "width": 12,
        "channels": len(shape[2:]) * 2 + 1,
        "classes": {"tom_cat": "Tom Cat", "dog": "dog"},
    }
    other = Pipeline(tmp_path_factory.mktemp("other"))
    use_listing(other, files)
    other.run_all(*DATA_STAGES)
    assert outputs(other) == outputs(pipeline)


def test_a_second_run_gives_the_same(pipeline: Pipeline) -> None:
    use_listing(pipeline, drawn("a", "b"))
    pipeline.run_all("download")
    before = pipeline.files()
    pipeline.run_all("download")
    assert pipeline.files() == before


# Without an official test file


@pytest.mark.parametrize("role", ["test", "validation"])
@pytest.mark.parametrize("sample", ["balanced", "stratified", "first"])
def test_without_a_test_file_two_samples_are_drawn(
    pipeline: Pipeline, role: str, sample: str
) -> None:
    use_zip(pipeline, drawn("b", "c", "a", each=20))
    pipeline.params["split"] |= {"sample": "balanced", "role": role}
    pipeline.set("split.size", 12)
    pipeline.run_all(*DATA_STAGES)
    metrics = json.loads((pipeline.folder / "metrics/split.json").read_text())
    assert [metrics[name]["images"] for name in ("train", "validation", "test")] == [36, 12, 12]
    assert set(json.loads((pipeline.folder / "metrics/download.json").read_text())) == {"train"}
    places = []
    for name in ("train", "validation", "test"):
        with np.load(pipeline.folder / f"data/split/{name}.npz") as found:
            places += found["index"].tolist()
    assert sorted(places) == [*range(60)]
    if sample == "first":
        pipeline.set("split.sample", "first")
        pipeline.refuses("split", "the test set has no image of class")
    elif sample == "stratified":
        pipeline.set("split.sample", "stratified")
        pipeline.run_all("split")


def test_without_a_test_file_a_sample_is_needed(pipeline: Pipeline) -> None:
    use_zip(pipeline, drawn("a", "b"))
    pipeline.params["split"]["role"] = "validation"
    pipeline.set("split.size", 0)
    pipeline.run_all("download")
    pipeline.refuses("split", "split.size: got 0, expected more", "no official test file")


@pytest.mark.parametrize(("size", "words"), [(4, ["a", "2 images"]), (20, []), (3, ["multiple"])])
def test_a_sample_of_more_than_there_is_names_the_class(
    pipeline: Pipeline, size: int, words: list[str]
) -> None:
    use_zip(pipeline, drawn("a", each=3) | drawn("b", each=10))
    pipeline.set("split.size", size)
    pipeline.run_all("download")
    pipeline.refuses("split", f"split.size: got {size}", *words)


def test_two_equal_pictures_in_two_sets_are_refused(pipeline: Pipeline) -> None:
    files = drawn("train/a", "train/b", "test/a", "test/b")
    files["test/b/0.png"] = files["train/a/3.png"]
    use_zip(pipeline, files)
    pipeline.run_all("download")
    pipeline.refuses("split", "1 images are in two sets")


# Parameters


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"classes": None}, ["params.yaml: download", "classes", "names of the classes"]),
        ({"classes": []}, ["download.classes: got []", "2 to 1,000 classes"]),
        ({"classes": ["a"]}, ["download.classes: got ['a']", "2 to 1,000 classes"]),
        ({"classes": ["a", "A"]}, ["download.classes", "'a' and 'A'", "same key"]),
        ({"classes": ["T-shirt", "t shirt"]}, ["download.classes", "'T-shirt' and 't shirt'"]),
        ({"classes": ["a", "?"]}, ["download.classes", "letters or digits", "'?'"]),
        ({"classes": [0, 1]}, ["download.classes.0: got 0"]),
        ({"classes": [f"c{n}" for n in range(1001)]}, ["download.classes", "2 to 1,000 classes"]),
        ({"first_label": 2}, ["download.first_label: got 2"]),
        ({"resize": [28, 28]}, ["download", "resize", "pictures"]),
        ({"channels": 1}, ["download", "channels", "pictures"]),
        ({"channels": 2}, ["download.channels: got 2"]),
        ({"resize": [28]}, ["download.resize"]),
        ({"resize": [28, 1000]}, ["download.resize", "128"]),
        ({"resize": 28}, ["download.resize: got 28"]),
        ({"files": {}}, ["download.files", "train-images-idx3-ubyte"]),
        ({"files": None}, ["download.files: got None"]),
    ],
)
def test_parameters_that_do_not_fit(
    pipeline: Pipeline, settings: dict[str, Any], words: list[str]
) -> None:
    use_idx(pipeline, pixels(4), labels(4))
    pipeline.params["download"] |= settings
    pipeline.set("split.size", 2)
    with pytest.raises(InputError) as caught:
        params.read(pipeline.folder / "params.yaml", "download", download.Params)
    for word in ("params.yaml: ", *words):
        assert word in str(caught.value)


def test_pictures_have_no_first_label(pipeline: Pipeline) -> None:
    use_zip(pipeline, drawn("a", "b"), first_label=1)
    pipeline.refuses("download", "first_label")


@pytest.mark.parametrize(
    "name", ["../train.csv", "/somewhere/train.csv", "sub/train.csv", "../some.zip"]
)
def test_a_name_is_no_path(pipeline: Pipeline, name: str) -> None:
    pin = {"bytes": 1, "sha256": "0" * 64}
    pipeline.params["download"]["files"] = {name: pin}
    pipeline.set("download.sources", ["mine"])
    mine(pipeline)
    pipeline.refuses("download", "params.yaml: download.files", name)


def test_parameters_of_earlier_versions_lack_only_the_classes(pipeline: Pipeline) -> None:
    for key in ("first_label", "resize", "channels"):
        del pipeline.params["download"][key]
    pipeline.set("train.epochs", 2)
    pipeline.run_all("download")


# IDX, CSV and .npz


def test_labels_from_1_are_refused_with_advice(pipeline: Pipeline) -> None:
    use_idx(pipeline, pixels(6), labels(6) + np.uint8(1), "emnist-letters-")
    pipeline.refuses("download", f"emnist-letters-{TRAIN[1]}", "label 2", "download.first_label: 1")
    pipeline.set("download.first_label", 1)
    pipeline.run_all("download")


def test_a_label_without_a_name(pipeline: Pipeline) -> None:
    use_idx(pipeline, pixels(8), labels(8, 4))
    pipeline.refuses("download", TRAIN[1], "label 2 at index 2, expected 0 to 1")


def test_a_name_without_labels(pipeline: Pipeline) -> None:
    use_idx(pipeline, pixels(8), labels(8), classes=["a", "b", "Ankle boot"])
    pipeline.refuses("download", TRAIN[1], "'Ankle boot'")


def test_300_classes(pipeline: Pipeline) -> None:
    count = 1200
    classes = [f"class {number}" for number in range(300)]
    numbers = (np.arange(count) % 300).astype(np.uint16)
    use_idx(pipeline, pixels(count), numbers, classes=classes)
    pipeline.set("split.size", 300)
    pipeline.run_all(*DATA_STAGES)
    with np.load(pipeline.folder / "data/split/test.npz") as found:
        assert found["labels"].dtype == np.uint16
        assert sorted(found["labels"].tolist()) == [*range(300)]
    encoded = np.load(pipeline.folder / "data/prepared/test/labels.npy")
    assert encoded.shape == (300, 300)


@pytest.mark.parametrize(
    ("images", "numbers", "words"),
    [
        (pixels(4).astype(np.uint16), labels(4), [TRAIN[0], "starts with 00 00 0b 03"]),
        (pixels(4), labels(3), [TRAIN[0], TRAIN[1], "4 images", "3 labels"]),
        (pixels(4, (7, 8)), labels(4), [TRAIN[0], "images of 7x8", "8 to 128 pixels"]),
        (pixels(4, (8, 8, 4)), labels(4), [TRAIN[0], "8x8x4", "1 or 3 channels"]),
        (pixels(4).reshape(4, -1), labels(4), [TRAIN[0], "starts with 00 00 08 02"]),
        (pixels(4), np.eye(2, dtype=np.uint8)[labels(4)], [TRAIN[1], "starts with 00 00 08 02"]),
    ],
)
def test_idx_files_are_refused(
    pipeline: Pipeline, images: Any, numbers: Any, words: list[str]
) -> None:
    use_idx(pipeline, images, numbers)
    pipeline.refuses("download", *words)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"x_train": pixels(4).astype(object), "y_train": labels(4)},
            ["x_train: an array of objects"],
        ),
        ({"x_train": np.asfortranarray(pixels(4)), "y_train": labels(4)}, ["Fortran"]),
        ({"x_train": pixels(4) / 255, "y_train": labels(4)}, ["x_train is float64", "uint8"]),
        ({"x_train": pixels(4), "y_train": labels(4) / 1}, ["y_train is float64", "integers"]),
        ({"x_train": pixels(4), "y_train": labels(3)}, ["y_train is uint8 (3,)"]),
        ({"x_train": pixels(4)}, ["no array 'y_train'"]),
        (
            {"images": pixels(4), "labels": labels(4)},
            ["images, labels", "expected x_train, y_train"],
        ),
        (
            {
                "x_train": pixels(4, (8, 8, 3)),
                "y_train": labels(4),
                "x_test": pixels(4),
                "y_test": labels(4),
            },
            ["grey images", "3-channel"],
        ),
        ({"x_train": pixels(4), "y_train": labels(4), "x_test": pixels(4)}, ["no array 'y_test'"]),
        ({"x_train": pixels(0), "y_train": labels(0)}, ["no images"]),
    ],
)
def test_npz_files_are_refused(pipeline: Pipeline, arrays: Any, words: list[str]) -> None:
    use_npz(pipeline, **arrays)
    pipeline.refuses("download", "some.npz", *words)


@pytest.mark.parametrize("content", [b"not an archive", b"PK\3\4 neither"])
@pytest.mark.parametrize("name", ["some.npz", "some.zip"])
def test_what_is_no_archive(pipeline: Pipeline, name: str, content: bytes) -> None:
    (mine(pipeline) / name).write_bytes(content)
    use(pipeline, name, classes=["a", "b"])
    pipeline.refuses("download", name, "zip")


@pytest.mark.parametrize("header", ["{", "'''", "-" * 9000, " " * 20_000, "{{}: 1}"])
def test_an_npz_with_a_damaged_header(pipeline: Pipeline, header: str) -> None:
    text = header.encode()
    with zipfile.ZipFile(mine(pipeline) / "some.npz", "w") as archive:
        for name in ("x_train", "y_train"):
            content = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(999)
            archive.writestr(f"{name}.npy", content)
    use(pipeline, "some.npz", classes=["a", "b"])
    pipeline.refuses("download", "some.npz: x_train: ")


# Pictures


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG file of many black pixels."""
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


PICTURES = drawn("a", "b")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"b/x.png": b"text"}, ["b/x.png: neither PNG nor JPEG"]),
        ({"b/x.png": encoded(pixels(1)[0])[:60]}, ["b/x.png: cannot be read"]),
        ({"b/x.png": encoded(pixels(1, (9, 8))[0])}, ["b/x.png: 9x8", "8x8 as a/0.png", "resize"]),
        ({"b/x.png": encoded(pixels(1, (8, 8, 3))[0])}, ["b/x.png: in colour", "channels"]),
        ({"b/x.png": encoded(pixels(1, (8, 8, 4))[0])}, ["b/x.png: has transparent pixels"]),
        ({"b/x.png": encoded(pixels(1)[0].astype(np.uint16))}, ["b/x.png", "8 bits"]),
        ({"b/x.png": bomb(20_000, 20_000)}, ["b/x.png: cannot be read", "bomb"]),
        ({"b/x.png": bomb(12_000, 9_000)}, ["b/x.png"]),
        ({"b/x.txt": b"text"}, ["b/x.txt: expected pictures"]),
        ({"b/c/x.png": b"text"}, ["b/c/x.png: expected pictures"]),
        ({"zebra.txt": b"text"}, ["zebra.txt: expected pictures"]),
        (drawn("B"), ["'B' and 'b'", "the same key"]),
    ],
)
def test_pictures_are_refused_by_name(
    pipeline: Pipeline, files: dict[str, Any], words: list[str]
) -> None:
    use_zip(pipeline, PICTURES | files)
    pipeline.refuses("download", *words)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (drawn("train/a", "train/b", "test/a"), ["test has no pictures of class 'b'"]),
        (drawn("train/a", "train/b", "test/c"), ["test", "class"]),
        (drawn("test/a", "test/b"), ["no pictures in train/<class>/"]),
        (drawn("only"), ["2 to 1,000 classes"]),
        (
            drawn("train/a", "train/b") | drawn("test/a", "test/b", shape=(8, 8, 3)),
            ["3-channel images", "expected grey images"],
        ),
    ],
)
def test_trees_are_refused(pipeline: Pipeline, files: dict[str, Any], words: list[str]) -> None:
    use_listing(pipeline, files)
    pipeline.refuses("download", CHECKSUMS, *words)


def test_an_empty_picture_is_named(pipeline: Pipeline) -> None:
    use_zip(pipeline, PICTURES | {"b/x.png": b""})
    pipeline.refuses("download", "b/x.png")
    use_listing(pipeline, PICTURES | {"b/x.png": b""})
    (pipeline.folder / "mine/some.zip").unlink()
    pipeline.refuses("download", "b/x.png: empty")


@pytest.mark.parametrize("litter", [[], [".DS_Store"]])
def test_an_empty_class_is_named(pipeline: Pipeline, litter: list[str]) -> None:
    use_zip(pipeline, PICTURES | {"c/": b""} | {f"c/{name}": b"x" for name in litter})
    pipeline.refuses("download", "some.zip: c/: an empty folder")
    (pipeline.folder / "mine/some.zip").unlink()
    folder = use_listing(pipeline, PICTURES)
    (folder / "c").mkdir()
    for name in litter:
        (folder / "c" / name).touch()
    pipeline.refuses("download", "mine/c: an empty folder")


@pytest.mark.parametrize(
    "path", ["../x/evil.png", "a/../../evil.png", "/somewhere/evil.png", "../../evil.png"]
)
def test_nothing_is_read_from_or_written_outside(pipeline: Pipeline, path: str) -> None:
    use_zip(pipeline, PICTURES | {path: encoded(pixels(1)[0])})
    pipeline.refuses("download", "some.zip", f"{path} leads outside")
    (pipeline.folder / "mine/some.zip").unlink()
    folder = use_listing(pipeline, PICTURES)
    outside = pipeline.folder / "x/evil.png"
    outside.parent.mkdir()
    for place in (outside, pipeline.folder / "evil.png", pipeline.folder.parent / "evil.png"):
        place.write_bytes(encoded(pixels(1)[0]))
    lines = (folder / CHECKSUMS).read_text()
    use_lines(pipeline, lines, f"{sha256(outside)}  {path}\n")
    pipeline.refuses("download", CHECKSUMS, f"{path} leads outside")


def test_hidden_files_are_skipped(pipeline: Pipeline) -> None:
    litter = {"__MACOSX/a/._0.png": b"x", "a/.DS_Store": b"x", "b/Thumbs.db": b"x"}
    use_zip(pipeline, PICTURES | litter)
    pipeline.run_all("download")
    before = outputs(pipeline)
    (pipeline.folder / "mine/some.zip").unlink()
    folder = use_listing(pipeline, PICTURES)
    for name, content in litter.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    pipeline.run_all("download")
    assert outputs(pipeline) == before


# Listings


def test_a_listing_that_misses_a_picture(pipeline: Pipeline) -> None:
    folder = use_listing(pipeline, PICTURES)
    (folder / "b/further.png").write_bytes(encoded(pixels(1)[0]))
    pipeline.refuses("download", "mine/b/further.png: not in SHA256SUMS", "1 more than listed")


def test_a_listing_with_a_picture_that_is_not_there(pipeline: Pipeline) -> None:
    folder = use_listing(pipeline, PICTURES)
    (folder / "b/3.png").unlink()
    pipeline.refuses("download", "b/3.png", "No such file")


def test_a_picture_with_another_hash_is_named(pipeline: Pipeline) -> None:
    folder = use_listing(pipeline, PICTURES)
    (folder / "b/3.png").write_bytes(encoded(pixels(1)[0]))
    pipeline.refuses("download", "b/3.png: SHA-256 is", "expected")


def test_a_path_twice_in_a_listing(pipeline: Pipeline) -> None:
    folder = use_listing(pipeline, PICTURES)
    lines = (folder / CHECKSUMS).read_text()
    for again in (lines.splitlines()[0], lines.splitlines()[0].replace("a/", "./a/")):
        use_lines(pipeline, lines, again)
        pipeline.refuses("download", "SHA256SUMS: line 21: a/0.png occurs twice")
    use_lines(pipeline, lines, lines.splitlines()[0].replace("a/", "a//"))
    pipeline.refuses("download", "SHA256SUMS", "0.png", "twice")


def test_a_listing_with_another_hash_than_pinned(pipeline: Pipeline) -> None:
    folder = use_listing(pipeline, PICTURES)
    path = folder / CHECKSUMS
    path.write_text(path.read_text().replace("a/0.png", "a/O.png"))
    pipeline.refuses("download", f"no source has {CHECKSUMS}", "SHA-256 is")


@pytest.mark.parametrize("text", ["\n", "no hash\n", "PNG\n" * 3])
def test_a_listing_of_another_form(pipeline: Pipeline, text: str) -> None:
    use_lines(pipeline, text)
    pipeline.refuses("download", f"{CHECKSUMS}: line 1: expected a SHA-256")


STRANGE = ["a/with space.png", "a/#1?.png", "a/a%20b.png", "b/[x]*.png", "b/é.png", "b/x::y.png"]


def test_pictures_with_strange_names(pipeline: Pipeline) -> None:
    files = dict(zip(STRANGE, pixels(len(STRANGE)), strict=True))
    use_listing(pipeline, files)
    pipeline.run_all("download")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def test_a_listing_at_a_url(pipeline: Pipeline) -> None:
    """With names that a URL has to quote."""
    files = PICTURES | dict(zip(STRANGE, pixels(len(STRANGE), seed=2), strict=True))
    folder = use_listing(pipeline, files)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever).start()
        try:
            pipeline.set("download.sources", [f"http://127.0.0.1:{server.server_port}"])
            pipeline.run_all("download")
            images = json.loads((pipeline.folder / "metrics/download.json").read_text())
            assert images["train"]["images"] == len(files)
            (folder / "b/3.png").unlink()
            pipeline.refuses("download", "b/3.png")
        finally:
            server.shutdown()


def test_the_next_source_has_the_pictures(pipeline: Pipeline) -> None:
    folder = use_listing(pipeline, PICTURES)
    half = pipeline.folder / "half"
    (half / "a").mkdir(parents=True)
    for name in (CHECKSUMS, "a/0.png"):
        os.link(folder / name, half / name)
    pipeline.set("download.sources", ["half", "mine"])
    pipeline.run_all("download")
