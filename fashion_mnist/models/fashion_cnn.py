"""FashionMNISTCNN of "Explore Fashion MNIST dataset and CNN model": any number of blocks."""

from collections.abc import Sequence
from typing import Annotated

import keras
from keras import layers
from pydantic import Field, NonNegativeInt, PositiveInt

from fashion_mnist.models import Shape
from fashion_mnist.params import Section


class Convolution(Section):
    """Zero padding, convolution, BatchNorm, activation, max pooling."""

    channels: PositiveInt
    pad: NonNegativeInt = 1
    filter: PositiveInt = 3
    stride: PositiveInt = 1
    pool: PositiveInt = 1
    activation: str = "relu"


class Dense(Section):
    """BatchNorm, dropout, dense layer with activation; by default one unit for each class."""

    units: PositiveInt | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    activation: str = "relu"


def fashion_cnn(
    shape: Shape,
    classes: int,
    convolutions: Sequence[Convolution] = (
        Convolution(channels=32),
        Convolution(channels=64, pool=2),
        Convolution(channels=128, pool=2),
    ),
    dense: Sequence[Dense] = (
        Dense(units=512),
        Dense(units=256),
        Dense(activation="softmax"),
    ),
) -> keras.Model:
    """Return the network: for Fashion-MNIST, 3,467,402 parameters, 3,452,874 of them trainable."""
    model = keras.Sequential([keras.Input(shape)], name="fashion_cnn")
    for convolution in convolutions:
        model.add(layers.ZeroPadding2D(convolution.pad))
        model.add(layers.Conv2D(convolution.channels, convolution.filter, convolution.stride))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation(convolution.activation))
        model.add(layers.MaxPooling2D(convolution.pool))
    model.add(layers.Flatten())
    for block in dense:
        model.add(layers.BatchNormalization())
        model.add(layers.Dropout(block.dropout))
        model.add(layers.Dense(block.units or classes, block.activation))
    return model
