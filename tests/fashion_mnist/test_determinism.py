"""The settings for same bytes take effect, or the call fails."""

import os
from typing import Any

import numpy as np
import pytest
import threadpoolctl

from fashion_mnist import determinism
from fashion_mnist.errors import InputError


def test_too_late_is_an_error(keras: Any) -> None:
    with pytest.raises(RuntimeError, match="before TensorFlow is imported"):
        determinism.start(0)


def test_an_operation_has_one_thread_and_cores_work_on_several(keras: Any) -> None:
    import tensorflow as tf

    assert tf.config.threading.get_intra_op_parallelism_threads() == 1
    assert tf.config.threading.get_inter_op_parallelism_threads() == determinism.cores()
    blas = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    assert [pool["num_threads"] for pool in blas] == [1] * len(blas)


def test_rsqrt_is_made_of_exact_operations(keras: Any) -> None:
    """As IEEE 754 defines them, also in a graph that TensorFlow has optimized."""
    import tensorflow as tf

    x = np.random.default_rng(0).random(10_000, np.float32) + np.float32(0.001)
    expected = np.sqrt(x) / x
    in_graph = tf.function(lambda x: tf.math.rsqrt(x))
    for function in (tf.math.rsqrt, keras.ops.rsqrt, in_graph):
        assert np.array_equal(np.asarray(function(tf.constant(x))), expected)


def test_batch_normalization_is_made_of_exact_operations(keras: Any) -> None:
    generator = np.random.default_rng(0)
    layer = keras.layers.BatchNormalization(scale=False, center=False)
    layer.build((None, 64))
    variance = generator.random(64, np.float32) + np.float32(0.001)
    layer.moving_variance.assign(variance)
    x = generator.random((16, 64), np.float32)
    shifted = variance + np.float32(layer.epsilon)
    found = keras.Sequential([layer]).predict(x, verbose=0)
    assert np.array_equal(found, x * (np.sqrt(shifted) / shifted))


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(determinism.CORES, raising=False)
    own = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(own)})
        assert determinism.cores() == 1
    finally:
        os.sched_setaffinity(0, own)
    assert 1 <= determinism.cores() <= len(own)


def test_cores_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(determinism.CORES, "64")
    assert determinism.cores() == 64


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "1025", "\u0661"])
def test_cores_that_are_no_number(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(determinism.CORES, value)
    words = (
        f"^environment variable PIPELINE_CORES: got '{value}', expected an integer from 1 to 1024$"
    )
    with pytest.raises(InputError, match=words):
        determinism.cores()
