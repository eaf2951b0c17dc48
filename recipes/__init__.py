"""Recipes for several budgets, and data sets: what they set in params.yaml.

All recipes set the same keys, and so do all data sets, so that one can follow another.
"""

from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.representer import RoundTripRepresenter

from fashion_mnist.errors import InputError
from fashion_mnist.files import new_file
from fashion_mnist.params import parse

FOLDER = Path(__file__).parent
DATA_SETS = FOLDER / "datasets"
# Mappings that are replaced as a whole.
WHOLE = {"arguments", "files"}


class _Representer(RoundTripRepresenter):
    """Writes null where ruamel writes nothing."""


_Representer.add_representer(
    type(None),
    lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null"),
)


def names() -> list[str]:
    """Return the names of the recipes, one YAML file each beside this module."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def data_sets() -> list[str]:
    """Return the names of the data sets, one YAML file each."""
    return sorted(path.stem for path in DATA_SETS.glob("*.yaml"))


def read(name: str) -> dict[str, Any]:
    """Return what a recipe sets: sections of params.yaml with some of their keys."""
    return _read(FOLDER / f"{name}.yaml")


def read_data_set(name: str) -> dict[str, Any]:
    """Return what a data set sets; without `download.files` if they are not known here."""
    return _read(DATA_SETS / f"{name}.yaml")


def _read(path: Path) -> dict[str, Any]:
    changes: dict[str, Any] = YAML().load(path)
    return changes


def parameters(name: str, path: Path) -> dict[str, Any]:
    """Return the content of params.yaml with a recipe applied."""
    found: dict[str, Any] = parse(path.read_bytes(), str(path))
    apply(read(name), found)
    return found


def apply(changes: Mapping[str, Any], parameters: MutableMapping[str, Any]) -> None:
    """Set values in nested parameters, in place; keys absent from `changes` keep their values.

    What belongs to a choice is replaced as a whole: a mapping with a `name`, whose other keys are
    that optimizer's or schedule's own, the `arguments` of a model's builder, and the `files` of a
    data set.
    """
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(old := parameters.get(key), MutableMapping):
            if "name" in value or key in WHOLE:
                for other in set(old) - set(value):
                    del old[other]
            apply(value, old)
        else:
            parameters[key] = value
            _move_comment(parameters, key)


def _move_comment(parameters: MutableMapping[str, Any], key: str) -> None:
    """Let the comment behind a value follow at once; ruamel would leave it in its old column."""
    comments = parameters.ca.items.get(key) if isinstance(parameters, CommentedMap) else None
    if comments and comments[2]:
        comments[2].column = 0


def writer() -> YAML:
    """Return a YAML writer that keeps comments, order and the layout of params.yaml."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096  # breaks no line
    yaml.Representer = _Representer
    return yaml


def rewrite(path: Path, changes: Mapping[str, Any]) -> None:
    """Set values in a YAML file; its other values, its comments and its order stay.

    Raises:
        InputError: See `loaded`.
    """
    yaml = writer()
    parameters = loaded(path, changes, yaml)
    apply(changes, parameters)
    with new_file(path) as temporary:
        yaml.dump(parameters, temporary)


def loaded(path: Path, sections: Iterable[str], yaml: YAML | None = None) -> dict[str, Any]:
    """Return the content of a YAML file that has some sections.

    Args:
        path: The file.
        sections: Names of the sections.
        yaml: A parser to use instead of the safe one.

    Raises:
        InputError: The file is not valid YAML, its top level is not a mapping of sections, or one
            of these sections is missing.
    """
    parameters = parse(path.read_bytes(), str(path), yaml)
    if not isinstance(parameters, dict):
        raise InputError(f"{path}: no sections")
    for section in sections:
        if not isinstance(parameters.get(section), dict):
            raise InputError(f"{path}: no section '{section}'")
    return parameters
