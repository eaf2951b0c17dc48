"""Section `retraining` of params.yaml, which no stage reads."""

from typing import Any

from pydantic import Field, ValidationError

from fashion_mnist.errors import InputError
from fashion_mnist.params import Section, explain


class Settings(Section):
    """Where deliveries wait, and which of them are worth a training.

    inbox:
        A folder, or a URL that fsspec knows.
    agreement:
        Smallest share of a delivery's labels that the current model must confirm; shuffled labels
        of k equally large classes reach about 1 in k.
    """

    inbox: str = Field(min_length=1)
    agreement: float = Field(ge=0, le=1)


def read(parameters: dict[str, Any], name: str) -> Settings:
    """Return the settings in a parameter file.

    Args:
        parameters: Content of params.yaml.
        name: The revision that it belongs to, for error messages.

    Raises:
        InputError: The section is missing or its keys are wrong; every such key is named.
    """
    where = f"{name}: params.yaml"
    section = parameters.get("retraining")
    if section is None:
        raise InputError(f"{where}: no section 'retraining'")
    try:
        return Settings.model_validate(section)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error, 'retraining', section)}") from error
