"""Scores follow from the predictions; a model or set that does not fit is rejected."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fashion_mnist.data.prepared import Prepared
from fashion_mnist.errors import InputError
from fashion_mnist.files import write_checksums
from stages import evaluate
from tests.conftest import FASHION, Pipeline

KEYS, NAMES = FASHION.keys, FASHION.names


def test_metrics_follow_from_the_predictions(finished: Pipeline) -> None:
    metrics = json.loads((finished.folder / "metrics/evaluate.json").read_text())
    table = pd.read_csv(finished.folder / "metrics/predictions.csv")
    with np.load(finished.folder / "data/split/test.npz") as archive:
        assert table["index"].tolist() == archive["index"].tolist()
        assert table["label"].tolist() == [KEYS[label] for label in archive["labels"]]
    right = table["label"] == table["prediction"]
    assert metrics["images"] == len(table) == 100
    assert metrics["accuracy"] == right.mean()
    interval = metrics["accuracy_interval"]
    assert interval["low"] < metrics["accuracy"] < interval["high"]
    loss = table["loss"].mean()
    assert metrics["loss"] == pytest.approx(loss, abs=1e-6)
    assert np.exp(-table["loss"]).to_numpy() == pytest.approx(table["label_probability"], abs=1e-6)
    assert (table.loc[right, "confidence"] == table.loc[right, "label_probability"]).all()
    assert (table.loc[~right, "confidence"] >= table.loc[~right, "label_probability"]).all()
    for key in KEYS:
        of_class = table["label"] == key
        recall = right[of_class].mean()
        assert metrics["classes"][key]["recall"] == pytest.approx(recall)
    classes = pd.read_csv(finished.folder / "metrics/classes.csv")
    assert classes["class"].tolist() == list(NAMES)
    assert classes["f1"].mean() == pytest.approx(metrics["macro_f1"], abs=1e-6)
    reliability = pd.read_csv(finished.folder / "metrics/calibration.csv")
    assert reliability["images"].sum() == 100


def test_same_bytes_in_another_process(finished: Pipeline, copy: Pipeline) -> None:
    for path in (copy.folder / "metrics").iterdir():
        if path.name in {"dataset.json", "download.json", "train.json"}:
            continue
        path.unlink()
    copy.run_all("evaluate")
    before = finished.files()
    after = copy.files()
    assert "metrics/evaluate.json" in after
    assert "data/figures/gallery.png" in after
    assert all(after[name] == before[name] for name in after)


def write_model(keras: Any, pipeline: Pipeline, *layers: Any, shape: tuple[int, ...]) -> None:
    """Replace the trained model."""
    model = keras.Sequential([keras.Input(shape), *layers])
    model.save(pipeline.folder / "data/model/model.keras")


def test_model_of_other_classes(keras: Any, copy: Pipeline) -> None:
    layers = keras.layers
    write_model(keras, copy, layers.Flatten(), layers.Dense(7, "softmax"), shape=(28, 28, 1))
    copy.refuses("evaluate", "(None, 7)", "expected (None, 28, 28, 1) to (None, 10)")


def test_model_of_other_images(keras: Any, copy: Pipeline) -> None:
    layers = keras.layers
    write_model(keras, copy, layers.Flatten(), layers.Dense(10, "softmax"), shape=(32, 32, 3))
    copy.refuses("evaluate", "the model maps (None, 32, 32, 3)")


@pytest.mark.parametrize(
    ("activation", "words"),
    [("linear", "not probabilities"), ("sigmoid", "rows that do not sum to 1")],
)
def test_model_that_returns_no_probabilities(keras, copy, activation, words) -> None:
    layers = keras.layers
    write_model(keras, copy, layers.Flatten(), layers.Dense(10, activation), shape=(28, 28, 1))
    copy.refuses("evaluate", words)


def prepared_set(images: int) -> Prepared:
    pixels = np.random.default_rng(3).random((images, 28, 28, 1), np.float32)
    return Prepared(pixels, np.eye(10, dtype=np.float32)[np.arange(images) % 10])


@pytest.mark.parametrize("mirrored", [False, True])
def test_probabilities_are_those_of_the_model(keras: Any, mirrored: bool) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, "softmax")]
    )
    data = prepared_set(7)
    found = evaluate.predict(model, data, 3, mirrored)
    assert found.dtype == np.float64
    assert found.shape == (7, 10)
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-15
    views = [data.images, data.images[:, :, ::-1]] if mirrored else [data.images]
    expected = np.mean([model(view).numpy() for view in views], axis=0)
    assert np.allclose(found, expected, atol=1e-6)
    # A flat image would look the same in the mirror.
    assert not np.allclose(model(data.images).numpy(), model(data.images[:, :, ::-1]).numpy())


@pytest.mark.parametrize(
    ("units", "activation", "words"),
    [
        (7, "softmax", r"^the model maps \(None, 28, 28, 1\) to \(None, 7\), expected \(None, 28"),
        (10, "linear", r"^the model returns values that are not probabilities$"),
        (10, "sigmoid", r"^the model returns rows that do not sum to 1$"),
    ],
)
def test_a_model_without_probabilities_is_rejected(
    keras: Any, units: int, activation: str, words: str
) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(units, activation)]
    )
    with pytest.raises(InputError, match=words):
        evaluate.predict(model, prepared_set(7), 3, mirror_average=False)


def test_values_that_are_not_finite_or_negative(keras: Any) -> None:
    """A row may sum to 1 all the same."""
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, use_bias=True)]
    )
    for bias in ([2, -1, *[0] * 8], [np.nan, *[0] * 9]):
        model.layers[-1].set_weights([np.zeros((784, 10)), np.array(bias)])
        with pytest.raises(InputError, match="not probabilities"):
            evaluate.predict(model, prepared_set(2), 2, mirror_average=False)


def test_one_row_per_test_image() -> None:
    probabilities = np.full((3, 10), 0.02)
    probabilities[[0, 1, 2], [4, 4, 9]] = 0.82, 0.7, 0.6
    index, labels = np.array([70, 8, 9], np.int32), np.array([4, 1, 9])
    table = evaluate.tabulate(index, labels, probabilities, FASHION)
    assert list(table.columns) == [
        "index", "label", "prediction", "confidence", "label_probability", "loss"
    ]  # fmt: skip
    assert table.to_numpy().tolist() == [
        [70, "coat", "coat", 0.82, 0.82, -np.log(0.82)],
        [8, "trouser", "coat", 0.7, 0.02, -np.log(0.02)],
        [9, "ankle_boot", "ankle_boot", 0.6, 0.6, -np.log(0.6)],
    ]


def test_the_most_confident_mistakes_come_first() -> None:
    table = pd.DataFrame(
        {
            "label": ["bag", "bag", "coat", "coat", "bag"],
            "prediction": ["coat", "bag", "bag", "bag", "coat"],
            "confidence": [0.5, 0.99, 0.7, 0.5, 0.9],
        }
    )
    assert evaluate.confident_mistakes(table, 3).tolist() == [4, 2, 0]
    assert evaluate.confident_mistakes(table, 9).tolist() == [4, 2, 0, 3]
    # Of equal ones the first comes first, however many there are.
    many = pd.concat([table] * 30, ignore_index=True)
    assert evaluate.confident_mistakes(many, 30).tolist() == list(range(4, 150, 5))


def test_gallery_names_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(evaluate.figures, "gallery", lambda *arguments: drawn.extend(arguments))
    images = np.arange(3, dtype=np.uint8)[:, None, None] + np.zeros((3, 28, 28), np.uint8)
    probabilities = np.full((3, 10), 0.02)
    probabilities[[0, 1, 2], [4, 0, 9]] = 0.82
    index, labels = np.arange(3, dtype=np.int32), np.array([4, 1, 9])
    table = evaluate.tabulate(index, labels, probabilities, FASHION)
    rows, path = np.array([1, 0]), tmp_path / "gallery.png"
    evaluate.draw_gallery(images, table, rows, FASHION.classes, path)
    pictures, titles, drawn_to = drawn
    assert pictures[:, 0, 0].tolist() == [1, 0]
    assert titles == [
        "actual Trouser\npredicted T-shirt/top\n0.8200",
        "actual Coat\npredicted Coat\n0.8200",
    ]
    assert drawn_to == path


def test_pictures_are_those_of_the_prepared_set(tmp_path: Path) -> None:
    path = tmp_path / "test.npz"
    with pytest.raises(InputError, match=f"^{path}: no such file$"):
        evaluate.read_pictures(path, np.array([1, 2]))
    images, index = np.ones((2, 28, 28), np.uint8), np.array([5, 3], np.int32)
    np.savez(path, images=images, labels=np.array([1, 2], np.uint8), index=index)
    found = evaluate.read_pictures(path, np.array([1, 2]))
    assert [np.array_equal(*pair) for pair in zip(found, (images, index), strict=True)] == [
        True
    ] * 2
    other = f"^{path}: not the set that the prepared arrays were made from$"
    with pytest.raises(InputError, match=other):
        evaluate.read_pictures(path, np.array([2, 1]))
    for short in ({"images": images[:1]}, {"index": index[:1]}):
        arrays = {"images": images, "labels": np.array([1, 2], np.uint8), "index": index} | short
        np.savez(path, **arrays)
        with pytest.raises(InputError, match=other):
            evaluate.read_pictures(path, np.array([1, 2]))
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{path}: .*CRC"):
        evaluate.read_pictures(path, np.array([1, 2]))
    np.savez(path, images=images, labels=np.array([1, 2], object), index=index)
    with pytest.raises(InputError, match=f"^{path}: .*pickle"):
        evaluate.read_pictures(path, np.array([1, 2]))


def test_truncated_model(copy: Pipeline) -> None:
    path = copy.folder / "data/model/model.keras"
    path.write_bytes(path.read_bytes()[:100_000])
    copy.refuses("evaluate", "data/model/model.keras: not a Keras model")


def test_missing_model(copy: Pipeline) -> None:
    (copy.folder / "data/model/model.keras").unlink()
    copy.refuses("evaluate", "data/model/model.keras: no such file")


def test_pictures_of_another_set(copy: Pipeline) -> None:
    split = copy.folder / "data/split"
    (split / "test.npz").write_bytes((split / "validation.npz").read_bytes())
    copy.refuses("evaluate", "data/split/test.npz: not the set that the prepared arrays")


def test_damaged_pictures(copy: Pipeline) -> None:
    path = copy.folder / "data/split/test.npz"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    copy.refuses("evaluate", "data/split/test.npz: ", "CRC")


def test_a_class_without_images(copy: Pipeline) -> None:
    folder = copy.folder / "data/prepared/test"
    labels = np.load(folder / "labels.npy")
    kept = labels.argmax(axis=1) != 8
    np.save(folder / "labels.npy", labels[kept])
    np.save(folder / "images.npy", np.load(folder / "images.npy")[kept])
    write_checksums(folder)
    copy.refuses("evaluate", "data/prepared/test: no image of class Bag")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"height": 27}, "images (28, 28, 1) of 10 classes, expected (27, 28, 1) of 10"),
        ({"channels": 3}, "images (28, 28, 1) of 10 classes, expected (28, 28, 3) of 10"),
        (
            {"classes": FASHION.classes | {"hat": "Hat"}},
            "images (28, 28, 1) of 10 classes, expected (28, 28, 1) of 11",
        ),
    ],
)
def test_a_set_of_another_data_set(copy: Pipeline, change: dict[str, Any], words: str) -> None:
    path = copy.folder / "metrics/dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    copy.refuses("evaluate", f"data/prepared/test: {words}")


def test_a_file_in_the_place_of_an_output_folder(copy: Pipeline) -> None:
    folder = copy.folder / "data/figures"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    copy.refuses("evaluate", "data/figures")


def test_mirror_average_is_that_of_the_model(
    keras: Any, finished: Pipeline, copy: Pipeline
) -> None:
    model = keras.saving.load_model(copy.folder / "data/model/model.keras")
    images = np.load(copy.folder / "data/prepared/test/images.npy")
    views = [model.predict(view, verbose=0) for view in (images, images[:, :, ::-1])]
    for average in (True, False):
        copy.set("evaluate.mirror_average", average)
        copy.run_all("evaluate")
        expected = (views[0] + views[1]) / 2 if average else views[0]
        table = pd.read_csv(copy.folder / "metrics/predictions.csv")
        assert np.allclose(expected.max(axis=1), table["confidence"], atol=1e-5)
        metrics = json.loads((copy.folder / "metrics/evaluate.json").read_text())
        assert metrics["views"] == 1 + average
