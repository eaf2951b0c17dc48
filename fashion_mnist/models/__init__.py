"""Architectures: one file each, with a builder of the same name that returns a `keras.Model`.

A builder's first two arguments are the shape of an image and the number of classes. Every model
takes images (n, height, width, channels) float32 and returns class probabilities (n, classes).
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError, validate_call

from fashion_mnist.data.prepared import Float32
from fashion_mnist.errors import InputError
from fashion_mnist.params import explain

# Listing the models must not load Keras.
if TYPE_CHECKING:
    import keras

Shape = tuple[int, int, int]  # height, width and channels of an image
BOLD = re.compile(r"\x1b\[\d*m")  # how Keras writes it for terminals
FIXED = 2  # arguments of a builder that the data decides


def names() -> list[str]:
    """Return the names of all architectures, without loading any."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def build(
    name: str, arguments: Mapping[str, Any] | None, shape: Shape, classes: int
) -> "keras.Model":
    """Return a new model of the architecture `name`.

    Args:
        name: One of `names()`.
        arguments: Further arguments of its builder by name; None for none.
        shape: Height, width and channels of an image.
        classes: Number of classes.

    Raises:
        InputError: The builder rejects the arguments, or the result does not return probabilities
            of the classes.
    """
    builder = getattr(_module(name), name)
    own = [*inspect.signature(builder).parameters][FIXED:]
    try:
        model: keras.Model = validate_call(builder)(shape, classes, **(arguments or {}))
    except ValidationError as error:
        known = ", ".join(own) or "no arguments"
        complaints = explain(error, "train.arguments", arguments)
        raise InputError(f"{complaints} ({name} takes {known})") from error
    except (ValueError, TypeError) as error:  # how Keras rejects a layer
        message = BOLD.sub("", " ".join(str(error).split()))
        raise InputError(f"train.arguments: {message}") from error
    _check_outputs(model, shape, classes)
    return model


def _check_outputs(model: "keras.Model", shape: Shape, classes: int) -> None:
    expected = (None, *shape), (None, classes)
    if (model.input_shape, model.output_shape) != expected:
        raise InputError(
            f"train.arguments: the model maps {model.input_shape} to {model.output_shape}, "
            f"expected {expected[0]} to {expected[1]}, a probability for each class"
        )
    images = np.random.default_rng(0).random((8, *expected[0][1:]), np.float32)
    outputs = np.asarray(model(images, training=False))
    if outputs.min() < 0 or not np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        raise InputError(
            "train.arguments: the model returns values that are not probabilities, "
            "expected softmax as the activation of the last layer"
        )


def adapt(name: str, model: "keras.Model", images: Float32) -> None:
    """Adapt a new model to the training images, in place, if its architecture asks for it.

    As with the method of that name in Keras's layers, this happens once, before training.

    Args:
        name: Architecture of the model.
        model: Model to change.
        images: Training images, (n, height, width, channels) float32.
    """
    module = _module(name)
    if hasattr(module, "adapt"):
        module.adapt(model, images)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
