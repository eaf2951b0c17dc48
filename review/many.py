"""How much messages, tables and charts show of data with many classes."""

from collections.abc import Sequence

ALL = 20  # Up to so many classes, everything shows each of them. Otherwise:
CHART = 20  # classes in a chart
CHANGED = 20  # classes in a table of what changed
TABLE = 50  # classes in other tables
NAMES = 10  # names in a sentence


def listed(names: Sequence[str], most: int = NAMES) -> str:
    """Return names as a list in a sentence: all if there are at most `most`, or the first ten."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:NAMES])}, ... ({len(names):,} in all)"
