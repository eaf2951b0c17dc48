"""Counts the images of each class, for metrics and for a plot."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fashion_mnist.data.idx import Uint8
from fashion_mnist.dataset import KEYS, NAMES


def count(labels: Uint8) -> dict[str, int]:
    """Return the number of images of each class by key, from labels (n,)."""
    return dict(zip(KEYS, np.bincount(labels, minlength=len(KEYS)).tolist(), strict=True))


def tabulate(sets: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """Return the counts of several sets as a table: set, class (its name), images."""
    rows = [
        {"set": name, "class": title, "images": counts[key]}
        for name, counts in sets.items()
        for key, title in zip(KEYS, NAMES, strict=True)
    ]
    return pd.DataFrame(rows)
