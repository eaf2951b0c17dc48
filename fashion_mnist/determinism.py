"""Fixes, before TensorFlow loads, whatever would change the bits of a model from run to run.

The measurements behind these choices are in docs/reproducibility.md.
"""

import os
import sys

# How a sum is split among threads changes its rounding, so the number is fixed, whatever the
# machine has. One core gives the same bytes, more slowly.
THREADS = 2

# Makes an operation without a deterministic kernel an error. Training is bit-stable without it
# too.
OP_DETERMINISM = True

ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    # oneDNN is twice as fast as Eigen here; its default depends on the processor.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # Kernels for AVX-512 round differently. All x86-64 processors of the last ten years have AVX2.
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # What TensorFlow logs at start, such as a missing GPU, is of no use here. Python exceptions
    # are not affected.
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def start(seed: int) -> None:
    """Load TensorFlow and Keras with fixed kernels, threads and seed.

    Args:
        seed: Seed of Python's, NumPy's and TensorFlow's global generators, from which Keras
            derives the seeds of initializers and dropout.

    Raises:
        RuntimeError: TensorFlow is already loaded, so the settings would have no effect.
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
