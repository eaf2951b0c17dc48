"""A recipe changes in params.yaml what it names, and nothing else."""

import difflib
import io
import itertools
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import recipes
import recipes.__main__
from fashion_mnist import params
from repository.dvc_lock import flat
from stages import evaluate, train
from tests.conftest import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of params.yaml."""
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


@pytest.fixture
def use(path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return the command `python -m recipes`, to be called with the name of a recipe."""

    def command(name: str) -> None:
        monkeypatch.setattr(sys, "argv", ["recipes", name, "--params", str(path)])
        recipes.__main__.main()

    return command


@pytest.mark.parametrize("name", recipes.names())
def test_only_the_named_values_change_and_the_stages_accept_them(
    name: str, path: Path, use: Callable[[str], None]
) -> None:
    before, defaults = path.read_text().splitlines(), YAML(typ="safe").load(path)
    use(name)
    after, parameters = path.read_text().splitlines(), YAML(typ="safe").load(path)
    changes = flat(recipes.read(name))
    # Comments stay as well, except those of a value that is gone.
    lines = [line[2:] for line in difflib.ndiff(before, after) if line.startswith("+ ")]
    assert len(lines) <= len(changes)
    keys = {part for key in changes for part in key.split(".")}
    assert {line.partition(":")[0].strip() for line in lines} <= keys
    named = (*changes, "train.arguments")
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


def test_the_default_is_what_params_yaml_has(path: Path, use: Callable[[str], None]) -> None:
    before = path.read_bytes()
    use("default")
    assert path.read_bytes() == before


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(recipes.names(), 2)])
def test_nothing_of_a_recipe_is_left_after_another(
    first: str, second: str, path: Path, use: Callable[[str], None]
) -> None:
    use(second)
    expected = path.read_text()
    shutil.copy(ROOT / "params.yaml", path)
    use(first)
    use(second)
    assert path.read_text() == expected


OTHER = {
    "model": "lenet",
    "optimizer": {"name": "adam", "learning_rate": 0.01, "epsilon": 1e-8},
    "schedule": {"name": "inverse_time_decay", "decay_rate": 0.1},
    "loss": "mean_squared_error",
    "label_smoothing": 0.0,
    "steps": 7,
    "select": "best",
}


@pytest.mark.parametrize("name", recipes.names())
def test_nothing_is_left_of_another_model_or_optimizer(
    name: str, path: Path, use: Callable[[str], None]
) -> None:
    use(name)
    expected = YAML(typ="safe").load(path)
    recipes.rewrite(path, {"train": OTHER})
    other = params.read(path, "train", train.Params)
    assert other.model_dump(include=OTHER.keys(), exclude_unset=True) == OTHER
    use(name)
    assert YAML(typ="safe").load(path) == expected


def test_no_change_keeps_every_byte(path: Path) -> None:
    before = path.read_bytes()
    recipes.rewrite(path, {})
    assert path.read_bytes() == before


def test_other_yaml_is_written_as_before(path: Path) -> None:
    """The model card is, in the same process as retraining."""
    before, after = io.StringIO(), io.StringIO()
    YAML().dump({"a": None}, before)
    recipes.rewrite(path, {"train": {"selection": None}})
    assert "selection: null\n" in path.read_text()
    YAML().dump({"a": None}, after)
    assert before.getvalue() == after.getvalue()


def test_an_unknown_recipe_is_rejected(
    use: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        use("nonsense")
    assert stopped.value.code == 2
    assert "invalid choice: 'nonsense'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("train: [", "not valid YAML"),
        ("- 1", "no sections"),
        ("x: 1", "no section 'train'"),
        ("train: 1", "no section 'train'"),
    ],
)
def test_a_damaged_parameter_file_is_named_and_left_alone(
    path: Path, use: Callable[[str], None], text: str, complaint: str
) -> None:
    path.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        use(recipes.names()[0])
    assert str(stopped.value.code).startswith(f"recipes: error: {path}: {complaint}")
    assert path.read_text() == text
