"""The simple network of "Fashion-MNIST with Keras"."""

import keras
from keras import layers


def dense() -> keras.Model:
    """Return the network: 101,770 parameters."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="dense",
    )
