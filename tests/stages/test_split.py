"""The split is the published one, and always balanced, complete and disjoint."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashion_mnist.data import idx
from fashion_mnist.dataset import HALVES, KEYS
from fashion_mnist.errors import InputError
from fashion_mnist.files import sha256
from stages.split import (
    ImageSet,
    append,
    describe,
    draw_balanced,
    draw_first,
    find_shared,
    lay_out,
    read_verified,
    save,
)
from tests.conftest import FIXTURE, Pipeline

IMAGES, LABELS = HALVES["train"]


def published(labels: np.ndarray, size: int, seed: int) -> tuple[list[int], list[int]]:
    """The split as its authors' data frame and NumPy's global generator make it."""
    frame = pd.DataFrame({"label": labels})
    np.random.seed(seed)  # noqa: NPY002
    test: list[int] = []
    for label in frame["label"].unique():
        rows = frame[frame["label"] == label].index.to_numpy()
        test.extend(np.random.choice(rows, size=size // 10, replace=False))  # noqa: NPY002
    return frame.drop(test).index.tolist(), [int(row) for row in test]


def numbered(labels: np.ndarray) -> ImageSet:
    """A set whose images are all different."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, :4] = np.arange(len(labels), dtype=">u4").view(np.uint8).reshape(-1, 4)
    return ImageSet(images, labels, np.arange(len(labels), dtype=np.int32))


@pytest.mark.parametrize("seed", [27, 0, 2**32 - 1])
@pytest.mark.parametrize("size", [10, 100, 290])
def test_equals_the_published_split_of_real_labels(size: int, seed: int) -> None:
    content = gzip.decompress((FIXTURE / f"{LABELS}.gz").read_bytes())
    labels = np.frombuffer(content, np.uint8, offset=8)
    train, test = published(labels, size, seed)
    drawn = draw_balanced(labels, size, seed)
    sets = lay_out(numbered(labels), numbered(labels[:20]), drawn, "test")
    assert drawn.dtype == np.int32
    assert sets["test"].index.tolist() == test
    assert sets["train"].index.tolist() == train


@given(
    counts=st.lists(st.integers(5, 30), min_size=10, max_size=10),
    order=st.randoms(use_true_random=False),
    share=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_is_balanced_disjoint_complete_and_stable(counts, order, share, seed) -> None:
    shuffled = [label for label, count in enumerate(counts) for _ in range(count)]
    order.shuffle(shuffled)
    labels = np.array([*range(10), *shuffled], np.uint8)
    drawn = draw_balanced(labels, 10 * share, seed)
    assert np.bincount(labels[drawn], minlength=10).tolist() == [share] * 10
    assert np.array_equal(drawn, draw_balanced(labels, 10 * share, seed))
    sets = lay_out(numbered(labels), numbered(labels[:10]), drawn, "validation")
    train, sample = sets["train"], sets["validation"]
    assert sorted([*train.index, *sample.index]) == list(range(len(labels)))
    assert np.all(np.diff(train.index) > 0)
    for part in (train, sample):
        assert np.array_equal(part.labels, labels[part.index])
        assert np.array_equal(part.images[:, 0, :4].copy().view(">u4").ravel(), part.index)


def test_roles() -> None:
    train = numbered(np.arange(30, dtype=np.uint8) % 10)
    t10k = numbered(np.arange(10, dtype=np.uint8))
    drawn = draw_balanced(train.labels, 10, 27)
    as_test = lay_out(train, t10k, drawn, "test")
    as_validation = lay_out(train, t10k, drawn, "validation")
    assert as_test["validation"] is t10k
    assert as_validation["test"] is t10k
    assert np.array_equal(as_test["test"].index, as_validation["validation"].index)


def test_deliveries_come_after_the_training_set() -> None:
    train, first = numbered(np.array([1, 2], np.uint8)), numbered(np.array([3, 4, 5], np.uint8))
    found = append(train, [first, train])
    assert found.labels.tolist() == [1, 2, 3, 4, 5, 1, 2]
    assert found.index.tolist() == [0, 1, 0, 1, 2, 0, 1]
    assert np.array_equal(found.images[2:5], first.images)
    assert np.array_equal(append(train, []).images, train.images)


def test_a_class_that_is_too_small() -> None:
    labels = np.array([*range(10), *range(9)], np.uint8)
    with pytest.raises(InputError, match="2 images of each class, but Ankle boot has only 1"):
        draw_balanced(labels, 20, 27)


def test_a_class_that_is_absent() -> None:
    with pytest.raises(InputError, match="Ankle boot has only 0"):
        draw_balanced(np.arange(90, dtype=np.uint8) % 9, 10, 27)


def test_the_first_of_too_few() -> None:
    labels = np.zeros(30, np.uint8)
    drawn = draw_first(labels, 30)
    assert drawn.tolist() == list(range(30))
    assert drawn.dtype == np.int32
    with pytest.raises(InputError, match="got 31, but there are only 30 images"):
        draw_first(labels, 31)


def test_description() -> None:
    found = describe({"train": numbered(np.array([1, 1, 9], np.uint8))})
    assert found["train"]["images"] == 3
    assert found["train"]["classes"] == {key: {1: 2, 9: 1}.get(n, 0) for n, key in enumerate(KEYS)}


def test_nothing_left_to_train_on() -> None:
    labels = np.arange(10, dtype=np.uint8)
    with pytest.raises(InputError, match="leaves nothing to train on"):
        lay_out(numbered(labels), numbered(labels), draw_balanced(labels, 10, 27), "test")


def test_an_image_in_two_sets_is_found() -> None:
    train = numbered(np.arange(30, dtype=np.uint8) % 10)
    other = numbered(np.arange(5, dtype=np.uint8))
    other.images[:] += 100
    assert find_shared({"train": train, "test": other}) == []
    other.images[3] = train.images[17]
    assert find_shared({"train": train, "test": other}) == ["train 17 = test 3"]
    third = numbered(np.arange(2, dtype=np.uint8))
    third.images[:] += 50
    sets = {"train": train, "validation": other, "test": third}
    # Found once more after a set that shares nothing with the others.
    assert find_shared(sets) == ["train 17 = validation 3"]
    third.images[1] = train.images[5]
    assert find_shared(sets) == ["train 17 = validation 3", "train 5 = test 1"]


def test_stage_refuses_a_test_set_that_leaks(copy: Pipeline) -> None:
    raw = copy.folder / "data/raw"
    images = idx.read(raw / "t10k-images-idx3-ubyte", 3).copy()
    images[4] = idx.read(raw / "train-images-idx3-ubyte", 3)[250]
    idx.write(raw / "t10k-images-idx3-ubyte", images)
    path = copy.folder / "metrics/download.json"
    metrics = json.loads(path.read_text())
    metrics["t10k"]["sha256"]["t10k-images-idx3-ubyte"] = sha256(raw / "t10k-images-idx3-ubyte")
    path.write_text(json.dumps(metrics))
    copy.refuses("split", "1 images are in two sets", "the first: validation 4 = test 250 ")


@pytest.mark.parametrize(
    ("size", "role", "sizes"),
    [
        (100, "test", [200, 100, 100]),
        (50, "validation", [250, 50, 100]),
        (0, "validation", [300, 0, 100]),
    ],
)
def test_stage_writes_three_sets(copy: Pipeline, size: int, role: str, sizes) -> None:
    copy.set("split.size", size)
    copy.set("split.role", role)
    copy.run_all("split")
    metrics = json.loads((copy.folder / "metrics/split.json").read_text())
    assert [metrics[name]["images"] for name in ("train", "validation", "test")] == sizes
    assert metrics["test"]["classes"]["bag"] == sizes[2] // 10
    assert metrics["duplicates_across_sets"] == 0
    for name, images in zip(("train", "validation", "test"), sizes, strict=True):
        with np.load(copy.folder / f"data/split/{name}.npz", allow_pickle=False) as archive:
            assert archive["images"].shape == (images, 28, 28)
            assert archive["images"].dtype == archive["labels"].dtype == np.uint8
            assert archive["index"].dtype == np.int32
    table = pd.read_csv(copy.folder / "metrics/split_classes.csv")
    assert table["images"].sum() == sum(sizes)


def test_saved_set_is_canonical(tmp_path: Path) -> None:
    """A plain .npz file, with the same bytes whatever Python wrote it."""
    images = np.arange(2 * 28 * 28).reshape(2, 28, 28).astype(np.uint8)
    part = ImageSet(images, np.array([3, 9], np.uint8), np.array([7, 70000], np.int32))
    save(tmp_path / "set.npz", part)
    with np.load(tmp_path / "set.npz", allow_pickle=False) as archive:
        assert archive.files == ["images", "labels", "index"]
        for name in archive.files:
            assert np.array_equal(archive[name], getattr(part, name))
            assert archive[name].dtype == getattr(part, name).dtype
    # What Python 3.11.2, 3.11.7 and 3.13.0 gave.
    expected = "7c316222360fb461ffa048ef7d582b64a82151367db35a2c8b933c268156ba0f"
    assert sha256(tmp_path / "set.npz") == expected


def test_stage_refuses_raw_files_that_are_not_what_was_downloaded(copy: Pipeline) -> None:
    path = copy.folder / "data/raw" / IMAGES
    content = bytearray(path.read_bytes())
    content[4321] ^= 1
    path.write_bytes(content)
    copy.refuses("split", f"data/raw/{IMAGES}: SHA-256 is")
    path.write_bytes(content[:1000])
    copy.refuses("split", f"data/raw/{IMAGES}: SHA-256 is")
    path.unlink()
    copy.refuses("split", f"data/raw/{IMAGES}: no such file")


def test_stage_refuses_swapped_files(copy: Pipeline) -> None:
    raw = copy.folder / "data/raw"
    (raw / IMAGES).rename(raw / "other")
    (raw / LABELS).rename(raw / IMAGES)
    (raw / "other").rename(raw / LABELS)
    copy.refuses("split", "SHA-256 is")


def test_verified_files_are_read_whatever_their_order(raw: Path) -> None:
    hashes = {name: sha256(raw / name) for name in (IMAGES, LABELS)}
    images, labels = read_verified(raw, hashes)
    assert images.shape == (300, 28, 28)
    assert np.bincount(labels).tolist() == [30] * 10
    for image in read_verified(raw, dict(reversed(hashes.items())))[0][:3]:
        assert image.any()
    with pytest.raises(InputError, match=f"{raw}/nothing: no such file"):
        read_verified(raw, {"nothing": "000", **hashes})


def test_hashes_come_first(raw: Path) -> None:
    with pytest.raises(InputError, match="expected 000"):
        read_verified(raw, {IMAGES: "000", LABELS: "000"})


def test_the_first_images_as_they_come(copy: Pipeline) -> None:
    """TensorFlow 1's reader validated on `images[:5000]` and trained on the rest."""
    copy.params["split"] |= {"sample": "first", "role": "validation"}
    copy.set("split.size", 73)
    copy.run_all("split")
    images, labels = idx.read_pair(*(copy.folder / "data/raw" / name for name in (IMAGES, LABELS)))
    for name, rows in (("validation", slice(73)), ("train", slice(73, None))):
        with np.load(copy.folder / f"data/split/{name}.npz", allow_pickle=False) as archive:
            assert np.array_equal(archive["images"], images[rows])
            assert np.array_equal(archive["labels"], labels[rows])
            assert np.array_equal(archive["index"], np.arange(300)[rows])
    copy.set("split.size", 301)
    copy.refuses("split", "split.size: got 301, but there are only 300 images")


@pytest.mark.parametrize("size", [95, 310])
def test_stage_refuses_sizes_that_do_not_fit(copy: Pipeline, size: int) -> None:
    copy.set("split.size", size)
    copy.refuses("split", f"split.size: got {size}")


def test_a_test_set_without_a_class_is_refused_before_the_training(copy: Pipeline) -> None:
    copy.params["split"] |= {"sample": "first", "role": "test"}
    copy.set("split.size", 3)
    copy.refuses("split", "the test set has no image of class ")
