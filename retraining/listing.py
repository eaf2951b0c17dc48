"""Lists deliveries in params.yaml, whose other lines keep every byte."""

import io
import textwrap
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import recipes
from fashion_mnist.files import new_file
from fashion_mnist.params import parse

SECTION, KEY = "download", "deliveries"


def add(path: Path, new: list[dict[str, Any]]) -> None:
    """Append deliveries to `download.deliveries` of a parameter file.

    Raises:
        InputError: The file is not valid YAML, or its top level is not a mapping of sections.
    """
    text = path.read_bytes().decode()
    listed = (parse(text, str(path)).get(SECTION) or {}).get(KEY) or []
    expected = [*listed, *new]
    changed = _inserted(text, bool(listed), new)
    if changed and _listed(changed) == expected:
        with new_file(path) as temporary:
            temporary.write_bytes(changed.encode())
    else:
        # The list is written in some other way, such as on one line.
        recipes.rewrite(path, {SECTION: {KEY: expected}})


def _listed(text: str) -> Any:
    """Return the deliveries in a text, None if they are not where they should be."""
    try:
        return YAML(typ="safe").load(text)[SECTION][KEY]
    except Exception:
        return None


def _inserted(text: str, block: bool, new: list[dict[str, Any]]) -> str | None:
    """Return a text with new items at the end of the list, None if it has no such list.

    Args:
        text: Content of the parameter file.
        block: The list has items already, each on lines of its own.
        new: The items.
    """
    section = YAML().load(text)[SECTION]
    if KEY not in section:
        return None
    lines = text.splitlines(keepends=True)
    row, column = section.lc.key(KEY)
    if block:
        dash = lines[section[KEY].lc.item(0)[0]]
        indent = len(dash) - len(dash.lstrip())
        last = _end(lines, row, indent)
    else:
        head, mark, comment = lines[row].partition("#")
        value = head.rstrip().removesuffix("null").removesuffix("~").removesuffix("[]")
        lines[row] = value.rstrip() + (f" {mark}{comment}" if mark else "\n")
        indent, last = column + 2, row
    items = io.StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=2, offset=0)
    yaml.width = 4096  # breaks no line
    yaml.dump(new, items)
    if not lines[last].endswith("\n"):
        lines[last] += "\n"
    lines.insert(last + 1, textwrap.indent(items.getvalue(), " " * indent))
    return "".join(lines)


def _end(lines: list[str], row: int, indent: int) -> int:
    """Return the number of the last line of a list's items.

    Args:
        lines: The file.
        row: The line of its key.
        indent: Spaces before the dash of an item.
    """
    last = row
    for number, line in enumerate(lines[row + 1 :], row + 1):
        plain = line.strip()
        if not plain or plain.startswith("#"):
            continue
        inside = len(line) - len(line.lstrip())
        if inside < indent or (inside == indent and not plain.startswith("-")):
            break
        last = number
    return last
