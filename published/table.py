"""Writes the figures of the published systems into the table of docs/published.md."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashion_mnist import marked_table
from fashion_mnist.errors import InputError, reported
from fashion_mnist.files import read_json

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
        systems = read_json(args.metrics).get("systems")
        if not systems:
            raise InputError(f"{args.metrics}: expected the output of published.aggregate")
        table = render(systems)
        marked_table.write(args.document, "published", "python -m published.table", table)


if __name__ == "__main__":
    main()
