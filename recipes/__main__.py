"""Puts a named recipe into params.yaml: `python -m recipes accurate`, then `dvc repro`."""

import argparse
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import recipes
from fashion_mnist.artifacts import new_file
from fashion_mnist.errors import InputError, reported
from fashion_mnist.params import parse


def rewrite(path: Path, changes: dict[str, Any]) -> None:
    """Change values in a YAML file; its other values, comments and order stay.

    Raises:
        InputError: It is no YAML file with sections.
    """
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096  # breaks no line
    yaml.representer.add_representer(
        type(None),
        lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null"),
    )
    parameters = parse(path.read_bytes(), str(path), yaml)
    if not isinstance(parameters, dict):
        raise InputError(f"{path}: no sections")
    recipes.apply(changes, parameters)
    with new_file(path) as temporary:
        yaml.dump(parameters, temporary)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recipes", description=__doc__)
    parser.add_argument("name", choices=recipes.names())
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    args = parser.parse_args()
    with reported("recipes"):
        rewrite(args.params, recipes.read(args.name))
    print(f"{args.params} has the recipe '{args.name}' now: dvc repro")


if __name__ == "__main__":
    main()
