"""Opens a prepared set, memory-mapped, and checks it before a model trains or is scored on it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_mnist.errors import InputError
from fashion_mnist.files import verify_checksums

Float32 = NDArray[np.float32]

BLOCK = 4096  # images


class Prepared(NamedTuple):
    """Images (n, height, width, channels) and one-hot labels (n, classes), both float32."""

    images: Float32
    labels: Float32


def load(folder: Path) -> Prepared:
    """Return the arrays in a folder, memory-mapped.

    Raises:
        InputError: A file is missing or differs from SHA256SUMS, a shape or type is wrong, a pixel
            is not finite, or a row of labels is not one-hot.
    """
    # DVC restores a damaged object of its cache as if it were intact.
    verify_checksums(folder)
    images = _load(folder / "images.npy", ("n", "height", "width", "channels"))
    labels = _load(folder / "labels.npy", ("n", "classes"))
    if len(images) != len(labels):
        raise InputError(f"{folder}: {len(images)} images but {len(labels)} rows of labels")
    for start in range(0, len(images), BLOCK):
        part = slice(start, start + BLOCK)
        finite = np.isfinite(images[part]).all(axis=(1, 2, 3))
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise InputError(f"{folder / 'images.npy'}: row {row} has a value that is not finite")
        rows = labels[part]
        one_hot = ((rows == 0) | (rows == 1)).all(axis=1) & (rows.sum(axis=1) == 1)
        if not one_hot.all():
            row = start + int(np.argmin(one_hot))
            raise InputError(f"{folder / 'labels.npy'}: row {row} is not one-hot: {labels[row]}")
    return Prepared(images, labels)


def _load(path: Path, shape: tuple[str, ...]) -> Float32:
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: {error}") from error
    if array.dtype != np.float32 or array.ndim != len(shape):
        raise InputError(
            f"{path}: {array.dtype} {array.shape}, expected float32 ({', '.join(shape)})"
        )
    return array
