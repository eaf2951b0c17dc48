"""A network that learns much from few operations, modelled on CIFAR-10's speed records.

Sources: https://github.com/davidcpage/cifar10-fast (Page), https://arxiv.org/abs/2404.00498
(Jordan 2024, "airbench").
"""

import math
from collections.abc import Sequence
from typing import Annotated

import keras
import numpy as np
from keras import layers
from pydantic import Field, PositiveFloat, PositiveInt

from fashion_mnist.data.prepared import Float32
from fashion_mnist.models import Shape

PATCH = 2  # pixels, height and width of the first layer's filters
MOMENTUM = 0.9  # of BatchNorm's averages; a short training needs short averages
SAMPLE = 5000  # images whose patches the whitening filters come from


def fast_cnn(
    shape: Shape,
    classes: int,
    widths: Annotated[Sequence[PositiveInt], Field(min_length=1)] | None = None,
    whitening: bool = True,
    head: PositiveFloat = 0.1,
) -> keras.Model:
    """Return the network: for Fashion-MNIST, 164,440 parameters, 163,736 of them trainable.

    Args:
        shape: Height, width and channels of an image.
        classes: Number of classes.
        widths: Number of channels in each block. A block halves height and width. By default there
            are as many blocks as leave 3 pixels of the smaller side: see `default_widths`.
        whitening: Let the first layer whiten patches (see `adapt`); otherwise it learns its
            filters.
        head: Factor of the logits. A small factor keeps the softmax soft in the first steps.
    """
    image = keras.Input(shape)
    filters = 2 * PATCH**2 * shape[2]
    first = layers.Conv2D(filters, PATCH, name="whitening" if whitening else "first")
    x = layers.ReLU()(first(image))
    for width in widths or default_widths(min(shape[:2])):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.BatchNormalization(momentum=MOMENTUM, scale=False)(x)
        x = layers.ReLU()(x)
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=MOMENTUM, scale=False)(x)
        x = layers.ReLU()(x)
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dense(classes, use_bias=False)(x)
    x = layers.Softmax()(layers.Rescaling(head)(x))
    # Only the kernel is fixed; the bias learns.
    first.kernel.trainable = not whitening
    return keras.Model(image, x, name="fast_cnn")


def default_widths(side: int) -> tuple[int, ...]:
    """Return the widths of the blocks for images whose smaller side has so many pixels.

    Three blocks of 24, 48 and 96 channels for 28 pixels; larger images get further blocks, each
    twice as wide, and smaller ones the last of the three.
    """
    blocks = int(math.log2(side - PATCH + 1)) - 1
    return tuple(24 * 2**block for block in range(max(0, 3 - blocks), max(3, blocks)))


def adapt(model: keras.Model, images: Float32) -> None:
    """Let the first layer whiten patches of the images, in place.

    Its filters are the eigenvectors of the patches' covariance, each divided by the square root of
    its eigenvalue, and their negatives. The next layer then sees about the same variance in all
    directions.

    Args:
        model: Model that `fast_cnn` built; without whitening it stays as it is.
        images: Training images, (n, height, width, 1) float32.
    """
    layer = model.layers[1]
    if layer.name != "whitening":
        return
    channels = images.shape[3]
    sample = np.asarray(images[:SAMPLE], np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(sample, (PATCH, PATCH), axis=(1, 2))
    # The axis of channels is the last one of a kernel too.
    patches = np.moveaxis(windows, 3, 5).reshape(-1, PATCH**2 * channels)
    variances, directions = np.linalg.eigh(patches.T @ patches / len(patches))
    directions *= np.where(directions[0] < 0, -1, 1)  # the sign of an eigenvector is arbitrary
    # The offset keeps directions of almost no variance, which are noise, small.
    filters = directions / np.sqrt(variances + 1e-2 * variances.mean())
    kernel = np.concatenate([filters, -filters], axis=1).reshape(PATCH, PATCH, channels, -1)
    # The last digits of linear algebra differ from processor to processor.
    layer.kernel.assign(kernel.round(6))
