"""Counts the images of each class, for metrics and for a plot."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion_mnist.dataset import Dataset


def count(labels: Iterable[NDArray[Any]], dataset: Dataset) -> dict[str, int]:
    """Return the number of images of each class by key, from blocks of labels (n,)."""
    counts = np.zeros(len(dataset.keys), np.int64)
    for block in labels:
        counts += np.bincount(block, minlength=len(counts))
    return dict(zip(dataset.keys, counts.tolist(), strict=True))


def tabulate(sets: Mapping[str, Mapping[str, int]], dataset: Dataset) -> pd.DataFrame:
    """Return the counts of several sets as a table: set, class (its name), images."""
    rows = [
        {"set": name, "class": title, "images": counts[key]}
        for name, counts in sets.items()
        for key, title in dataset.classes.items()
    ]
    return pd.DataFrame(rows)
