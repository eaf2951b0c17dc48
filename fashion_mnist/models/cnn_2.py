"""Model-2 of "Fashion MNIST using CNN"."""

import keras
from keras import layers

from fashion_mnist.models import Shape


def cnn_2(shape: Shape, classes: int) -> keras.Model:
    """Return the network: 407,802 parameters for Fashion-MNIST, 407,642 of them trainable."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(16, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(classes, activation="softmax"),
        ],
        name="cnn_2",
    )
