"""Images that can be told apart by their pixels."""

import numpy as np

from fashion_mnist.data.prepared import Prepared


def numbered(count: int) -> Prepared:
    """Images whose pixels all equal their number."""
    images = np.zeros((count, 28, 28, 1), np.float32) + np.arange(count)[:, None, None, None]
    return Prepared(images.astype(np.float32), np.eye(10, dtype=np.float32)[np.arange(count) % 10])
