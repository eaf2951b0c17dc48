"""Model-1 of "Fashion MNIST using CNN"."""

import keras
from keras import layers

from fashion_mnist.models import Shape


def cnn_1(shape: Shape, classes: int) -> keras.Model:
    """Return the network: 201,578 parameters for Fashion-MNIST."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ],
        name="cnn_1",
    )
