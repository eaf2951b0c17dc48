"""dvc.yaml declares what the stages use, and its metrics can be compared."""

import ast
import json
import os.path
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, Pipeline

IN_ROOT = "cd .. && exec "


def seen_from_root(stage: dict[str, Any]) -> dict[str, Any]:
    """Return a stage of published/dvc.yaml with its command and paths relative to the root."""

    def path(item: Any) -> Any:
        if isinstance(item, dict):
            return {path(key): settings for key, settings in item.items()}
        return os.path.normpath(f"published/{item}")

    assert stage["cmd"].startswith(IN_ROOT)
    moved = {key: [path(item) for item in stage[key]] for key in ("deps", "outs", "metrics")}
    params = [{"published/params.yaml": stage["params"]}]
    return stage | moved | {"cmd": stage["cmd"].removeprefix(IN_ROOT), "params": params}


STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"] | {
    f"published {name}": seen_from_root(stage.get("do", stage))
    for name, stage in YAML(typ="safe").load(ROOT / "published/dvc.yaml")["stages"].items()
}
LOCK: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"]


def imported(path: Path) -> set[str]:
    """Return the modules of ours that a module imports, directly or not, as paths.

    Those of `cluster` are loaded on a cluster only, and where a stage runs changes no byte.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = set()
    for name in names:
        if name.partition(".")[0] == "cluster":
            continue
        parts = Path(*name.split("."))
        # Importing a module runs the packages on the way to it.
        packages = [package / "__init__.py" for package in (parts, *parts.parents)]
        for candidate in (parts.with_suffix(".py"), *packages):
            if (ROOT / candidate).is_file():
                found |= {str(candidate)} | imported(ROOT / candidate)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_code_that_a_stage_imports_is_what_it_depends_on(stage: str) -> None:
    entry = STAGES[stage]
    module = entry["cmd"].split()[2].replace(".", "/") + ".py"
    declared = {dep for dep in entry["deps"] if dep.endswith(".py")}
    # Only the architecture that the parameters name is loaded.
    architecture = {dep for dep in declared if re.search(r"models/\$\{.*train\.model\}", dep)}
    # Python runs the module of each package on the way, too.
    package = module.partition("/")[0]
    expected = {module, f"{package}/__init__.py", "fashion_mnist/__init__.py"}
    expected |= imported(ROOT / module)
    assert bool(architecture) == ("fashion_mnist/models/__init__.py" in expected)
    assert declared - architecture == expected


def test_stages_and_nouns_import_one_way() -> None:
    stages = {str(path.relative_to(ROOT)) for path in (ROOT / "stages").glob("*.py")}
    for path in (ROOT / "stages").glob("*.py"):
        assert not imported(path) & (stages - {f"stages/{path.name}"})
    for path in (ROOT / "fashion_mnist").rglob("*.py"):
        assert not [name for name in imported(path) if not name.startswith("fashion_mnist")]
    for folder in ("fashion_mnist", "stages"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not [name for name in imported(path) if name.startswith("published")]


@pytest.mark.parametrize("stage", STAGES)
def test_data_in_the_command_is_what_is_declared(stage: str) -> None:
    entry = STAGES[stage]
    outs = [
        key
        for out in (*entry["outs"], *entry["metrics"])
        for key in ([out] if isinstance(out, str) else out)
    ]
    deps = [dep for dep in entry["deps"] if not dep.endswith((".py", ".lock"))]
    folders = ("data/", "metrics/", "published/data/", "published/metrics/")
    command = entry["cmd"].split()
    # DVC deletes outputs before a stage runs, so the checkpoint is not one of them.
    option = "--checkpoint"
    checkpoint = command[command.index(option) + 1] if option in command else None
    paths = [word for word in command if word.startswith(folders) and word != checkpoint]
    assert checkpoint not in outs
    for path in (*outs, *deps):
        assert any(path == word or path.startswith(f"{word}/") for word in paths), path
    for word in paths:
        assert any(path == word or path.startswith(f"{word}/") for path in (*outs, *deps)), word


@pytest.mark.parametrize("stage", STAGES)
def test_the_section_that_the_stage_reads_is_declared(stage: str) -> None:
    words = STAGES[stage]["cmd"].split()
    name = words[2].partition(".")[2]
    section = words[words.index("--section") + 1] if "--section" in words else name
    if "--params" not in words:
        assert STAGES[stage]["params"] == [section]
    elif name == "aggregate":
        assert STAGES[stage]["params"] == [{"published/params.yaml": ["systems"]}]
    else:
        assert STAGES[stage]["params"] == [{"published/params.yaml": [section]}]


@pytest.mark.parametrize("stage", STAGES)
def test_metrics_and_tables_are_in_git(stage: str) -> None:
    for out in (*STAGES[stage]["outs"], *STAGES[stage]["metrics"]):
        ((path, settings),) = out.items() if isinstance(out, dict) else [(out, {})]
        in_git = path.startswith(("metrics/", "published/metrics/"))
        assert in_git == (settings.get("cache") is False), path


def leaves(value: Any) -> list[Any]:
    """Return what stands at the ends of nested dictionaries."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value]


def test_metrics_are_numbers_in_nested_dictionaries(finished: Pipeline) -> None:
    """DVC drops lists without a word."""
    files = sorted((finished.folder / "metrics").glob("*.json"))
    names = ["dataset", "download", "evaluate", "preprocess", "split", "train"]
    assert [path.stem for path in files] == names
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


@pytest.mark.parametrize("folder", [".", "published"])
def test_dvc_does_not_wait_for_the_network(folder: str) -> None:
    command = ["dvc", "config", "--list", "--project"]
    config = subprocess.check_output(command, cwd=ROOT / folder, text=True)
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


@pytest.mark.parametrize("name", [f"requirements{part}.lock" for part in ("", "-s3", "-dev")])
def test_lock_has_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert len(pins(name)) > 100
    assert all("==" in pin for pin in pins(name))
    for entry in re.split(r"\n(?=\S)", text):
        assert entry.startswith("#") or "--hash=sha256:" in entry


def test_tests_run_with_what_is_locked_for_users() -> None:
    assert pins("requirements.lock") < pins("requirements-s3.lock") < pins("requirements-dev.lock")
