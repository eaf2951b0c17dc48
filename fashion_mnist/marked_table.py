"""Writes a generated table into a Markdown document, between two markers."""

from pathlib import Path

from fashion_mnist.errors import InputError
from fashion_mnist.files import new_file


def write(document: Path, name: str, command: str, table: str) -> None:
    """Replace what a document has between the markers of a table.

    Args:
        document: Markdown file to change.
        name: Name of the table, in both markers.
        command: Command that writes it, in the first marker.
        table: The new table, ending with a newline.

    Raises:
        InputError: The document does not have each marker exactly once, in order.
    """
    begin, end = f"<!-- {name}: written by {command} -->", f"<!-- {name}: end -->"
    text = document.read_text(encoding="utf-8")
    before, opened, rest = text.partition(f"{begin}\n")
    _, closed, after = rest.partition(end)
    if not (opened and closed) or text.count(begin) + text.count(end) != 2:
        raise InputError(f"{document}: expected once each, in this order: {begin} and {end}")
    with new_file(document) as temporary:
        temporary.write_text(f"{before}{opened}{table}{closed}{after}", encoding="utf-8")
