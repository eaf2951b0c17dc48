"""`python -m review compare`: shows a comparison on a terminal, as Markdown or as JSON.

`comparison` decides. A pull request shows the Markdown; `report` adds charts and images.
"""

import argparse
import json
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fashion_mnist.errors import InputError
from review import arguments, many
from review.comparison import ACCURACY, ClassRecall, Comparison, Metric, Refusal, compare

Rows = list[list[str]]

CHANGED = ["what", "before", "after"]
METRICS = ["metric", "before", "after", "change", "interval"]
CLASSES = ["class", "before", "after", "change", "fixed", "broken", "p (Holm)"]
CLASS_RULE = "review.floors.class_recall"
OF_CLASSES = ".classes."  # in the names of metrics of a class


class Shown(NamedTuple):
    """A table. `left_out` says in a sentence which of its rows are not shown; empty if none is."""

    title: str
    header: list[str]
    rows: Rows
    left_out: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `compare`."""
    arguments.add_revisions(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="Markdown for a pull request")
    form.add_argument("--json", action="store_true", help="see docs/comparison.schema.json")


def run(args: argparse.Namespace) -> int:
    """Compare two revisions and print the result; return 0 if accepted, 1 if refused.

    Raises:
        InputError: They cannot be compared.
    """
    try:
        found = compare(*arguments.sides(args))
    except InputError as error:
        # The workflow copies standard output into the pull request.
        if args.md:
            print(f"### cannot compare\n\n{error}")
        elif args.json:
            print(json.dumps({"cannot_compare": str(error)}))
        raise
    if args.json:
        print(found.model_dump_json(indent=2))
    elif args.md:
        print(markdown(found), end="")
    else:
        terminal(found, Console())
    return 0 if found.accepted else 1


def headline(found: Comparison) -> str:
    """Return the verdict and whether the change is accepted."""
    return f"{found.verdict}, {'accepted' if found.accepted else 'refused'}"


def sentences(found: Comparison) -> list[str]:
    """Return the reasons of the verdict, one or two sentences each."""
    accuracy, test = found.metrics[ACCURACY], found.mcnemar
    said = [
        f"Accuracy {number(accuracy.before)} → {number(accuracy.after)}: "
        f"{points(accuracy.difference)} points, {1 - found.alpha:.0%} interval "
        f"{points(accuracy.low)} to {points(accuracy.high)}.",
        f"Of {found.images:,} test images, {test.fixed:,} are fixed and {test.broken:,} broken: "
        f"McNemar's exact p = {test.p:.3g}. The smallest difference this test could have detected "
        f"is {points(found.smallest_difference, sign=False)} points.",
    ]
    if found.recipes:
        seeds = found.recipes
        said.append(
            f"Recipes over seeds: mean accuracy {number(seeds.before)} → {number(seeds.after)}, "
            f"{points(seeds.difference)} points, interval {points(seeds.low)} to "
            f"{points(seeds.high)}, Welch's p = {seeds.p:.3g}: {seeds.verdict}."
        )
        if seeds.verdict != found.verdict:
            said.append(
                f"The verdict on the two models is '{found.verdict}', on their recipes "
                f"'{seeds.verdict}'."
            )
    said += _refusals(found.refusals)
    return said + [f"Note: {note}." for note in found.notes]


def _refusals(refusals: list[Refusal]) -> list[str]:
    """Return a sentence for each refusal; of classes, for the ten with the lowest recall."""
    of_classes = sorted(
        (item for item in refusals if item.rule == CLASS_RULE), key=lambda item: item.value
    )
    hidden = {item.subject for item in of_classes[many.NAMES :]}
    said = [
        f"Refused by {item.rule}: {item.subject} is {item.value:.4g}, "
        f"the limit is {item.limit:.4g}."
        for item in refusals
        if item.rule != CLASS_RULE or item.subject not in hidden
    ]
    if hidden:
        said.append(f"Refused by {CLASS_RULE}: {len(hidden):,} more classes.")
    return said


def changed(found: Comparison) -> Rows:
    """Return the parameters and stages that differ: name, before, after."""
    rows = [
        [name, _value(item.before), _value(item.after)] for name, item in found.parameters.items()
    ]
    for name, stage in found.stages.items():
        parts = [
            *(["code: " + ", ".join(stage.code)] if stage.code else []),
            *(["data: " + ", ".join(stage.data)] if stage.data else []),
            *(["libraries"] if stage.libraries else []),
        ]
        rows.append([f"stage {name}", "", "; ".join(parts)])
    return rows


def metrics(found: Comparison) -> Shown:
    """Return the metrics that differ or have an interval: name, before, after, change, interval.

    Recall by class is in `classes`; of many classes, other metrics are left out too.
    """
    differing = {
        name: item
        for name, item in found.metrics.items()
        if (item.before != item.after or item.low is not None) and not name.endswith(".recall")
    }
    hidden = 0
    if len(found.classes) > many.ALL:
        general = {name: item for name, item in differing.items() if OF_CLASSES not in name}
        hidden, differing = len(differing) - len(general), general
    rows = [
        [
            name.removeprefix("evaluate."),
            number(item.before),
            number(item.after),
            *_difference(item),
        ]
        for name, item in differing.items()
    ]
    left_out = f"Left out: {hidden:,} metrics of single classes." if hidden else ""
    return Shown("Metrics", METRICS, rows, left_out)


def classes(found: Comparison) -> Shown:
    """Return recall by class: name, before, after, change, fixed, broken, corrected p.

    Of many classes, it has those whose recall changed most; of equal ones, those with the lowest.
    """
    items = list(found.classes.values())
    if len(items) <= many.ALL:
        return Shown("Recall of each class", CLASSES, _class_rows(items))
    # Differences of equal counts differ in their last digits.
    items.sort(key=lambda item: (-round(abs(item.difference), 9), item.after))
    return _first("Recall of the classes that changed most", items, many.CHANGED)


def lowest_classes(found: Comparison) -> Shown:
    """Return `classes`; of many classes, those with the lowest recall."""
    items = sorted(found.classes.values(), key=lambda item: item.after)
    if len(items) <= many.ALL:
        return classes(found)
    return _first("Recall of the classes, lowest first", items, many.TABLE)


def _first(title: str, items: list[ClassRecall], most: int) -> Shown:
    hidden = len(items) - most
    left_out = f"Left out: {hidden:,} of {len(items):,} classes." if hidden > 0 else ""
    return Shown(title, CLASSES, _class_rows(items[:most]), left_out)


def _class_rows(items: list[ClassRecall]) -> Rows:
    return [
        [
            item.name,
            number(item.before),
            number(item.after),
            f"{item.difference:+.4f}",
            str(item.fixed),
            str(item.broken),
            f"{item.p:.3g}",
        ]
        for item in items
    ]


def tables(found: Comparison, of_classes: Shown | None = None) -> list[Shown]:
    """Return each table that is not empty.

    Args:
        found: The comparison.
        of_classes: Table of the classes; by default `classes`.
    """
    candidates = [
        Shown("What changed", CHANGED, changed(found)),
        metrics(found),
        of_classes or classes(found),
    ]
    return [table for table in candidates if table.rows]


def terminal(found: Comparison, console: Console) -> None:
    """Print the comparison in colour, as wide as the terminal."""
    colour = {"better": "green", "worse": "red"}.get(found.verdict, "yellow")
    # Text: rich would take a class called [red] or :bug: for its own markup.
    console.print(Text(f"{found.base.revision} → {found.head.revision}"))
    console.print(headline(found), style=f"bold {colour if found.accepted else 'red'}")
    for sentence in sentences(found):
        console.print(Text(sentence))
    for _, header, rows, left_out in tables(found):
        table = Table(*header, box=None, header_style="bold", padding=(0, 2, 0, 0))
        for column in table.columns:
            column.overflow = "fold"
        for column in table.columns[1:]:
            column.justify = "left" if header is CHANGED else "right"
        for row in rows:
            table.add_row(*map(Text, row))
        console.print()
        console.print(table)
        if left_out:
            console.print(Text(left_out))


def markdown(found: Comparison) -> str:
    """Return the comparison for a pull request."""
    parts = [f"### {headline(found)}", f"`{found.base.revision}` → `{found.head.revision}`"]
    parts.append("\n".join(f"- {_escape(sentence)}" for sentence in sentences(found)))
    for title, header, rows, left_out in tables(found):
        lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
        table = "\n".join(f"| {' | '.join(map(_escape, line))} |" for line in lines)
        after = f"\n\n{left_out}" if left_out else ""
        parts.append(f"<details><summary>{title}</summary>\n\n{table}{after}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def number(value: float | None) -> str:
    """Return a metric as text: counts with all digits, scores with four decimals."""
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def points(share: float | None, sign: bool = True) -> str:
    """Return a share in percentage points."""
    value = round(100 * (share or 0), 2) + 0.0  # no minus zero
    return f"{value:+.2f}" if sign else f"{value:.2f}"


def _difference(item: Metric) -> list[str]:
    if item.difference is None:
        return ["", ""]
    whole = isinstance(item.before, int) and isinstance(item.after, int)
    difference = f"{item.difference:+,.0f}" if whole else f"{item.difference:+.4f}"
    if item.low is None or item.high is None:
        return [difference, ""]
    return [difference, f"{item.low:+.4f} to {item.high:+.4f}"]


def _value(value: object) -> str:
    if isinstance(value, list) and len(value) > many.NAMES:
        return f"[{many.listed([str(item) for item in value])}]"
    return "none" if value is None else str(value)


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
