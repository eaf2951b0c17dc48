"""Writes scikit-learn's digits, 1,797 images of 8x8 pixels, as IDX files."""

from pathlib import Path

import numpy as np

from fashion_mnist.data import idx
from fashion_mnist.dataset import HALVES
from fashion_mnist.files import new_file

HIGHEST = 16  # grey value in scikit-learn's arrays


def write(folder: Path) -> None:
    """Write images and labels as the training file of a release; there is no official test file.

    Grey values from 0 to 16 become 0 to 255, rounded to the nearest integer.
    """
    # Slow to import, and only needed here.
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.rint(found.images * 255 / HIGHEST).astype(np.uint8)
    labels = found.target.astype(np.uint8)
    for name, array in zip(HALVES["train"], (images, labels), strict=True):
        with new_file(folder / name) as temporary:
            idx.write(temporary, array)
