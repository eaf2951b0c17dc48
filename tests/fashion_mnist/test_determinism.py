"""The settings for same bytes take effect, or the call fails."""

from typing import Any

import pytest

from fashion_mnist import determinism


def test_too_late_is_an_error(keras: Any) -> None:
    with pytest.raises(RuntimeError, match="before TensorFlow is imported"):
        determinism.start(0)


def test_threads_are_fixed(keras: Any) -> None:
    import tensorflow as tf

    assert tf.config.threading.get_intra_op_parallelism_threads() == determinism.THREADS
    assert tf.config.threading.get_inter_op_parallelism_threads() == determinism.THREADS
