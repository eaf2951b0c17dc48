"""What a data set is: sizes, channels, and the names of classes and their keys."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fashion_mnist import dataset
from fashion_mnist.errors import InputError
from tests.conftest import CLASSES, FASHION, Pipeline


def test_keys_have_neither_spaces_nor_punctuation() -> None:
    assert list(FASHION.names) == CLASSES
    assert all(re.fullmatch("[a-z_]+", key) for key in FASHION.keys)
    assert FASHION.keys[0] == "t_shirt_top"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["A", "a"],
            "names that differ in letters or digits, but 'A' and 'a' have the same key in metrics, "
            "'a'",
        ),
        (["Bag", "T-shirt top", "T-shirt/top"], "but 'T-shirt top' and 'T-shirt/top' have the"),
        (
            ["Bag", "Bag"],
            "names that differ in letters or digits, but 'Bag' and 'Bag' have the same key in "
            "metrics, 'bag'",
        ),
        (
            ["Bag", " bag "],
            "names that differ in letters or digits, but 'Bag' and ' bag ' have the same key",
        ),
        (["Bag", "#"], "names with letters or digits, but one is '#'"),
        (["", "Bag"], "names with letters or digits, but one is ''"),
        ([], "the names of 2 to 1,000 classes"),
        (["Bag"], "the names of 2 to 1,000 classes"),
        ([f"class {number}" for number in range(1001)], "the names of 2 to 1,000 classes"),
    ],
)
def test_a_stage_refuses_names_whose_keys_collide(
    pipeline: Pipeline, names: list[str], words: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        dataset.by_key(names)
    pipeline.set("download.classes", names)
    pipeline.refuses("download", "params.yaml: download.classes: got [", ", expected ", words)


@pytest.mark.parametrize(
    "names",
    [
        list("0123456789"),
        ["null", "NaN", "True", "1e3", "no", "None"],
        ["a, b", 'a "c"', "a # d", "  e  ", "Größe", "φ"],
    ],
)
def test_unusual_names_have_keys(tmp_path: Path, names: list[str]) -> None:
    found = dataset.described((28, 28), dataset.by_key(names), "some")
    assert list(found.names) == names
    assert all(re.fullmatch(r"\w+", key) for key in found.keys)
    # They are the same after `download` has written them.
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(found.model_dump()))
    assert dataset.read(path) == found


@pytest.mark.parametrize(
    ("classes", "label_type"), [(2, np.uint8), (256, np.uint8), (257, np.uint16), (1000, np.uint16)]
)
def test_labels_have_the_smallest_type_that_holds_them(classes: int, label_type: type) -> None:
    names = [f"class {number}" for number in range(classes)]
    found = dataset.described((8, 9), dataset.by_key(names), "some")
    assert found.label_type is label_type
    assert len(found.keys) == classes


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [((8, 9), (8, 9)), ((8, 128, 1), (8, 128)), ((128, 8, 3), (128, 8, 3))],
)
def test_shapes(shape: tuple[int, ...], image_shape: tuple[int, ...]) -> None:
    found = dataset.described(shape, FASHION.classes, "some")
    assert found.shape == (*shape, 1)[:3]
    assert found.image_shape == image_shape
    assert found.size == f"{shape[0]}x{shape[1]}"


@pytest.mark.parametrize(
    "shape", [(7, 28), (28, 7), (129, 28), (28, 129, 3), (28, 28, 2), (28, 28, 4)]
)
def test_images_of_other_kinds_are_refused(shape: tuple[int, ...]) -> None:
    size = "x".join(map(str, shape))
    words = f"^some: images of {size}, expected 8 to 128 pixels high and wide, and 1 or 3 channels$"
    with pytest.raises(InputError, match=words):
        dataset.described(shape, FASHION.classes, "some")


CONTENT = FASHION.model_dump()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CONTENT | {"height": 7}, "dataset.height: got 7, expected greater than or equal to 8"),
        (CONTENT | {"width": 129}, "dataset.width: got 129, expected less than or equal to 128"),
        (CONTENT | {"channels": 2}, "dataset.channels: got 2, expected 1 or 3"),
        (CONTENT | {"height": 28.0}, "dataset.height: got 28.0"),
        (CONTENT | {"classes": {"a": "A"}}, "dataset.classes: "),
        (CONTENT | {"classes": {f"c{n}": "c" for n in range(1001)}}, "dataset.classes: "),
        (CONTENT | {"depth": 3}, "dataset.depth: unknown key"),
        ({"height": 28}, "dataset.width: missing; dataset.channels: missing"),
        ([], "dataset"),
    ],
)
def test_another_description_is_refused(tmp_path: Path, content: Any, words: str) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        dataset.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert words in str(error.value)
    path.unlink()
    with pytest.raises(InputError, match=r"dataset.json"):
        dataset.read(path)
