"""Markdown tables, the form in which the benchmarks print what they measured."""

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1) -> str:
    """Return a table whose first `names` columns are text and whose others are numbers."""
    alignment = ["---"] * names + ["--:"] * (len(columns) - names)
    lines = [f"| {' | '.join(columns)} |", f"|{'|'.join(alignment)}|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
