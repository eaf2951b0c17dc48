"""Fixes, before TensorFlow loads, all that would change the bits of a model from run to run.

docs/reproducibility.md has the measurements behind these choices.
"""

import os
import sys

# Sums are split among this many threads whatever the machine has, since the split changes the
# rounding. A machine with one core gives the same bytes, only later.
THREADS = 2

# An operation that has no deterministic kernel is an error instead of a difference. Training is
# bit-stable here without it too, and with it no slower.
OP_DETERMINISM = True

ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    # oneDNN is twice as fast here as Eigen. Where it is on by default depends on the processor.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # The newest instructions that every x86-64 machine of the last ten years has: without this,
    # processors with AVX-512 would use other kernels that round differently.
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # Errors only; the user has no use for the rest.
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def start(seed: int) -> None:
    """Load TensorFlow and Keras with fixed kernels, threads and seed.

    Args:
        seed: Of Python's, NumPy's and TensorFlow's global generators, from which Keras derives
            the seeds of initializers and dropout.

    Raises:
        RuntimeError: TensorFlow is loaded already, so that it is too late.
    """
    if "tensorflow" in sys.modules:
        raise RuntimeError("determinism.start must run before TensorFlow is imported")
    os.environ |= ENVIRONMENT

    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    if OP_DETERMINISM:
        tf.config.experimental.enable_op_determinism()
    # A user's own ~/.keras/keras.json must not change the bytes.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.utils.set_random_seed(seed)
