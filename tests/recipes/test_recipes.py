"""Named recipes change what they name in params.yaml, and nothing else."""

import difflib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import recipes
from fashion_mnist import params
from review.changes import flat
from stages import evaluate, train
from tests.conftest import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def use(name: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recipes", name, "--params", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_changes_what_it_names(name: str, path: Path) -> None:
    before, defaults = path.read_text().splitlines(), YAML(typ="safe").load(path)
    done = use(name, path)
    assert done.returncode == 0, done.stderr
    after, parameters = path.read_text().splitlines(), YAML(typ="safe").load(path)
    changes = flat(recipes.read(name))
    # Comments too stay as they are, but for those of what is gone.
    lines = [line[2:] for line in difflib.ndiff(before, after) if line.startswith("+ ")]
    assert 0 < len(lines) <= len(changes)
    keys = {key.rpartition(".")[2] for key in changes}
    assert {line.partition(":")[0].strip() for line in lines} <= keys
    named = tuple(changes)
    old, new = (
        {key: value for key, value in flat(tree).items() if not key.startswith(named)}
        for tree in (defaults, parameters)
    )
    assert old == new
    training = params.read(path, "train", train.Params)
    scoring = params.read(path, "evaluate", evaluate.Params)
    found = flat({"train": training.model_dump(), "evaluate": scoring.model_dump()})
    for key, value in changes.items():
        assert found[key] == value


def test_nothing_to_change_leaves_every_byte(path: Path) -> None:
    before = path.read_bytes()
    recipes.rewrite(path, {})
    assert path.read_bytes() == before


def test_unknown_recipe(path: Path) -> None:
    done = use("nonsense", path)
    assert done.returncode == 2
    assert "invalid choice: 'nonsense'" in done.stderr


@pytest.mark.parametrize(
    ("text", "complaint"), [("train: [", "not valid YAML"), ("- 1", "no sections")]
)
def test_a_damaged_file_is_left_alone(path: Path, text: str, complaint: str) -> None:
    path.write_text(text)
    done = use(recipes.names()[0], path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"recipes: error: {path}: {complaint}")
    assert path.read_text() == text
