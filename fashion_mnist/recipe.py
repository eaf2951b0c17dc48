"""How a model is trained: the choices that params.yaml offers, in Keras's own terms."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fashion_mnist.params import Section

# Keras takes seconds to load and a mistake in params.yaml shall be told before that.
if TYPE_CHECKING:
    import keras

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Adam(Section):
    """https://keras.io/api/optimizers/adam/"""

    name: Literal["adam"]
    learning_rate: Positive = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Positive = 1e-7


class AdamW(Adam):
    """https://keras.io/api/optimizers/adamw/"""

    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: Annotated[float, Field(ge=0)] = 0.004


class RMSprop(Section):
    """https://keras.io/api/optimizers/rmsprop/"""

    name: Literal["rmsprop"]
    learning_rate: Positive = 0.001
    rho: Fraction = 0.9
    momentum: Fraction = 0.0
    epsilon: Positive = 1e-7


class SGD(Section):
    """https://keras.io/api/optimizers/sgd/"""

    name: Literal["sgd"]
    learning_rate: Positive = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False


Optimizer = Annotated[Adam | AdamW | RMSprop | SGD, Field(discriminator="name")]


class Constant(Section):
    """The learning rate stays what it is."""

    name: Literal["constant"]


class InverseTimeDecay(Section):
    """The learning rate divided by 1 + decay_rate * step, Keras 2's `decay` of an optimizer.

    https://keras.io/api/optimizers/learning_rate_schedules/inverse_time_decay/
    """

    name: Literal["inverse_time_decay"]
    decay_rate: Positive


Schedule = Annotated[Constant | InverseTimeDecay, Field(discriminator="name")]

# Those with `sparse` in their name take classes as integers, the others one-hot rows.
Loss = Literal[
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "mean_squared_error",
    "sparse_categorical_crossentropy",
]


def build(
    optimizer: Adam | AdamW | RMSprop | SGD, schedule: Constant | InverseTimeDecay
) -> "keras.optimizers.Optimizer":
    """Return the Keras optimizer that the parameters describe."""
    import keras

    classes = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    arguments = optimizer.model_dump(exclude={"name"})
    if schedule.name == "inverse_time_decay":
        arguments["learning_rate"] = keras.optimizers.schedules.InverseTimeDecay(
            optimizer.learning_rate, decay_steps=1, decay_rate=schedule.decay_rate
        )
    return classes[optimizer.name](**arguments)
