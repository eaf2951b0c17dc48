"""The optimizers that params.yaml offers, with the arguments they have in Keras."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from fashion_mnist.params import Section
from fashion_mnist.training import schedules

# Keras imports slowly; report bad parameters first.
if TYPE_CHECKING:
    import keras

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Adam(Section):
    """https://keras.io/api/optimizers/adam/"""

    name: Literal["adam"]
    learning_rate: PositiveFloat = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-7


class AdamW(Adam):
    """https://keras.io/api/optimizers/adamw/"""

    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: NonNegativeFloat = 0.004


class RMSprop(Section):
    """https://keras.io/api/optimizers/rmsprop/"""

    name: Literal["rmsprop"]
    learning_rate: PositiveFloat = 0.001
    rho: Fraction = 0.9
    momentum: Fraction = 0.0
    epsilon: PositiveFloat = 1e-7


class SGD(Section):
    """https://keras.io/api/optimizers/sgd/"""

    name: Literal["sgd"]
    learning_rate: PositiveFloat = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False


class Muon(Section):
    """https://keras.io/api/optimizers/muon/, for the kernels of convolutions (see muon.py).

    All other weights get Adam with `learning_rate * adam_lr_ratio`.
    """

    name: Literal["muon"]
    learning_rate: PositiveFloat = 0.001
    momentum: Fraction = 0.95
    ns_steps: PositiveInt = 5
    weight_decay: NonNegativeFloat = 0.004
    adam_lr_ratio: PositiveFloat = 1.0
    adam_beta_1: Fraction = 0.9
    adam_beta_2: Fraction = 0.999
    adam_weight_decay: NonNegativeFloat = 0.004
    rms_rate: PositiveFloat | None = 0.2


Optimizer = Annotated[Adam | AdamW | Muon | RMSprop | SGD, Field(discriminator="name")]


def build(
    optimizer: Optimizer, schedule: schedules.Schedule, steps: int
) -> "keras.optimizers.Optimizer":
    """Return the Keras optimizer that the parameters describe.

    Args:
        optimizer: Name and arguments.
        schedule: Schedule of the learning rate.
        steps: Number of updates in the training.
    """
    import keras

    from fashion_mnist.training.muon import ConvolutionMuon

    classes = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "muon": ConvolutionMuon,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    learning_rate = schedules.learning_rate(schedule, optimizer.learning_rate, steps)
    arguments = optimizer.model_dump(exclude={"name"}) | {"learning_rate": learning_rate}
    return classes[optimizer.name](**arguments)
