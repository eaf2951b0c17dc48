"""params.yaml stays valid whatever `dvc exp run --set-param` does to it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from repository.dvc_lock import flat
from tests.conftest import ROOT


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(path)
    return found


def leaves(tree: dict[str, Any]) -> dict[str, Any]:
    """Return every value by key, `section.key`; an empty mapping is a value too."""
    return flat(tree) | {key: {} for key, value in nodes(tree) if value == {}}


def nodes(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key of nested parameters with its value."""
    for key, value in tree.items():
        yield prefix + key, value
        if isinstance(value, dict):
            yield from nodes(value, f"{prefix}{key}.")


TREE = read(ROOT / "params.yaml")
NODES = dict(nodes(TREE))
# DVC refuses to remove a key that is null, and says so.
REMOVABLE = [key for key, value in NODES.items() if value is not None]
EMPTIED = {
    key: [f"{key}.{name}" for name in value if f"{key}.{name}" in REMOVABLE]
    for key, value in NODES.items()
    if isinstance(value, dict) and value
}


def outside(*keys: str) -> dict[str, Any]:
    """Return the values of params.yaml except those at or below some keys."""
    below = tuple(f"{key}." for key in keys)
    return {key: value for key, value in leaves(TREE).items() if not f"{key}.".startswith(below)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


@pytest.mark.parametrize("key", NODES)
def test_a_key_set_to_null(path: Path, key: str) -> None:
    apply_overrides(path, [f"{key}=null"])
    assert leaves(read(path)) == outside(key) | {key: None}


@pytest.mark.parametrize("key", REMOVABLE)
def test_a_key_removed(path: Path, key: str) -> None:
    apply_overrides(path, [f"~{key}"])
    found = leaves(read(path))
    assert {name: value for name, value in found.items() if value != {}} == {
        name: value for name, value in outside(key).items() if value != {}
    }


@pytest.mark.parametrize("key", EMPTIED)
def test_all_keys_of_a_section_removed(path: Path, key: str) -> None:
    apply_overrides(path, [f"~{name}" for name in EMPTIED[key]])
    found = leaves(read(path))
    assert set(outside(*EMPTIED[key])) <= set(found)
    assert not set(EMPTIED[key]) & set(found)
