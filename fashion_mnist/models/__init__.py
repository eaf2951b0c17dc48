"""Architectures: one file each, with a builder of the same name that returns a `keras.Model`.

Every model takes images (n, 28, 28, 1) float32 and returns class probabilities (n, 10).
"""

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError, validate_call

from fashion_mnist.data.prepared import Float32
from fashion_mnist.dataset import NAMES
from fashion_mnist.errors import InputError
from fashion_mnist.params import explain

# Listing the models must not load Keras.
if TYPE_CHECKING:
    import keras


def names() -> list[str]:
    """Return the names of all architectures, without loading any."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def build(name: str, arguments: Mapping[str, Any]) -> "keras.Model":
    """Return a new model of the architecture `name`.

    Args:
        name: One of `names()`.
        arguments: Keyword arguments of its builder.

    Raises:
        InputError: The builder rejects the arguments, or the result is not a classifier of the
            classes.
    """
    builder = getattr(_module(name), name)
    try:
        model: keras.Model = validate_call(builder)(**arguments)
    except ValidationError as error:
        raise InputError(explain(error, "train.arguments", arguments)) from error
    except (ValueError, TypeError) as error:  # how Keras rejects a layer
        raise InputError(f"train.arguments: {' '.join(str(error).split())}") from error
    if model.output_shape != (None, len(NAMES)):
        raise InputError(
            f"train.arguments: the model returns {model.output_shape}, "
            f"expected (None, {len(NAMES)}), a probability for each class"
        )
    return model


def adapt(name: str, model: "keras.Model", images: Float32) -> None:
    """Adapt a new model to the training images, in place, if its architecture asks for it.

    As with the method of that name in Keras's layers, this happens once, before training.

    Args:
        name: Architecture of the model.
        model: Model to change.
        images: Training images, (n, 28, 28, 1) float32.
    """
    module = _module(name)
    if hasattr(module, "adapt"):
        module.adapt(model, images)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
