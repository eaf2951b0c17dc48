"""Accepted deliveries are listed in params.yaml, and every other line of it stays."""

import difflib
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from retraining import listing
from tests.conftest import ROOT

ENTRIES: list[dict[str, Any]] = [
    {
        "date": f"2026-11-0{day}",
        "files": [{"url": f"data/inbox/{name}", "bytes": 3, "sha256": f"{day}" * 64}],
    }
    for day, name in enumerate(["monday.npz", "a: b # c (1).npz", "'*ä\n.npz", "~/x.npz"], 1)
]


def listed(path: Path) -> Any:
    return YAML(typ="safe").load(path)["download"].get("deliveries")


def test_the_real_file_gets_lines_and_loses_none(tmp_path: Path) -> None:
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    before = path.read_text().splitlines()
    rest = YAML(typ="safe").load(path)
    for number, entry in enumerate(ENTRIES, 1):
        listing.add(path, [entry])
        assert listed(path) == ENTRIES[:number]
    after = path.read_text().splitlines()
    gone = [line for line in difflib.ndiff(before, after) if line.startswith("- ")]
    assert len(gone) <= 1  # the key, whose value was []
    assert [line for line in after if not line] == [line for line in before if not line]
    for line in before:
        comment = line.partition("#")[2]
        assert any(other.endswith(comment) for other in after)
    place = after.index("split:")
    assert after[place - 1] == ""
    assert after[place - 2].strip() == f"sha256: '{'4' * 64}'"
    rest["download"]["deliveries"] = ENTRIES
    assert YAML(typ="safe").load(path) == rest


ITEM = "{date: '2026-10-01', files: [{url: u, bytes: 1, sha256: s}]}"


@pytest.mark.parametrize(
    "text",
    [
        "download:\n  timeout: 1\n\nsplit:\n  size: 1\n",
        "download:\n  deliveries:\n  timeout: 1 # seconds\n\n# About split.\nsplit:\n  size: 1\n",
        "download:\n  deliveries: null # none yet\n\nsplit:\n  size: 1\n",
        "download:\n    deliveries: ~\n\n\nsplit:\n    size: 1\n",
        f"download:\n  deliveries: [{ITEM}]\n\nsplit:\n  size: 1\n",
        f"download:\n  deliveries:\n  - {ITEM}\n\n  # A note.\n  timeout: 1\nsplit:\n  size: 1\n",
        f"download:\n  deliveries:\n    # First.\n    - {ITEM} # from s3\n\n\nsplit:\n  size: 1\n",
        "download: {timeout: 1, deliveries: []}\n\nsplit:\n  size: 1\n",
        "split:\n  size: 1\n\ndownload:\n  deliveries: []",
        f"split:\n  size: 1\n\ndownload:\n  deliveries:\n    - {ITEM}",
    ],
)
def test_however_the_list_is_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    before = YAML(typ="safe").load(path)
    old = before["download"].get("deliveries") or []
    listing.add(path, ENTRIES[:1])
    listing.add(path, ENTRIES[1:])
    before["download"]["deliveries"] = [*old, *ENTRIES]
    assert YAML(typ="safe").load(path) == before
    after = path.read_text()
    for line in text.splitlines():
        assert line.partition("#")[2] in after
    if "\n  deliveries" in text or "\n    deliveries" in text:
        assert after.count("\n\n") == text.count("\n\n")
