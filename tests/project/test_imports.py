"""The house: which package imports which, what loads TensorFlow, how large the pieces are."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Each may import those before it. Nothing imports tests.
LEVELS = (
    {"fashion_mnist"},
    {"recipes", "repository"},
    {"cluster"},
    {"stages", "published"},
    {"review"},
    {"retraining"},
    {"benchmarks", "docs"},
)
PACKAGES = [package for level in LEVELS for package in sorted(level)]
TRAINING = {"tensorflow", "keras", "sklearn"}
STATISTICS = {"scipy", "statsmodels"}
CLUSTER = {"ray", "optuna"}

MOST_LINES, MOST_BRANCHES = 40, 10
# Functions that may be larger: name, reason.
LARGE: dict[str, str] = {}


def modules() -> dict[str, Path]:
    """Return the files of all packages by module name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def nodes(node: ast.AST, functions: bool) -> Iterator[ast.AST]:
    """Yield the nodes of a tree; those inside functions only where `functions`.

    What only a type checker imports is left out.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if functions or not isinstance(child, ast.FunctionDef):
            yield child
            yield from nodes(child, functions)


def imports(module: str, functions: bool) -> set[str]:
    """Return what a module imports, with the packages around it and names inside it."""
    names = set()
    for node in nodes(parsed(module), functions):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.rsplit(".", end)[0] for name in names for end in range(name.count(".") + 1)}


def loaded(*starts: str) -> set[str]:
    """Return the packages that are loaded when modules are imported."""
    found: set[str] = set()
    waiting = set(starts)
    while waiting:
        found |= waiting
        waiting = {name for module in waiting & set(MODULES) for name in imports(module, False)}
        waiting -= found
    return {name.partition(".")[0] for name in found}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_those_below(package: str) -> None:
    (level,) = (number for number, names in enumerate(LEVELS) if package in names)
    allowed = {package}.union(*LEVELS[:level])
    for module in MODULES:
        if module.partition(".")[0] == package:
            tops = {name.partition(".")[0] for name in imports(module, True)}
            assert not tops & {*PACKAGES, "tests"} - allowed, module


def test_every_package_is_in_the_order() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/*.py")} - {"tests"}
    assert folders == set(PACKAGES)


def test_stages_do_not_import_each_other() -> None:
    for module in MODULES:
        if module.startswith("stages."):
            assert not {name for name in imports(module, True) if name.startswith("stages.")}


REPOSITORY = tuple(name for name in MODULES if name.startswith("repository."))


@pytest.mark.parametrize(
    ("starts", "absent"),
    [
        (REPOSITORY, TRAINING | STATISTICS | {"dvc", "pandas"}),
        (("review.__main__", "review.comparison_text"), TRAINING | {"dvc", "altair", "jinja2"}),
        (("review.__main__", "review.result"), TRAINING | STATISTICS | {"dvc", "pandas", "rich"}),
    ],
)
def test_packages_that_are_not_loaded(starts: tuple[str, ...], absent: set[str]) -> None:
    assert "pydantic" in loaded(*starts)
    assert not loaded(*starts) & absent


def test_only_the_cluster_needs_its_extra() -> None:
    others = {name for name in MODULES if name.partition(".")[0] not in ("cluster", "benchmarks")}
    users = {name for name in others if imports(name, True) & CLUSTER}
    assert users == set()
    # Nor is it loaded together with a module of `cluster` unless RAY_ADDRESS is set.
    assert not loaded(*others) & CLUSTER


def test_no_package_has_more_than_35_percent_of_the_code() -> None:
    lines = dict.fromkeys(PACKAGES, 0)
    for module, path in MODULES.items():
        lines[module.partition(".")[0]] += path.read_text(encoding="utf-8").count("\n")
    largest = max(lines, key=lambda package: lines[package])
    assert lines[largest] <= 0.35 * sum(lines.values()), lines


def size(function: ast.FunctionDef) -> tuple[int, int]:
    """Return the number of lines without the docstring, and of branches."""
    lines = int(function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= int(first.end_lineno or 0) - first.lineno + 1
    forks = (ast.If, ast.IfExp, ast.For, ast.While, ast.ExceptHandler, ast.match_case)
    return lines, sum(isinstance(node, forks) for node in ast.walk(function))


def test_functions_are_short() -> None:
    large = {}
    for module in MODULES:
        for node in ast.walk(parsed(module)):
            if isinstance(node, ast.FunctionDef) and node.name != "main":
                lines, branches = size(node)
                if lines > MOST_LINES or branches > MOST_BRANCHES:
                    large[f"{module}.{node.name}"] = f"{lines} lines, {branches} branches"
    assert {name: found for name, found in large.items() if name not in LARGE} == {}
    assert set(LARGE) <= set(large), "no longer large: remove it from LARGE"
