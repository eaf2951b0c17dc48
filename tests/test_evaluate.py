"""Scoring reports what the predictions say, and refuses a model or a set that does not fit."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fashion_mnist.artifacts import write_checksums
from fashion_mnist.classes import KEYS, NAMES
from tests.conftest import Pipeline


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
    loss = -np.log(table["label_probability"].clip(1e-6)).mean()
    assert metrics["loss"] == pytest.approx(loss, rel=1e-3)
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
        if path.name in {"download.json", "train.json"}:
            continue
        path.unlink()
    copy.run_all("evaluate")
    before = finished.files()
    after = copy.files()
    assert "metrics/evaluate.json" in after
    assert "data/figures/gallery.png" in after
    assert all(after[name] == before[name] for name in after)


def write_model(keras: Any, pipeline: Pipeline, *layers: Any, shape: tuple[int, ...]) -> None:
    """Put another model in the place of the trained one."""
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
    [("linear", "no probabilities"), ("sigmoid", "rows that do not sum to 1")],
)
def test_model_that_returns_no_probabilities(keras, copy, activation, words) -> None:
    layers = keras.layers
    write_model(keras, copy, layers.Flatten(), layers.Dense(10, activation), shape=(28, 28, 1))
    copy.refuses("evaluate", words)


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
