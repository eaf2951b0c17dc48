"""Fixes, before TensorFlow loads, whatever would change the bits of a model from run to run.

The measurements behind these choices are in docs/reproducibility.md.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fashion_mnist.errors import InputError

# TensorFlow loads slowly, and only `start` needs it.
if TYPE_CHECKING:
    import tensorflow as tf

# How an operation is split among threads changes its rounding, so it never is. Cores work on
# different operations instead (fashion_mnist/training/shards.py).
THREADS_PER_OPERATION = 1

# Environment variable with the number of cores to use; by default, all that the process may use.
CORES = "PIPELINE_CORES"
MOST_CORES = 1024

# Makes an operation without a deterministic kernel an error. Training is bit-stable without it
# too.
OP_DETERMINISM = True

ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    # oneDNN is twice as fast as Eigen here; its default depends on the processor.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # Kernels for AVX-512 round differently. All x86-64 processors of the last ten years have AVX2.
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # Errors only.
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


# TensorFlow writes these lines before it reads TF_CPP_MIN_LOG_LEVEL: information, and that there
# is no GPU.
NOISE = re.compile(r"I\d{4} |.*(absl::InitializeLog|cuInit|[Cc][Uu][Dd][Aa])")


def cores() -> int:
    """Return the number of cores to work with, which changes speed and memory but no byte.

    Unless PIPELINE_CORES says otherwise, these are the cores that the affinity of the process and
    the quota of its container allow.

    Raises:
        InputError: PIPELINE_CORES is not an integer from 1 to 1024.
    """
    given = os.environ.get(CORES)
    if not given:
        from joblib import cpu_count

        return int(cpu_count())
    if not (given.isascii() and given.isdecimal() and 1 <= int(given) <= MOST_CORES):
        raise InputError(
            f"environment variable {CORES}: got '{given}', "
            f"expected an integer from 1 to {MOST_CORES}"
        )
    return int(given)


def start(seed: int) -> None:
    """Load TensorFlow and Keras with fixed kernels, threads and seed.

    Args:
        seed: Seed of Python's, NumPy's and TensorFlow's global generators, from which Keras
            derives the seeds of initializers and dropout.

    Raises:
        InputError: See `cores`.
        RuntimeError: TensorFlow is already loaded, so the settings would have no effect.
    """
    if "tensorflow" in sys.modules:
        raise RuntimeError("determinism.start must run before TensorFlow is imported")
    parallel = cores()
    os.environ |= ENVIRONMENT
    with _without_noise():
        import keras
        import tensorflow as tf
        import threadpoolctl

        tf.config.list_physical_devices()  # reports a missing GPU
    tf.get_logger().setLevel("ERROR")  # hides warnings of deprecation
    tf.config.threading.set_intra_op_parallelism_threads(THREADS_PER_OPERATION)
    tf.config.threading.set_inter_op_parallelism_threads(parallel)
    threadpoolctl.threadpool_limits(THREADS_PER_OPERATION, "blas")  # of NumPy
    _replace_rsqrt()
    if OP_DETERMINISM:
        tf.config.experimental.enable_op_determinism()
    # A user's own ~/.keras/keras.json must not change the bytes.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.utils.set_random_seed(seed)


def _replace_rsqrt() -> None:
    """Let Keras's normalization layers divide by a square root instead of multiplying by `rsqrt`.

    TensorFlow computes the latter from an instruction, RSQRTPS, whose result is an approximation,
    and Intel's processors approximate otherwise than AMD's. Square root and division are exact.
    (Not 1 / sqrt(x): TensorFlow's graph optimizer makes an `rsqrt` of it.)
    """
    import tensorflow as tf
    from tensorflow.python.ops import math_ops

    def rsqrt(x: "tf.Tensor", name: str | None = None) -> "tf.Tensor":
        return tf.math.divide(tf.sqrt(x), x, name)

    math_ops.rsqrt = tf.math.rsqrt = rsqrt


@contextmanager
def _without_noise() -> Iterator[None]:
    """Hide the lines of NOISE that libraries write to standard error; show all others at the end.

    They are written by C++ code, so Python's own redirection does not see them.
    """
    stderr = os.dup(2)
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            log.seek(0)
            sys.stderr.writelines(line for line in log if not NOISE.match(line))
