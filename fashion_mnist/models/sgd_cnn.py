"""The network of the post "Fashion-MNIST database of fashion articles"."""

import keras
from keras import layers

from fashion_mnist.models import Shape


def sgd_cnn(shape: Shape, classes: int) -> keras.Model:
    """Return the network: 899,914 parameters for Fashion-MNIST."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(128, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.3),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.25),
            layers.Dense(classes, activation="softmax"),
        ],
        name="sgd_cnn",
    )
