"""What is known about Fashion-MNIST: classes, size of an image, files of the release."""

import re

from fashion_mnist.errors import InputError

SIDE = 28  # pixels

# In label order.
NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# Images and labels of each half of the release.
HALVES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "t10k": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def key_of(name: str) -> str:
    """Return the name of a class as a key of metrics, where punctuation would need quotes."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


KEYS = tuple(map(key_of, NAMES))


def check_names() -> None:
    """Check that every class has a key of its own.

    Raises:
        InputError: A name has neither letters nor digits, or two names have the same key.
    """
    named: dict[str, str] = {}
    for name, key in zip(NAMES, KEYS, strict=True):
        if not key:
            raise InputError(f"class {name!r}: expected a name with letters or digits")
        if key in named:
            raise InputError(
                f"classes {named[key]!r} and {name!r}: expected names that differ in letters or "
                f"digits, but both have the key {key!r} in metrics"
            )
        named[key] = name
