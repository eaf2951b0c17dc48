"""LeNet as "Fashion-MNIST with Keras" describes it, after LeCun et al. 1998."""

import keras
from keras import layers

from fashion_mnist.models import Shape


def lenet(shape: Shape, classes: int) -> keras.Model:
    """Return the network: 1,256,080 parameters for Fashion-MNIST."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(20, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(50, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(500, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ],
        name="lenet",
    )
