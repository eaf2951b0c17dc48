"""Lists outputs of a pipeline on a terminal: the exceptions, then how many are in each state."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Row(NamedTuple):
    """An output, and why it is in its state."""

    state: str
    path: str
    stage: str
    detail: str


def show(
    rows: Sequence[Row],
    colours: Mapping[str, str],
    exceptions: Mapping[str, str],
    console: Console,
    everything: bool = False,
) -> None:
    """Print outputs and counts.

    Args:
        rows: All outputs.
        colours: Colour of each state, in the order of the counts.
        exceptions: States whose outputs are listed, with their meaning.
        console: Where to print.
        everything: List the outputs in all states.
    """
    shown = [row for row in rows if everything or row.state in exceptions]
    if shown:
        console.print(_table(shown, colours), highlight=False)
    counts = Counter(row.state for row in rows)
    listed = ", ".join(f"{counts[state]} {state}" for state in colours if counts[state])
    console.print(f"{len(rows)} outputs: {listed or 'none'}", highlight=False)
    for state, meaning in exceptions.items():
        if counts[state]:
            console.print(f"{state}: {meaning}", highlight=False)


def _table(rows: Sequence[Row], colours: Mapping[str, str]) -> Table:
    table = Table.grid("state", "output", "stage", "detail", padding=(0, 2, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    previous = None
    for row in rows:
        # Outputs of a stage often share their reason: once is enough.
        detail = "" if (row.stage, row.detail) == previous else row.detail
        previous = row.stage, row.detail
        table.add_row(Text(row.state, colours[row.state]), row.path, row.stage, Text(detail))
    return table
