"""Classes are counted under the names that metrics and plots use."""

import numpy as np

from fashion_mnist.data import class_counts
from tests.conftest import FASHION

KEYS, NAMES = FASHION.keys, FASHION.names


def test_every_class_is_counted_also_an_absent_one() -> None:
    blocks = [np.array([0, 0, 1], np.uint8), np.zeros(0, np.uint8), np.array([8], np.uint8)]
    found = class_counts.count(blocks, FASHION)
    assert list(found) == list(KEYS)
    expected = {"t_shirt_top": 2, "trouser": 1, "bag": 1}
    assert found == {key: expected.get(key, 0) for key in KEYS}
    assert all(type(number) is int for number in found.values())


def test_a_table_has_a_row_for_each_class_of_each_set() -> None:
    sets = {"train": dict.fromkeys(KEYS, 3), "test": {key: place for place, key in enumerate(KEYS)}}
    table = class_counts.tabulate(sets, FASHION)
    assert list(table.columns) == ["set", "class", "images"]
    assert table["set"].tolist() == ["train"] * 10 + ["test"] * 10
    assert table["class"].tolist() == [*NAMES, *NAMES]
    assert table["images"].tolist() == [3] * 10 + list(range(10))
