"""What a change must keep to be accepted: section `review` of params.yaml, which no stage reads."""

from typing import Any

from pydantic import Field, ValidationError

from fashion_mnist.errors import InputError
from fashion_mnist.params import Section, explain


class Floors(Section):
    """Lowest values that are accepted."""

    accuracy: float = Field(ge=0, le=1)
    class_recall: float = Field(ge=0, le=1)


class Growth(Section):
    """Highest ratios of the new cost to the old one that are accepted."""

    parameters: float = Field(gt=0)
    flops: float = Field(gt=0)


class Rules(Section):
    """The rules.

    alpha:
        Significance level of each test; intervals have the level 1 - alpha.
    margin:
        Accuracy that may be lost: the interval of its change must not reach below minus that
        (a test of non-inferiority).
    inbox:
        Where `retrain` looks for batches: a folder, or a URL that fsspec knows.
    agreement:
        Share of a batch's labels that the model must agree with, before anything is trained on
        it. Shuffled labels have about a tenth.
    """

    alpha: float = Field(gt=0, lt=0.5)
    margin: float = Field(ge=0, lt=1)
    floors: Floors
    growth: Growth
    inbox: str = "data/inbox"
    agreement: float = Field(default=0.5, ge=0, le=1)


def read(parameters: dict[str, Any], name: str) -> Rules:
    """Return section `review` of a parameter file; `name` says whose it is.

    Raises:
        InputError: It is missing, or keys in it are wrong; every such key is named.
    """
    section = parameters.get("review")
    if section is None:
        raise InputError(f"{name}: params.yaml has no section 'review'")
    try:
        return Rules.model_validate(section)
    except ValidationError as error:
        raise InputError(f"{name}: params.yaml: {explain(error, 'review', section)}") from error
