"""The simple network of "Fashion-MNIST with Keras"."""

import keras
from keras import layers

from fashion_mnist.models import Shape


def dense(shape: Shape, classes: int) -> keras.Model:
    """Return the network: 101,770 parameters for Fashion-MNIST."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ],
        name="dense",
    )
