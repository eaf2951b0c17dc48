"""Named recipes for other budgets than the default one: what they change in params.yaml."""

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the recipes that there are: a YAML file each, beside this module."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> dict[str, Any]:
    """Return what a recipe changes, sections of params.yaml with some of their keys."""
    changes: dict[str, Any] = YAML().load(FOLDER / f"{name}.yaml")
    return changes


def apply(changes: Mapping[str, Any], parameters: MutableMapping[str, Any]) -> None:
    """Put values into nested parameters, in place; what is not named stays as it is."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(parameters.get(key), MutableMapping):
            apply(value, parameters[key])
        else:
            parameters[key] = value
