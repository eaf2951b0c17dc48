"""Rules that a change must keep to be accepted: section `review` of params.yaml.

No stage reads that section.
"""

from typing import Any

from pydantic import Field, PositiveFloat, ValidationError

from fashion_mnist.errors import InputError
from fashion_mnist.params import Section, explain


class Floors(Section):
    """Lowest accepted values."""

    accuracy: float = Field(ge=0, le=1)
    class_recall: float = Field(ge=0, le=1)


class Growth(Section):
    """Highest accepted ratios of the new cost to the old one."""

    parameters: PositiveFloat
    flops: PositiveFloat


class Rules(Section):
    """The rules.

    alpha:
        Significance level of each test; intervals have the level 1 - alpha.
    margin:
        Accuracy that may be lost: the lower bound of the change in accuracy must be at least
        -margin (a test of non-inferiority).
    """

    alpha: float = Field(gt=0, lt=0.5)
    margin: float = Field(ge=0, lt=1)
    floors: Floors
    growth: Growth


def read(parameters: dict[str, Any], name: str) -> Rules:
    """Return section `review` of a parameter file.

    Args:
        parameters: Content of the file.
        name: Name of its revision, for messages.

    Raises:
        InputError: The section is missing, or keys in it are invalid; every such key is named.
    """
    section = parameters.get("review")
    if section is None:
        raise InputError(f"{name}: params.yaml has no section 'review'")
    try:
        return Rules.model_validate(section)
    except ValidationError as error:
        raise InputError(f"{name}: params.yaml: {explain(error, 'review', section)}") from error
