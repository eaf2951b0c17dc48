"""Puts a recipe into params.yaml: `python -m recipes accurate`, then `dvc repro`."""

import argparse
from pathlib import Path

import recipes
from fashion_mnist.errors import reported


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recipes", description=__doc__)
    parser.add_argument("name", choices=recipes.names(), help="recipe to use")
    parser.add_argument(
        "--params",
        type=Path,
        default=Path("params.yaml"),
        help="file to change (default: %(default)s)",
    )
    args = parser.parse_args()
    with reported("recipes"):
        recipes.rewrite(args.params, recipes.read(args.name))
    print(f"{args.params} now has the recipe '{args.name}'; train it with: dvc repro")


if __name__ == "__main__":
    main()
