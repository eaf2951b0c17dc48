"""The split is the published one, and always balanced, complete and disjoint."""

import gzip
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashion_mnist import dataset
from fashion_mnist.data import idx
from fashion_mnist.dataset import HALVES
from fashion_mnist.errors import InputError
from fashion_mnist.files import sha256
from stages import split
from stages.split import (
    Half,
    ImageSet,
    Params,
    draw_balanced,
    draw_first,
    draw_stratified,
    find_shared,
    lay_out,
    parts,
    save,
    verify,
)
from tests.conftest import FASHION, FIXTURE, Pipeline

IMAGES, LABELS = HALVES["train"]
NAMES = FASHION.names


def published(labels: np.ndarray, size: int, seed: int) -> tuple[list[int], list[int]]:
    """The split as its authors' data frame and NumPy's global generator make it."""
    frame = pd.DataFrame({"label": labels})
    np.random.seed(seed)  # noqa: NPY002
    test: list[int] = []
    for label in frame["label"].unique():
        rows = frame[frame["label"] == label].index.to_numpy()
        test.extend(np.random.choice(rows, size=size // 10, replace=False))  # noqa: NPY002
    return frame.drop(test).index.tolist(), [int(row) for row in test]


def settings(size: int, role: str = "test", sample: str = "balanced", seed: int = 27) -> Params:
    return Params.model_validate({"size": size, "role": role, "sample": sample, "seed": seed})


def pictures(count: int, start: int = 0) -> np.ndarray:
    """Images that are all different: the first pixels are their number."""
    images = np.zeros((count, 28, 28), np.uint8)
    numbers = np.arange(start, start + count, dtype=">u4")
    images[:, 0, :4] = numbers.view(np.uint8).reshape(-1, 4)
    return images


def numbered(path: Path, labels: np.ndarray, start: int = 0) -> Half:
    """A half whose images are all different."""
    idx.write(path, pictures(len(labels), start))
    return Half(path, labels)


def whole(half: Half) -> ImageSet:
    return ImageSet(half, np.arange(len(half.labels), dtype=np.int32))


def arrays(chosen: ImageSet) -> dict[str, np.ndarray]:
    """Return the arrays of a set as its parts give them."""
    found = list(parts(chosen, FASHION))
    return {
        name: np.concatenate([getattr(part, name) for part in found])
        for name in ("images", "labels", "index")
    }


@pytest.mark.parametrize("seed", [27, 0, 2**32 - 1])
@pytest.mark.parametrize("size", [10, 100, 290])
def test_equals_the_published_split_of_real_labels(tmp_path: Path, size: int, seed: int) -> None:
    content = gzip.decompress((FIXTURE / f"{LABELS}.gz").read_bytes())
    labels = np.frombuffer(content, np.uint8, offset=8)
    train, test = published(labels, size, seed)
    halves = [numbered(tmp_path / "train", labels), numbered(tmp_path / "t10k", labels[:20])]
    sets = lay_out(halves, settings(size, seed=seed), NAMES)
    assert draw_balanced(labels, size, seed, NAMES).dtype == np.int32
    assert sets["test"].index.tolist() == test
    assert sets["train"].index.tolist() == train


@given(
    counts=st.lists(st.integers(5, 30), min_size=10, max_size=10),
    order=st.randoms(use_true_random=False),
    share=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_is_balanced_disjoint_complete_and_stable(
    tmp_path_factory, counts, order, share, seed
) -> None:
    shuffled = [label for label, count in enumerate(counts) for _ in range(count)]
    order.shuffle(shuffled)
    labels = np.array([*range(10), *shuffled], np.uint8)
    drawn = draw_balanced(labels, 10 * share, seed, NAMES)
    assert np.bincount(labels[drawn], minlength=10).tolist() == [share] * 10
    assert np.array_equal(drawn, draw_balanced(labels, 10 * share, seed, NAMES))
    folder = tmp_path_factory.mktemp("numbered")
    halves = [numbered(folder / "train", labels), numbered(folder / "t10k", labels[:10])]
    sets = lay_out(halves, settings(10 * share, "validation", seed=seed), NAMES)
    train, sample = sets["train"], sets["validation"]
    assert np.array_equal(sample.index, drawn)
    assert sorted([*train.index, *sample.index]) == list(range(len(labels)))
    assert np.all(np.diff(train.index) > 0)
    for chosen in (train, sample) if share else (train,):
        found = arrays(chosen)
        assert np.array_equal(found["index"], chosen.index)
        assert np.array_equal(found["labels"], labels[chosen.index])
        assert np.array_equal(found["images"][:, 0, :4].copy().view(">u4").ravel(), chosen.index)


def test_roles(tmp_path: Path) -> None:
    train = numbered(tmp_path / "train", np.arange(30, dtype=np.uint8) % 10)
    t10k = numbered(tmp_path / "t10k", np.arange(10, dtype=np.uint8))
    as_test = lay_out([train, t10k], settings(10, "test"), NAMES)
    as_validation = lay_out([train, t10k], settings(10, "validation"), NAMES)
    for official in (as_test["validation"], as_validation["test"]):
        assert official.half is t10k
        assert official.index.tolist() == list(range(10))
    assert np.array_equal(as_test["test"].index, as_validation["validation"].index)
    assert as_test["test"].half is as_validation["validation"].half is train


@pytest.mark.parametrize("sample", ["balanced", "stratified", "first"])
@pytest.mark.parametrize("role", ["test", "validation"])
def test_without_an_official_test_file_two_samples_are_drawn(
    tmp_path: Path, sample: str, role: str
) -> None:
    labels = np.random.default_rng(0).permutation(np.arange(300, dtype=np.uint8) % 10)
    half = numbered(tmp_path / "train", labels)
    sets = lay_out([half], settings(60, role, sample), NAMES)
    other = "validation" if role == "test" else "test"
    assert [len(sets[name].index) for name in ("train", role, other)] == [180, 60, 60]
    assert sorted(np.concatenate([chosen.index for chosen in sets.values()])) == list(range(300))
    assert all(chosen.half is half for chosen in sets.values())
    assert np.all(np.diff(sets["train"].index) > 0)
    if sample == "first":
        assert sets[role].index.tolist() == list(range(60))
        assert sets[other].index.tolist() == list(range(60, 120))
    else:
        for name in (role, other):
            assert np.bincount(labels[sets[name].index]).tolist() == [6] * 10
    # The first sample is the one that is drawn where there is an official test file.
    official = numbered(tmp_path / "t10k", labels[:100])
    with_official = lay_out([half, official], settings(60, role, sample), NAMES)
    assert np.array_equal(with_official[role].index, sets[role].index)
    assert find_shared(sets, FASHION) == []


def test_without_an_official_test_file_there_must_be_samples(tmp_path: Path) -> None:
    half = numbered(tmp_path / "train", np.arange(40, dtype=np.uint8) % 10)
    words = "split.size: got 0, expected more, since the data has no official test file"
    with pytest.raises(InputError, match=words):
        lay_out([half], settings(0, "validation"), NAMES)
    with pytest.raises(InputError, match=r"split.size: got 20, which leaves nothing to train on"):
        lay_out([half], settings(20), NAMES)
    with pytest.raises(InputError, match="3 images of each class, but T-shirt/top has only 1"):
        lay_out([half], settings(30), NAMES)


@given(
    counts=st.lists(st.integers(4, 40), min_size=10, max_size=10),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_stratified_sample_has_the_shares_of_the_classes(counts, share, seed) -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), counts)
    size = 10 + int(share * (len(labels) - 20))
    drawn = draw_stratified(labels, size, seed, NAMES)
    assert drawn.dtype == np.int32
    assert len(set(drawn.tolist())) == size
    assert np.array_equal(drawn, draw_stratified(labels, size, seed, NAMES))
    found = np.bincount(labels[drawn], minlength=10)
    assert np.abs(found - size * np.array(counts) / len(labels)).max() < 1


def test_a_stratified_sample_is_that_of_its_seed() -> None:
    labels = np.arange(200, dtype=np.uint8) % 10
    one, other = (draw_stratified(labels, 50, seed, NAMES).tolist() for seed in (1, 2))
    assert sorted(one) != sorted(other)
    empty = draw_stratified(labels, 0, 1, NAMES)
    assert (empty.dtype, empty.shape) == (np.int32, (0,))


@pytest.mark.parametrize(
    ("labels", "size"),
    [
        (np.arange(100) % 10, 9),
        (np.arange(100) % 10, 91),
        (np.arange(100) % 10, 101),
        (np.arange(11) % 10, 10),
        (np.arange(90) % 9, 20),
        (np.array([*range(10), *range(9)]), 10),
    ],
)
def test_a_stratified_sample_that_is_refused(labels: np.ndarray, size: int) -> None:
    name = NAMES[int(np.bincount(labels, minlength=10).argmin())]
    words = rf"^split.size: got {size} of {len(labels)} images, .* 10 classes .*; {name} has \d+$"
    with pytest.raises(InputError, match=words):
        draw_stratified(labels.astype(np.uint8), size, 27, NAMES)


@pytest.mark.parametrize("size", [95, 9995])
def test_a_balanced_sample_is_a_multiple_of_the_classes(size: int) -> None:
    words = rf"^split.size: got {size}, expected a multiple of the number of classes, 10, or split"
    with pytest.raises(InputError, match=words):
        draw_balanced(np.arange(20000) % 10, size, 27, NAMES)


@pytest.fixture
def delivered(tmp_path: Path) -> list[list[Path]]:
    """Two deliveries of three images and two, numbered from 50 and from 0."""
    found = []
    for number, (labels, start) in enumerate((([3, 4, 5], 50), ([1, 2], 0))):
        files = [tmp_path / f"images-{number}", tmp_path / f"labels-{number}"]
        idx.write(files[0], pictures(len(labels), start))
        idx.write(files[1], np.array(labels, np.uint8))
        found.append(files)
    return found


def test_deliveries_come_after_the_training_set(
    tmp_path: Path, delivered: list[list[Path]]
) -> None:
    train = numbered(tmp_path / "train", np.array([7, 1, 2, 8], np.uint8))
    released = ImageSet(train, np.array([2, 1], np.int32))
    found = arrays(replace(released, deliveries=tuple(delivered)))
    assert found["labels"].tolist() == [2, 1, 3, 4, 5, 1, 2]
    # They continue the numbering of the training file.
    assert found["index"].tolist() == [2, 1, 4, 5, 6, 7, 8]
    assert found["index"].dtype == np.int32
    assert np.array_equal(found["images"][2:5], pictures(3, 50))
    assert np.array_equal(found["images"][:2], pictures(4)[[2, 1]])
    assert np.array_equal(arrays(released)["images"], found["images"][:2])


def test_an_image_of_a_delivery_in_another_set_is_found(
    tmp_path: Path, delivered: list[list[Path]]
) -> None:
    train = numbered(tmp_path / "train", np.arange(4, dtype=np.uint8), 20)
    test = numbered(tmp_path / "test", np.arange(4, dtype=np.uint8), 51)
    sets = {"train": whole(train), "test": whole(test)}
    assert find_shared(sets, FASHION) == []
    sets["train"] = replace(sets["train"], deliveries=tuple(delivered))
    assert find_shared(sets, FASHION) == ["train 5 = test 0", "train 6 = test 1"]


def test_images_with_the_same_hash_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.arange(4, dtype=np.uint8)
    train, test = numbered(tmp_path / "train", labels), numbered(tmp_path / "test", labels, 3)
    sets = {"train": whole(train), "test": whole(test)}
    assert find_shared(sets, FASHION) == ["train 3 = test 0"]
    monkeypatch.setattr(split, "digests", lambda blocks: np.arange(4, dtype=np.uint64))
    # By these hashes, image n of one set is image n of the other.
    assert find_shared(sets, FASHION) == []


def test_a_class_that_is_too_small() -> None:
    labels = np.array([*range(10), *range(9)], np.uint8)
    with pytest.raises(InputError, match="2 images of each class, but Ankle boot has only 1"):
        draw_balanced(labels, 20, 27, NAMES)


def test_a_class_that_is_absent() -> None:
    with pytest.raises(InputError, match="Ankle boot has only 0"):
        draw_balanced(np.arange(90, dtype=np.uint8) % 9, 10, 27, NAMES)


def test_the_first_of_too_few() -> None:
    labels = np.zeros(30, np.uint8)
    drawn = draw_first(labels, 30)
    assert drawn.tolist() == list(range(30))
    assert drawn.dtype == np.int32
    with pytest.raises(InputError, match="got 31, but there are only 30 images"):
        draw_first(labels, 31)


def test_description(tmp_path: Path) -> None:
    chosen = whole(numbered(tmp_path / "train", np.array([1, 1, 9], np.uint8)))
    found = save(tmp_path / "set.npz", chosen, FASHION)
    expected = {key: {1: 2, 9: 1}.get(n, 0) for n, key in enumerate(FASHION.keys)}
    assert found == {"images": 3, "classes": expected}


def test_nothing_left_to_train_on(tmp_path: Path) -> None:
    half = numbered(tmp_path / "half", np.arange(10, dtype=np.uint8))
    with pytest.raises(InputError, match="leaves nothing to train on"):
        lay_out([half, half], settings(10), NAMES)


def test_an_image_in_two_sets_is_found(tmp_path: Path) -> None:
    train = whole(numbered(tmp_path / "train", np.arange(30, dtype=np.uint8) % 10))
    labels = np.arange(5, dtype=np.uint8)
    other = whole(numbered(tmp_path / "other", labels, 100))
    assert find_shared({"train": train, "test": other}, FASHION) == []
    images = pictures(5, 100)
    images[3] = pictures(30)[17]
    idx.write(tmp_path / "other", images)
    assert find_shared({"train": train, "test": other}, FASHION) == ["train 17 = test 3"]
    third = whole(numbered(tmp_path / "third", labels[:2], 50))
    sets = {"train": train, "validation": other, "test": third}
    # Found once more after a set that shares nothing with the others.
    assert find_shared(sets, FASHION) == ["train 17 = validation 3"]
    images = pictures(2, 50)
    images[1] = pictures(30)[5]
    idx.write(tmp_path / "third", images)
    assert find_shared(sets, FASHION) == ["train 17 = validation 3", "train 5 = test 1"]
    images[0] = pictures(5, 100)[2]
    idx.write(tmp_path / "third", images)
    assert find_shared(sets, FASHION) == [
        "train 17 = validation 3",
        "train 5 = test 1",
        "validation 2 = test 0",
    ]


def test_stage_refuses_a_test_set_that_leaks(copy: Pipeline) -> None:
    raw = copy.folder / "data/raw"
    (images,) = idx.blocks(raw / "t10k-images-idx3-ubyte", idx.IMAGES)
    images = images.copy()
    images[4] = idx.rows(raw / "train-images-idx3-ubyte", idx.IMAGES, np.array([250]))[0]
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
    index = np.array([7, 70000], np.int32)
    labels = np.zeros(70001, np.uint8)
    labels[index] = 3, 9
    # A file with holes, where no image is read.
    with (tmp_path / "images").open("wb") as file:
        file.write(b"\0\0\x08\x03" + np.array([70001, 28, 28], ">u4").tobytes())
        for image, place in zip(images, index.tolist(), strict=True):
            file.seek(16 + 784 * place)
            file.write(image.tobytes())
    save(tmp_path / "set.npz", ImageSet(Half(tmp_path / "images", labels), index), FASHION)
    expected_arrays = {"images": images, "labels": labels[index], "index": index}
    with np.load(tmp_path / "set.npz", allow_pickle=False) as archive:
        assert archive.files == list(expected_arrays)
        for name, array in expected_arrays.items():
            assert np.array_equal(archive[name], array)
            assert archive[name].dtype == array.dtype
    # What Python 3.11.2, 3.11.7 and 3.13.0 gave.
    expected = "7c316222360fb461ffa048ef7d582b64a82151367db35a2c8b933c268156ba0f"
    assert sha256(tmp_path / "set.npz") == expected


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 3)])
@pytest.mark.parametrize("classes", [3, 300])
@pytest.mark.parametrize("count", [0, 1, 25, split.rows_of((9, 11, 3)) + 1])
def test_blocks_are_written_as_if_at_once(
    tmp_path: Path, shape: tuple[int, ...], classes: int, count: int
) -> None:
    found = dataset.described(shape, {f"c{number}": "c" for number in range(classes)}, "some")
    generator = np.random.default_rng(count)
    images = generator.integers(0, 256, (count + 5, *shape), np.uint8)
    labels = generator.integers(0, classes, count + 5).astype(found.label_type)
    index = generator.permutation(count + 5)[:count].astype(np.int32)
    files = [tmp_path / "images", tmp_path / "labels"]
    for path, array in zip(files, (images, labels), strict=True):
        idx.write(path, array)
    chosen = ImageSet(Half(files[0], labels), index, (files,) if count else ())
    save(tmp_path / "blocks.npz", chosen, found)
    delivered = slice(None) if count else slice(0)
    expected = {
        "images": np.concatenate([images[index], images[delivered]]),
        "labels": np.concatenate([labels[index], labels[delivered]]),
        "index": np.concatenate([index, np.arange(count + 5, 2 * count + 10)[delivered]]),
    }
    with zipfile.ZipFile(tmp_path / "once.npz", "w") as archive:
        for name, array in expected.items():
            content = io.BytesIO()
            np.save(content, array.astype(np.int32) if name == "index" else array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    assert (tmp_path / "blocks.npz").read_bytes() == (tmp_path / "once.npz").read_bytes()


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
    assert verify(raw, hashes) == [raw / IMAGES, raw / LABELS]
    (half,) = split.read_release(raw, {"train": {"sha256": hashes}}, FASHION)
    assert half.images == raw / IMAGES
    assert np.bincount(half.labels).tolist() == [30] * 10
    backwards = dict(reversed(hashes.items()))
    assert verify(raw, backwards) == [raw / LABELS, raw / IMAGES]
    (half,) = split.read_release(raw, {"train": {"sha256": backwards}}, FASHION)
    found = next(parts(whole(half), FASHION))
    assert found.images.shape == (300, 28, 28)
    for image in found.images[:3]:
        assert image.any()
    with pytest.raises(InputError, match=f"{raw}/nothing: no such file"):
        verify(raw, {"nothing": "000", **hashes})


def test_hashes_come_first(raw: Path) -> None:
    with pytest.raises(InputError, match="expected 000"):
        verify(raw, {IMAGES: "000", LABELS: "000"})
    with pytest.raises(InputError, match="expected 000"):
        split.read_release(raw, {"train": {"sha256": {IMAGES: "000", LABELS: "000"}}}, FASHION)


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


def test_stage_draws_two_samples_without_an_official_test_file(copy: Pipeline) -> None:
    path = copy.folder / "metrics/download.json"
    metrics = json.loads(path.read_text())
    del metrics["t10k"]
    path.write_text(json.dumps(metrics))
    for name in HALVES["t10k"]:
        (copy.folder / "data/raw" / name).unlink()
    copy.run_all("split")
    found = json.loads((copy.folder / "metrics/split.json").read_text())
    assert [found[name]["images"] for name in ("train", "validation", "test")] == [100] * 3
    assert set(found["validation"]["classes"].values()) == {10}
    copy.set("split.size", 50)
    copy.set("split.sample", "stratified")
    copy.run_all("split", "preprocess")
    found = json.loads((copy.folder / "metrics/split.json").read_text())
    assert [found[name]["images"] for name in ("train", "validation", "test")] == [200, 50, 50]
    copy.set("split.size", 9)
    copy.refuses("split", "split.size: got 9 of 300 images")
