"""The model file has the same bytes every time, and damage is reported in one line."""

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fashion_mnist.errors import InputError

IMAGES = np.random.default_rng(0).random((5, 28, 28, 1), np.float32)


@pytest.fixture
def model(keras: Any) -> Any:
    """A model with BatchNorm, dropout and a shared initializer, all of which Keras serializes."""
    shared = keras.initializers.GlorotUniform(seed=3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(4, 3, kernel_initializer=shared),
            layers.Conv2D(4, 3, kernel_initializer=shared),
            layers.BatchNormalization(),
            layers.GlobalMaxPooling2D(),
            layers.Dropout(0.5, seed=4),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy")
    model.fit(IMAGES, np.eye(10, dtype=np.float32)[:5], verbose=0)
    return model


def test_same_bytes_at_another_time_and_for_another_object(keras, model, tmp_path) -> None:
    from fashion_mnist import model_file

    model_file.save(model, tmp_path / "a.keras")
    time.sleep(2.1)  # longer than the resolution of zip's time stamps
    again = model_file.load(tmp_path / "a.keras")
    model_file.save(again, tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_the_file_reveals_neither_time_nor_machine(model: Any, tmp_path: Path) -> None:
    from fashion_mnist import model_file

    model_file.save(model, tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert list(json.loads(archive.read("metadata.json"))) == ["keras_version"]
        assert b"shared_object_id" not in archive.read("config.json")


def test_keras_alone_loads_it_and_predicts_the_same(keras, model, tmp_path) -> None:
    from fashion_mnist import model_file

    model_file.save(model, tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    assert np.array_equal(loaded.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))


def test_the_file_omits_the_state_of_the_optimizer(model: Any, tmp_path: Path) -> None:
    from fashion_mnist import model_file

    model_file.save(model, tmp_path / "a.keras")
    model.save(tmp_path / "full.keras")
    with (
        zipfile.ZipFile(tmp_path / "a.keras") as ours,
        zipfile.ZipFile(tmp_path / "full.keras") as full,
    ):
        assert b"optimizer" in full.read("model.weights.h5")
        assert b"optimizer" not in ours.read("model.weights.h5")


@pytest.mark.parametrize("keep", [0, 10, 3000, -1])
def test_a_truncated_file_is_reported_in_one_line(model: Any, tmp_path: Path, keep: int) -> None:
    from fashion_mnist import model_file

    path = tmp_path / "a.keras"
    model_file.save(model, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"a.keras: not a Keras model: ") as error:
        model_file.load(path)
    assert "\n" not in str(error.value)


def test_a_model_whose_file_would_not_load_is_refused(keras: Any, model: Any) -> None:
    from fashion_mnist import model_file

    model_file.check(model)
    hostile = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x + 1)])
    with pytest.raises(InputError, match=r"^train.model: its file would not load: .*Lambda"):
        model_file.check(hostile)


def test_a_missing_file_is_named(keras: Any, tmp_path: Path) -> None:
    from fashion_mnist import model_file

    with pytest.raises(InputError, match=r"a.keras: no such file"):
        model_file.load(tmp_path / "a.keras")


def test_code_in_a_model_file_is_not_run(keras: Any, tmp_path: Path) -> None:
    from fashion_mnist import model_file

    hostile = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x + 1)])
    hostile.save(tmp_path / "a.keras")
    with pytest.raises(InputError, match="not a Keras model"):
        model_file.load(tmp_path / "a.keras")
