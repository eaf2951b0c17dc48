"""dvc.yaml declares what the stages use, and its metrics can be compared."""

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, Pipeline

STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
LOCK: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"]


def imported(path: Path) -> set[str]:
    """Return the modules of ours that a module imports, directly or not, as paths."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = set()
    for name in names:
        parts = Path(*name.split("."))
        for candidate in (parts.with_suffix(".py"), parts / "__init__.py"):
            if (ROOT / candidate).is_file() and candidate != Path("fashion_mnist/__init__.py"):
                found |= {str(candidate)} | imported(ROOT / candidate)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_code_that_a_stage_imports_is_what_it_depends_on(stage: str) -> None:
    module = f"stages/{stage}.py"
    declared = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    expected = {module} | imported(ROOT / module)
    if "fashion_mnist/models/__init__.py" in expected:
        # Only the architecture that params.yaml names is loaded.
        expected.add("fashion_mnist/models/${train.model}.py")
    assert declared == expected


def test_stages_and_nouns_import_one_way() -> None:
    for path in (ROOT / "stages").glob("*.py"):
        others = {f"stages/{name}.py" for name in STAGES} - {f"stages/{path.name}"}
        assert not imported(path) & others
    for path in (ROOT / "fashion_mnist").rglob("*.py"):
        assert not [name for name in imported(path) if name.startswith("stages")]


@pytest.mark.parametrize("stage", STAGES)
def test_data_in_the_command_is_what_is_declared(stage: str) -> None:
    entry = STAGES[stage]
    outs = [
        key
        for out in (*entry["outs"], *entry["metrics"])
        for key in ([out] if isinstance(out, str) else out)
    ]
    deps = [dep for dep in entry["deps"] if not dep.endswith((".py", ".lock"))]
    paths = [word for word in entry["cmd"].split() if word.startswith(("data/", "metrics/"))]
    for path in (*outs, *deps):
        assert any(path == word or path.startswith(f"{word}/") for word in paths), path
    for word in paths:
        assert any(path == word or path.startswith(f"{word}/") for path in (*outs, *deps)), word


@pytest.mark.parametrize("stage", STAGES)
def test_the_section_of_its_name_is_declared_whole(stage: str) -> None:
    assert STAGES[stage]["params"] == [stage]


@pytest.mark.parametrize("stage", STAGES)
def test_metrics_and_tables_are_in_git(stage: str) -> None:
    for out in (*STAGES[stage]["outs"], *STAGES[stage]["metrics"]):
        ((path, settings),) = out.items() if isinstance(out, dict) else [(out, {})]
        assert path.startswith("metrics/") == (settings.get("cache") is False), path


def leaves(value: Any) -> list[Any]:
    """Return what stands at the ends of nested dictionaries."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value]


def test_metrics_are_numbers_in_nested_dictionaries(finished: Pipeline) -> None:
    """DVC drops lists without a word."""
    files = sorted((finished.folder / "metrics").glob("*.json"))
    assert [path.stem for path in files] == ["download", "evaluate", "preprocess", "split", "train"]
    for path in files:
        for leaf in leaves(json.loads(path.read_text())):
            assert isinstance(leaf, int | float | str)
            assert not isinstance(leaf, bool)


def test_committed_metrics_have_the_keys_of_the_code(finished: Pipeline) -> None:
    def keys(value: Any) -> Any:
        return {key: keys(item) for key, item in value.items()} if isinstance(value, dict) else None

    for path in (finished.folder / "metrics").glob("*.json"):
        committed = json.loads((ROOT / "metrics" / path.name).read_text())
        assert keys(committed) == keys(json.loads(path.read_text())), path.name


def test_dvc_does_not_wait_for_the_network() -> None:
    config = subprocess.run(
        ["dvc", "config", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "core.analytics=false" in config
    assert "core.check_update=false" in config


def test_the_release_is_the_one_of_the_lock() -> None:
    """The hash of the downloaded folder is that of the four published files."""
    (folder,) = [out for out in LOCK["download"]["outs"] if out["path"] == "data/raw"]
    assert folder["nfiles"] == 4
    assert folder["size"] == 47_040_016 + 60_008 + 7_840_016 + 10_008


def pins(name: str) -> set[str]:
    """Return the `package==version` entries of a lock file."""
    lines = (ROOT / name).read_text().splitlines()
    return {line.split()[0] for line in lines if line and line[0] not in " #"}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_has_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert len(pins(name)) > 100
    assert all("==" in pin for pin in pins(name))
    for entry in re.split(r"\n(?=\S)", text):
        assert entry.startswith("#") or "--hash=sha256:" in entry


def test_tests_run_with_what_is_locked_for_users() -> None:
    assert pins("requirements.lock") < pins("requirements-dev.lock")
