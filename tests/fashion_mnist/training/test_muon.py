"""Kernels of convolutions get Muon's step, all else that of Keras's Adam."""

from typing import Any

import numpy as np
import pytest

SHAPES = [(3, 3, 4, 6), (2, 2, 1, 8), (1, 1, 5, 5)]


def muon(**arguments: Any) -> Any:
    from fashion_mnist.training.muon import ConvolutionMuon

    still = {"weight_decay": 0.0, "adam_weight_decay": 0.0, "rms_rate": None}
    return ConvolutionMuon(
        **{"learning_rate": 0.1, "momentum": 0.6, "ns_steps": 3} | still | arguments
    )


def newton_schulz(matrix: np.ndarray, steps: int) -> np.ndarray:
    """Muon's iteration, written down from Jordan 2024 in float64."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


@pytest.mark.parametrize("shape", SHAPES)
def test_three_steps_are_those_of_the_source(keras: Any, shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    start = generator.normal(size=shape)
    variable = keras.Variable(start, dtype="float32")
    optimizer = muon()
    expected, momentum = start.reshape(-1, shape[-1]), 0.0
    for _ in range(3):
        gradient = generator.normal(size=shape)
        optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32")], [variable])
        flat = gradient.reshape(-1, shape[-1])
        momentum = 0.6 * momentum + flat
        expected = expected - 0.1 * newton_schulz(flat + 0.6 * momentum, 3)
    found = np.asarray(variable.value)
    assert np.allclose(found, expected.reshape(shape), atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_directions_change_about_alike(keras: Any, shape: tuple[int, ...]) -> None:
    gradient = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    gradient[..., 0] *= 10
    variable = keras.Variable(np.zeros(shape), dtype="float32")
    muon(learning_rate=1.0, ns_steps=5).apply([keras.ops.convert_to_tensor(gradient)], [variable])
    change = np.asarray(variable.value).reshape(-1, shape[-1])
    sizes = np.linalg.svd(change, compute_uv=False)
    assert 0.5 < sizes.min() <= sizes.max() < 1.3
    assert (change * gradient.reshape(change.shape)).sum() < 0  # downhill


@pytest.mark.parametrize("shape", [(6,), (5, 10)])
def test_other_weights_get_adam(keras: Any, shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    found, expected = (keras.Variable(np.ones(shape), dtype="float32") for _ in range(2))
    ours = muon(adam_lr_ratio=0.2, adam_beta_1=0.8, adam_beta_2=0.9)
    adam = keras.optimizers.Adam(0.02, 0.8, 0.9)
    for _ in range(3):
        gradient = keras.ops.convert_to_tensor(generator.normal(size=shape), "float32")
        ours.apply([gradient], [found])
        adam.apply([gradient], [expected])
    assert np.allclose(found.value, expected.value, atol=1e-6)


def test_weight_decay_is_decoupled(keras: Any) -> None:
    kernel, bias = (keras.Variable(np.ones(s), dtype="float32") for s in ((3, 3, 2, 2), (2,)))
    optimizer = muon(weight_decay=0.5, adam_weight_decay=0.25)
    nothing = [keras.ops.zeros(variable.shape) for variable in (kernel, bias)]
    optimizer.apply(nothing, [kernel, bias])
    assert np.allclose(kernel.value, 1 - 0.1 * 0.5)
    assert np.allclose(bias.value, 1 - 0.1 * 0.25)
