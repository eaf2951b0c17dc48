"""Writes the figures of the published systems into the table of docs/published.md."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashion_mnist.errors import InputError, reported
from fashion_mnist.files import new_file

BEGIN = "<!-- published: written by python -m published.table -->"
END = "<!-- published: end -->"

HEADER = """\
| system | reported | measured (95% interval) | difference | parameters | training FLOPs |
|---|--:|--:|--:|--:|--:|
"""


def render(systems: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the systems of published.json as a Markdown table, differences in points."""
    return HEADER + "".join(_row(name, system) for name, system in systems.items())


def _row(name: str, system: Mapping[str, Any]) -> str:
    claimed = f"{system['reported']:.2%}" if "reported" in system else ""
    if system["status"] == "not run":
        return f"| `{name}` | {claimed} | not run | | | |\n"
    interval = system["interval"]
    measured = f"{system['measured']:.2%} ({interval['low']:.2%} to {interval['high']:.2%})"
    difference = f"{100 * system['difference']:+.2f}" if "difference" in system else ""
    flops = f"{system['training_flops']:.2e}"
    cells = [f"`{name}`", claimed, measured, difference, f"{system['parameters']:,}", flops]
    return f"| {' | '.join(cells)} |\n"


def replace(text: str, table: str) -> str:
    """Return `text` with `table` between the two markers.

    Raises:
        InputError: A marker is missing, repeated or out of order.
    """
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not (begin and end) or text.count(BEGIN) + text.count(END) != 2:
        raise InputError(f"expected once each, in this order: {BEGIN} and {END}")
    return f"{before}{begin}{table}{end}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m published.table", description=__doc__)
    parser.add_argument(
        "--metrics",
        type=Path,
        default=Path("published/metrics/published.json"),
        help="JSON to show",
    )
    parser.add_argument(
        "--document",
        type=Path,
        default=Path("docs/published.md"),
        help="Markdown file that has the table",
    )
    args = parser.parse_args()
    with reported("table"):
        try:
            systems = json.loads(args.metrics.read_text(encoding="utf-8"))["systems"]
        except (ValueError, KeyError) as error:
            raise InputError(f"{args.metrics}: not from published.aggregate: {error}") from error
        try:
            text = replace(args.document.read_text(encoding="utf-8"), render(systems))
        except InputError as error:
            raise InputError(f"{args.document}: {error}") from error
        with new_file(args.document) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
