"""Architectures match their sources and reject arguments that they do not have."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fashion_mnist import models
from fashion_mnist.errors import InputError

FASHION_MNIST = (28, 28, 1), 10
# Total and trainable.
PARAMETERS = {
    "cnn_1": (201_578, 201_578),
    "cnn_2": (407_802, 407_642),
    "convnet": (3_274_634, 3_274_634),
    "dense": (101_770, 101_770),
    "fast_cnn": (164_440, 163_736),
    "fashion_cnn": (3_467_402, 3_452_874),
    "lenet": (1_256_080, 1_256_080),
    "sgd_cnn": (899_914, 899_914),
}


# Enough for a shape to be wrong.
SMALL: dict[str, dict[str, Any]] = {
    "fashion_cnn": {
        "convolutions": [{"channels": 4, "pool": 2}],
        "dense": [{"units": 8}, {"activation": "softmax"}],
    }
}


def test_names_are_the_files() -> None:
    assert models.names() == sorted(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_output(keras: Any, name: str) -> None:
    model = models.build(name, {}, *FASHION_MNIST)
    total, trainable = PARAMETERS[name]
    assert model.count_params() == total
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable
    images = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    probabilities = np.asarray(model(images))
    assert probabilities.shape == (3, 10)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize(
    ("shape", "classes"), [((8, 8, 1), 2), ((32, 32, 3), 100), ((20, 128, 1), 257)]
)
def test_other_images_and_classes(
    keras: Any, name: str, shape: tuple[int, int, int], classes: int
) -> None:
    arguments = SMALL.get(name, {})
    if name == "sgd_cnn" and shape[0] == 8:
        # Each of its convolutions needs 3 pixels, and each pooling halves what is left.
        with pytest.raises(InputError, match=r"^train.arguments: "):
            models.build(name, arguments, shape, classes)
        return
    model = models.build(name, arguments, shape, classes)
    images = np.random.default_rng(0).random((3, *shape), np.float32)
    models.adapt(name, model, images)
    probabilities = np.asarray(model(images))
    assert probabilities.shape == (3, classes)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("side", "widths"),
    [
        (8, (96,)),
        (9, (48, 96)),
        (16, (48, 96)),
        (17, (24, 48, 96)),
        (28, (24, 48, 96)),
        (32, (24, 48, 96)),
        (33, (24, 48, 96, 192)),
        (64, (24, 48, 96, 192)),
        (65, (24, 48, 96, 192, 384)),
        (128, (24, 48, 96, 192, 384)),
    ],
)
def test_fast_cnn_has_blocks_for_the_size_of_the_images(
    keras: Any, side: int, widths: tuple[int, ...]
) -> None:
    from fashion_mnist.models import fast_cnn

    assert fast_cnn.default_widths(side) == widths
    model = models.build("fast_cnn", {}, (side + 5, side, 3), 4)
    kernels = [
        weight.shape[-1]
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.name != "whitening"
        for weight in layer.weights
    ]
    assert kernels == [width for width in widths for _ in range(2)]
    last = next(layer.output for layer in reversed(model.layers) if len(layer.output.shape) == 4)
    assert 2 <= last.shape[2] <= 3


def test_convnet_starts_from_a_standard_normal(keras: Any) -> None:
    for weight in models.build("convnet", {}, *FASHION_MNIST).get_weights():
        assert abs(weight.mean()) < 4 / np.sqrt(weight.size)
        assert abs(weight.std() - 1) < 4 / np.sqrt(weight.size)


def test_fashion_cnn_has_as_many_blocks_as_asked(keras: Any) -> None:
    arguments = {
        "convolutions": [
            {"channels": 4, "pad": 0, "filter": 5, "stride": 2, "activation": "gelu"},
            {"channels": 6, "pool": 3},
        ],
        "dense": [{"units": 10, "dropout": 0.5, "activation": "softmax"}],
    }
    model = models.build("fashion_cnn", arguments, *FASHION_MNIST)
    shapes = [layer.output.shape[1:] for layer in model.layers]
    assert shapes == [
        (28, 28, 1),
        (12, 12, 4),
        (12, 12, 4),
        (12, 12, 4),
        (12, 12, 4),
        (14, 14, 4),
        (12, 12, 6),
        (12, 12, 6),
        (12, 12, 6),
        (4, 4, 6),
        (96,),
        (96,),
        (96,),
        (10,),
    ]
    dropout = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.rate for layer in dropout] == [0.5]
    flat = models.build("fashion_cnn", {"convolutions": []}, *FASHION_MNIST)
    assert flat.output_shape == (None, 10)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        (
            "lenet",
            {"depth": 3},
            r"^train.arguments.depth: unknown key \(lenet takes no arguments\)$",
        ),
        ("fast_cnn", {"width": 3}, r"unknown key \(fast_cnn takes widths, whitening, head\)$"),
        (
            "fashion_cnn",
            {"convolutions": [{"channels": 8}, {"chanels": 4}]},
            r"convolutions.1.channels: missing; train.arguments.convolutions.1.chanels: unknown",
        ),
        ("fashion_cnn", {"dense": [{"units": "many"}]}, r"dense.0.units: got 'many', expected"),
        ("fashion_cnn", {"dense": [{"units": 10, "dropout": 1.0}]}, r"dense.0.dropout: got 1.0"),
        (
            "fashion_cnn",
            {"dense": [{"units": 10, "activation": "best"}]},
            r"train.arguments: .*best",
        ),
        ("fashion_cnn", {"convolutions": [{"channels": 8, "pool": 40}]}, r"train.arguments: .*"),
        ("fashion_cnn", {"dense": [{"units": 7}]}, r"to \(None, 7\), expected .* to \(None, 10\)"),
        ("fashion_cnn", {"dense": [{"units": 10}]}, "not probabilities, expected softmax"),
        (
            "fashion_cnn",
            {"dense": [{"units": 10, "activation": "sigmoid"}]},
            "not probabilities, expected softmax",
        ),
        ("fashion_cnn", {"dense": 3}, r"train.arguments.dense: got 3"),
    ],
)
def test_wrong_arguments_are_named(keras: Any, name: str, arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        models.build(name, arguments, *FASHION_MNIST)


@pytest.mark.slow
def test_fast_cnn_loads_without_our_code(keras: Any, tmp_path: Path) -> None:
    from fashion_mnist import model_file

    images = np.random.default_rng(0).random((50, 28, 28, 1), np.float32)
    model = models.build("fast_cnn", {}, *FASHION_MNIST)
    models.adapt("fast_cnn", model, images)
    model_file.save(model, tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import keras, numpy, sys; model = keras.saving.load_model('model.keras');"
        "numpy.save('found.npy', model.predict(numpy.load('images.npy'), verbose=0));"
        "assert not [name for name in sys.modules if name.startswith('fashion_mnist')]"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
    expected = model.predict(images, verbose=0)
    assert np.allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_fast_cnn_whitens_patches(keras: Any, channels: int) -> None:
    """The output of its first layer, before ReLU, has variance 1 in every direction."""
    generator = np.random.default_rng(0)
    images = generator.random((400, 28, 28, channels), np.float32)
    images = images + np.roll(images, 1, axis=2)  # neighbours correlate
    images = 5 * (images - images.mean())
    model = models.build("fast_cnn", {}, (28, 28, channels), 10)
    models.adapt("fast_cnn", model, images)
    first = keras.Model(model.inputs[0], model.get_layer("whitening").output)
    directions = 4 * channels
    found = np.asarray(first(images)).reshape(-1, 2 * directions)
    positive, negative = found[:, :directions], found[:, directions:]
    assert np.allclose(positive.T @ positive / len(found), np.eye(directions), atol=0.05)
    assert np.allclose(negative, -positive)
    kernel, bias = model.get_layer("whitening").weights
    assert not kernel.trainable
    assert bias.trainable


def test_last_layer_of_fast_cnn_sees_the_maximum_of_each_channel(keras: Any) -> None:
    images = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    model = models.build("fast_cnn", {"widths": [4, 16], "head": 0.5}, *FASHION_MNIST)
    (last,) = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    before = next(layer.output for layer in reversed(model.layers) if len(layer.output.shape) == 4)
    channels, pooled, out = map(
        np.asarray, keras.Model(model.inputs[0], [before, last.input, model.output])(images)
    )
    assert channels.shape == (3, 6, 6, 16)
    assert np.allclose(pooled, channels.max(axis=(1, 2)), atol=1e-6)
    logits = 0.5 * pooled @ np.asarray(last.kernel)
    odds = np.exp(logits)
    assert np.allclose(out, odds / odds.sum(axis=1, keepdims=True), atol=1e-6)
