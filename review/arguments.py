"""Command-line arguments that several verbs take."""

import argparse
from collections.abc import Callable
from pathlib import Path

from repository import revisions
from review import evidence
from review.evidence import Evidence


def add_revisions(parser: argparse.ArgumentParser) -> None:
    """Add `base` and `head`, the two revisions to compare."""
    parser.add_argument(
        "base",
        nargs="?",
        help="revision to compare with (default: the commit where this branch left main; on main, "
        "the previous commit)",
    )
    parser.add_argument("head", nargs="?", help="revision to judge (default: the working tree)")


def sides(args: argparse.Namespace) -> tuple[Evidence, Evidence]:
    """Return the evidence of `base` and `head` in the repository of the current folder.

    Raises:
        InputError: A revision is unknown, or its files are missing or inconsistent.
    """
    root = revisions.root(Path())
    head = revisions.resolve(root, args.head) if args.head else revisions.head(root)
    base = revisions.resolve(root, args.base) if args.base else revisions.base(head)
    return evidence.gather(base), evidence.gather(head)


def at_least(least: int) -> Callable[[str], int]:
    """Return an argument type: an integer of at least `least`."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"got {text}, expected {least} or more")
        return number

    return parse
