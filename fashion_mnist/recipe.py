"""How a model is trained: the choices that params.yaml offers, in Keras's own terms."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

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


class Muon(Section):
    """https://keras.io/api/optimizers/muon/, for the kernels of convolutions (see muon.py).

    All other weights get Adam with `learning_rate * adam_lr_ratio`.
    """

    name: Literal["muon"]
    learning_rate: Positive = 0.001
    momentum: Fraction = 0.95
    ns_steps: Annotated[int, Field(gt=0)] = 5
    weight_decay: Annotated[float, Field(ge=0)] = 0.004
    adam_lr_ratio: Positive = 1.0
    adam_beta_1: Fraction = 0.9
    adam_beta_2: Fraction = 0.999
    adam_weight_decay: Annotated[float, Field(ge=0)] = 0.004
    rms_rate: Positive | None = 0.2


Optimizer = Annotated[Adam | AdamW | Muon | RMSprop | SGD, Field(discriminator="name")]


class Constant(Section):
    """The learning rate stays what it is."""

    name: Literal["constant"]


class InverseTimeDecay(Section):
    """The learning rate divided by 1 + decay_rate * step, Keras 2's `decay` of an optimizer.

    https://keras.io/api/optimizers/learning_rate_schedules/inverse_time_decay/
    """

    name: Literal["inverse_time_decay"]
    decay_rate: Positive


class CosineDecay(Section):
    """The learning rate rises in a line from 0 and falls along a cosine to 0 at the last step.

    https://keras.io/api/optimizers/learning_rate_schedules/cosine_decay/

    warmup:
        Share of the steps in which it rises.
    """

    name: Literal["cosine_decay"]
    warmup: Fraction = 0.0


Schedule = Annotated[Constant | CosineDecay | InverseTimeDecay, Field(discriminator="name")]

# Those with `sparse` in their name take classes as integers, the others one-hot rows.
Loss = Literal[
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "mean_squared_error",
    "sparse_categorical_crossentropy",
]


def smoothed(loss: Loss, label_smoothing: float) -> Loss | Callable[..., Any]:
    """Return what Keras is to minimize: the loss, with labels smoothed.

    A smoothed label gives a share of its weight to all classes alike (Szegedy et al. 2016,
    https://arxiv.org/abs/1512.00567).
    """
    if not label_smoothing:
        return loss
    import keras

    return partial(keras.losses.get(loss), label_smoothing=label_smoothing)


def build(
    optimizer: Adam | AdamW | Muon | RMSprop | SGD,
    schedule: Constant | CosineDecay | InverseTimeDecay,
    steps: int,
) -> "keras.optimizers.Optimizer":
    """Return the Keras optimizer that the parameters describe, for a training of so many steps."""
    import keras

    from fashion_mnist.muon import Muon as MuonForConvolutions

    classes = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "muon": MuonForConvolutions,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    schedules = keras.optimizers.schedules
    arguments = optimizer.model_dump(exclude={"name"})
    if schedule.name == "inverse_time_decay":
        arguments["learning_rate"] = schedules.InverseTimeDecay(
            optimizer.learning_rate, decay_steps=1, decay_rate=schedule.decay_rate
        )
    elif schedule.name == "cosine_decay":
        rising = round(schedule.warmup * steps)
        arguments["learning_rate"] = schedules.CosineDecay(
            0.0 if rising else optimizer.learning_rate,
            decay_steps=steps - rising,
            warmup_target=optimizer.learning_rate if rising else None,
            warmup_steps=rising,
        )
    return classes[optimizer.name](**arguments)
