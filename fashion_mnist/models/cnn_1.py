"""Model-1 of "Fashion MNIST using CNN"."""

import keras
from keras import layers


def cnn_1() -> keras.Model:
    """Return the network: 201,578 parameters."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="cnn_1",
    )
