"""What the command lines of all benchmarks share."""

import argparse


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for `python -m benchmarks.<name>` that shows `description` as written."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def count(text: str) -> int:
    """Return the number in an argument.

    Raises:
        argparse.ArgumentTypeError: It is not a whole number from 1.
    """
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number from 1")
    return int(text)
