"""The graph of "Fashion MNIST using ConvNets", whose weights start unscaled."""

import keras
from keras import layers

from fashion_mnist.models import Shape


def convnet(shape: Shape, classes: int) -> keras.Model:
    """Return the network: 3,274,634 parameters for Fashion-MNIST.

    All are drawn from a standard normal distribution. The source keeps three quarters of the units
    in dropout and applies softmax in the loss.
    """

    def drawn() -> dict[str, keras.initializers.Initializer]:
        normal = keras.initializers.RandomNormal
        return {"kernel_initializer": normal(stddev=1.0), "bias_initializer": normal(stddev=1.0)}

    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(32, 5, padding="same", activation="relu", **drawn()),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 5, padding="same", activation="relu", **drawn()),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(1024, activation="relu", **drawn()),
            layers.Dropout(0.25),
            layers.Dense(classes, activation="softmax", **drawn()),
        ],
        name="convnet",
    )
