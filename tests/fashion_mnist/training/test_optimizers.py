"""Optimizers, schedules and losses are Keras's, with the arguments that params.yaml gives."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from fashion_mnist.training import losses, optimizers, schedules

CONSTANT = schedules.Constant(name="constant")


def described(optimizer: Any) -> tuple[str, dict]:
    """Return class and settings of an optimizer, without the name that Keras counts up."""
    name = type(optimizer).__name__.removeprefix("Convolution")  # our variant of Keras's Muon
    return name, optimizer.get_config() | {"name": None}


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "adam"},
        {"name": "adam", "learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3},
        {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.05},
        {"name": "muon", "learning_rate": 0.2, "momentum": 0.6, "ns_steps": 3, "rms_rate": None}
        | {"weight_decay": 0.1, "adam_lr_ratio": 0.1, "adam_beta_1": 0.8, "adam_beta_2": 0.99}
        | {"adam_weight_decay": 0.2},
        {"name": "rmsprop", "learning_rate": 0.01, "rho": 0.5, "momentum": 0.5, "epsilon": 1e-3},
        {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    ],
)
def test_optimizer_is_what_keras_would_build(keras: Any, arguments: dict) -> None:
    parsed = TypeAdapter(optimizers.Optimizer).validate_python(arguments)
    name = arguments["name"]
    expected = keras.optimizers.get({"class_name": name, "config": arguments})
    assert described(optimizers.build(parsed, CONSTANT, 10)) == described(expected)


@pytest.mark.parametrize("name", ["adam", "adamw", "muon", "rmsprop", "sgd"])
def test_defaults_are_those_of_keras(keras: Any, name: str) -> None:
    parsed = TypeAdapter(optimizers.Optimizer).validate_python({"name": name})
    assert described(optimizers.build(parsed, CONSTANT, 10)) == described(
        keras.optimizers.get(name)
    )


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
def test_inverse_time_decay_is_that_of_keras_2(keras: Any, name: str) -> None:
    """`rate / (1 + decay * step)`, with the step before the update."""
    optimizer = TypeAdapter(optimizers.Optimizer).validate_python(
        {"name": name, "learning_rate": 0.5}
    )
    schedule = schedules.InverseTimeDecay(name="inverse_time_decay", decay_rate=0.25)
    built = optimizers.build(optimizer, schedule, 10)
    variable = keras.Variable([1.0])
    for step in range(4):
        assert float(built.learning_rate) == pytest.approx(0.5 / (1 + 0.25 * step))
        before = float(variable[0])
        built.apply([keras.ops.ones(1)], [variable])
        if name == "sgd":
            assert before - float(variable[0]) == pytest.approx(0.5 / (1 + 0.25 * step))


def test_cosine_decay_rises_and_falls_to_nothing(keras: Any) -> None:
    optimizer = TypeAdapter(optimizers.Optimizer).validate_python(
        {"name": "sgd", "learning_rate": 0.5}
    )
    schedule = schedules.CosineDecay(name="cosine_decay", warmup=0.2)
    rate = optimizers.build(optimizer, schedule, 50).get_config()["learning_rate"]
    rate = keras.optimizers.schedules.deserialize(rate)
    found = [float(rate(step)) for step in range(51)]
    expected = [0.05 * step for step in range(10)]
    expected += [0.25 * (1 + math.cos(math.pi * step / 40)) for step in range(41)]
    assert found == pytest.approx(expected, abs=1e-6)
    without = optimizers.build(optimizer, schedules.CosineDecay(name="cosine_decay"), 50)
    assert float(without.learning_rate) == 0.5


@pytest.mark.parametrize(
    ("name", "keras_name"),
    [
        ("categorical_crossentropy", "CategoricalCrossentropy"),
        ("categorical_focal_crossentropy", "CategoricalFocalCrossentropy"),
    ],
)
def test_smoothed_labels_are_those_of_keras(keras: Any, name: losses.Loss, keras_name: str) -> None:
    generator = np.random.default_rng(0)
    labels = np.eye(10, dtype=np.float32)[generator.integers(0, 10, 40)]
    images = generator.random((40, 5), np.float32)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(10, activation="softmax")])
    model.compile(loss=losses.smoothed(name, 0.2))
    expected = getattr(keras.losses, keras_name)(label_smoothing=0.2)
    found = model.evaluate(images, labels, verbose=0)
    assert found == pytest.approx(float(expected(labels, model(images))), abs=1e-5)
    assert losses.smoothed(name, 0.0) == name
