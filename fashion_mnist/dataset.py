"""What the images of a data set have in common: their size, and the classes that they show."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError

from fashion_mnist.errors import InputError
from fashion_mnist.files import read_json
from fashion_mnist.params import Section, explain

# Where `download` writes it, for all that follows.
FILE = Path("metrics/dataset.json")

SIDES = 8, 128  # pixels, lowest and highest
CLASSES = 2, 1000

# Images and labels of each half of a release: the training file, and the official test file.
HALVES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "t10k": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}

Side = Annotated[int, Field(ge=SIDES[0], le=SIDES[1])]


class Dataset(Section):
    """Size of an image in pixels, and the name of each class by its key, in label order."""

    height: Side
    width: Side
    channels: Literal[1, 3]
    classes: dict[str, str] = Field(min_length=CLASSES[0], max_length=CLASSES[1])

    @property
    def keys(self) -> tuple[str, ...]:
        """Classes as keys of metrics."""
        return tuple(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Classes as people read them."""
        return tuple(self.classes.values())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.height, self.width, self.channels

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of an image in files: grey images have no axis of channels."""
        return self.shape if self.channels > 1 else self.shape[:2]

    @property
    def size(self) -> str:
        """Height and width as text."""
        return f"{self.height}x{self.width}"

    @property
    def label_type(self) -> type[np.uint8] | type[np.uint16]:
        """Type of the labels in arrays."""
        return label_type(len(self.classes))


def label_type(classes: int) -> type[np.uint8] | type[np.uint16]:
    """Return the type of labels, which is uint8 where it has room for all classes."""
    return np.uint8 if classes <= 1 << 8 else np.uint16


def key_of(name: str) -> str:
    """Return the name of a class as a key of metrics, where punctuation would need quotes."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def by_key(names: Sequence[str]) -> dict[str, str]:
    """Return the name of each class by its key.

    Raises:
        ValueError: There are too few or too many classes, a name has neither letters nor digits,
            or two names have the same key.
    """
    if not CLASSES[0] <= len(names) <= CLASSES[1]:
        raise ValueError(
            f"the names of {CLASSES[0]} to {CLASSES[1]:,} classes, but there are {len(names):,}"
        )
    named: dict[str, str] = {}
    for name in names:
        key = key_of(name)
        if not key:
            raise ValueError(f"names with letters or digits, but one is {name!r}")
        if key in named:
            raise ValueError(
                f"names that differ in letters or digits, but {named[key]!r} and {name!r} have "
                f"the same key in metrics, {key!r}"
            )
        named[key] = name
    return named


def described(shape: Sequence[int], classes: dict[str, str], source: str) -> Dataset:
    """Return a data set whose images have this shape: height, width and, unless grey, channels.

    Args:
        shape: Shape of an image.
        classes: Name of each class by its key.
        source: What the error calls the images.

    Raises:
        InputError: The images are too small or too large, or are neither grey nor in three colours.
    """
    height, width, channels = (*shape, 1) if len(shape) == 2 else shape
    low, high = SIDES
    if not (low <= min(height, width) and max(height, width) <= high and channels in (1, 3)):
        raise InputError(
            f"{source}: images of {'x'.join(map(str, shape))}, expected {low} to {high} pixels "
            "high and wide, and 1 or 3 channels"
        )
    size = {"height": height, "width": width, "channels": channels}
    return Dataset.model_validate(size | {"classes": classes})


def read(path: Path) -> Dataset:
    """Return what `download` wrote about the data.

    Raises:
        InputError: The file is missing, or is not what `download` writes.
    """
    content = read_json(path)
    try:
        return Dataset.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, 'dataset', content)}") from error
