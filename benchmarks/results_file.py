"""Keeps measurements in a JSON file that is rewritten after each, so that a benchmark resumes."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fashion_mnist.errors import InputError
from fashion_mnist.files import new_file

Results = dict[str, Any]


def read(path: Path, keys: Collection[str]) -> Results:
    """Return the measurements in a file.

    Raises:
        InputError: The file is not JSON, or lacks one of `keys`.
        OSError: The file cannot be read.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(results, dict) or not results.keys() >= set(keys):
        raise InputError(f"{path}: expected an object with the keys {', '.join(keys)}")
    return results


def write(path: Path, results: Results) -> None:
    """Write all measurements; a killed benchmark leaves the previous file."""
    with new_file(path) as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
