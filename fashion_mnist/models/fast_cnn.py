"""A network that learns much from few operations, after those of CIFAR-10's speed records.

Their sources: https://github.com/davidcpage/cifar10-fast (Page), https://arxiv.org/abs/2404.00498
(Jordan 2024, "airbench"); the mean beside the maximum is fastai's AdaptiveConcatPool2d
(https://docs.fast.ai/layers.html).
"""

from collections.abc import Sequence
from typing import Annotated

import keras
from keras import layers
from pydantic import Field

Count = Annotated[int, Field(gt=0)]

MOMENTUM = 0.9  # of the averages in BatchNorm: a short training needs short ones


def fast_cnn(
    widths: Annotated[Sequence[Count], Field(min_length=1)] = (24, 48, 96),
    mean: bool = True,
    head: Annotated[float, Field(gt=0)] = 0.1,
) -> keras.Model:
    """Return the network: 163,848 parameters by default, 163,176 of them trainable.

    Args:
        widths: Channels of each block. A block halves height and width.
        mean: Hand the mean of each channel to the last layer, not its maximum alone.
        head: Factor of the logits. A small one keeps the softmax soft.
    """
    x = image = keras.Input((28, 28, 1))
    for width in widths:
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.BatchNormalization(momentum=MOMENTUM, scale=False)(x)
        x = layers.ReLU()(x)
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=MOMENTUM, scale=False)(x)
        x = layers.ReLU()(x)
    pooled = layers.GlobalMaxPooling2D()(x)
    if mean:
        pooled = layers.Concatenate()([pooled, layers.GlobalAveragePooling2D()(x)])
    x = layers.Dense(10, use_bias=False)(pooled)
    x = layers.Softmax()(layers.Rescaling(head)(x))
    return keras.Model(image, x, name="fast_cnn")
