"""How the learning rate changes from step to step."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveFloat

from fashion_mnist.params import Section

# Keras imports slowly; report bad parameters first.
if TYPE_CHECKING:
    import keras


class Constant(Section):
    """The learning rate does not change."""

    name: Literal["constant"]


class InverseTimeDecay(Section):
    """The learning rate is divided by 1 + decay_rate * step, as by `decay` in Keras 2.

    https://keras.io/api/optimizers/learning_rate_schedules/inverse_time_decay/
    """

    name: Literal["inverse_time_decay"]
    decay_rate: PositiveFloat


class CosineDecay(Section):
    """The learning rate rises linearly from 0 and falls along a cosine to 0 at the last step.

    https://keras.io/api/optimizers/learning_rate_schedules/cosine_decay/

    warmup:
        Share of the steps during which it rises.
    """

    name: Literal["cosine_decay"]
    warmup: float = Field(default=0.0, ge=0, lt=1)


Schedule = Annotated[Constant | CosineDecay | InverseTimeDecay, Field(discriminator="name")]


def learning_rate(
    schedule: Schedule, peak: float, steps: int
) -> "float | keras.optimizers.schedules.LearningRateSchedule":
    """Return the learning rate in the form that a Keras optimizer takes.

    Args:
        schedule: How the learning rate changes.
        peak: Its highest value, `learning_rate` of the optimizer.
        steps: Number of updates in the training.
    """
    import keras

    schedules = keras.optimizers.schedules
    match schedule:
        case InverseTimeDecay():
            return schedules.InverseTimeDecay(peak, decay_steps=1, decay_rate=schedule.decay_rate)
        case CosineDecay():
            rising = round(schedule.warmup * steps)
            return schedules.CosineDecay(
                0.0 if rising else peak,
                decay_steps=steps - rising,
                warmup_target=peak if rising else None,
                warmup_steps=rising,
            )
    return peak
