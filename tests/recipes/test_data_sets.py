"""A data set sets what belongs to its images, the stages accept it, and another one can follow."""

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

import recipes
import recipes.__main__
from fashion_mnist import params
from fashion_mnist.data import idx
from fashion_mnist.dataset import HALVES
from recipes import digits
from repository.dvc_lock import flat
from review.rules import Rules
from stages import download, evaluate, split, train
from tests.conftest import ROOT

PINNED = [name for name in recipes.data_sets() if name != "kmnist"]
Command = Callable[..., None]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of params.yaml in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


@pytest.fixture
def use(path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return the command `python -m recipes`."""

    def command(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["recipes", *arguments, "--params", str(path)])
        recipes.__main__.main()

    return command


def check(path: Path) -> download.Params:
    """Read every section as its stage does, and return that of `download`."""
    params.read(path, "split", split.Params)
    params.read(path, "train", train.Params)
    params.read(path, "evaluate", evaluate.Params)
    params.read(path, "review", Rules)
    return params.read(path, "download", download.Params)


def write_halves(folder: Path, classes: int = 10) -> None:
    """Write four IDX files with eight images of each class, as KMNIST and its relatives have."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for half in HALVES:
        images = generator.integers(0, 256, (8 * classes, 28, 28), dtype=np.uint8)
        labels = np.arange(8 * classes, dtype=np.uint8) % classes
        for name, array in zip(HALVES[half], (images, labels), strict=True):
            idx.write(folder / name, array)


@pytest.mark.parametrize("name", PINNED)
def test_the_stages_accept_every_data_set(name: str, path: Path, use: Command) -> None:
    use(name)
    found = check(path)
    wanted = recipes.read_data_set(name)
    assert found.files.keys() == wanted["download"]["files"].keys()
    content = flat(YAML(typ="safe").load(path))
    for key, value in flat(wanted).items():
        assert content[key] == value


def test_all_data_sets_set_the_same_keys() -> None:
    def keys(name: str) -> set[str]:
        found: dict[str, Any] = recipes.read_data_set(name)
        for key in ("files", "sources"):
            found["download"].pop(key, None)
        found["train"].pop("selection")
        return set(flat(found))

    assert {frozenset(keys(name)) for name in recipes.data_sets()} == {frozenset(keys("digits"))}


@pytest.mark.parametrize("name", recipes.data_sets())
def test_a_data_set_opens_with_its_command(name: str) -> None:
    text = (recipes.DATA_SETS / f"{name}.yaml").read_text(encoding="utf-8")
    assert f"#   python -m recipes {name}" in text.partition("\ndownload:")[0]


@pytest.mark.parametrize("name", [*PINNED, "kmnist"])
def test_fashion_mnist_leads_back(name: str, path: Path, use: Command, tmp_path: Path) -> None:
    before = path.read_bytes()
    if name == "kmnist":
        write_halves(tmp_path / "kmnist")
        use(name, "--data", "kmnist")
    else:
        use(name)
    assert (path.read_bytes() == before) == (name == "fashion_mnist")
    use("fashion_mnist")
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["mnist", "digits", "kmnist"])
def test_characters_are_not_mirrored(name: str) -> None:
    found = recipes.read_data_set(name)
    assert not found["train"]["augmentation"]["flip"]
    assert not found["evaluate"]["mirror_average"]


@pytest.mark.parametrize("recipe", recipes.names())
def test_a_recipe_leaves_mirror_images_of_other_data_off(
    recipe: str, path: Path, use: Command
) -> None:
    use("digits")
    use(recipe)
    content = YAML(typ="safe").load(path)
    assert not content["train"]["augmentation"]["flip"]
    assert not content["evaluate"]["mirror_average"]
    assert content["train"]["batch_size"] == recipes.read(recipe)["train"]["batch_size"]


def test_digits_are_written_with_the_pinned_hashes(path: Path, use: Command) -> None:
    use("digits")
    folder = path.parent / "data/digits"
    pins = recipes.read_data_set("digits")["download"]["files"]
    assert {file.name for file in folder.iterdir()} == set(pins)
    for name, pin in pins.items():
        content = (folder / name).read_bytes()
        assert len(content) == pin["bytes"]
        assert hashlib.sha256(content).hexdigest() == pin["sha256"]


def test_digits_are_those_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    digits.write(tmp_path)
    images, labels = idx.read_pair(*(tmp_path / name for name in HALVES["train"]))
    known = load_digits()
    assert images.shape == (1797, 8, 8)
    assert (labels == known.target).all()
    # 16 steps of grey stay apart, in the same order.
    assert np.abs(images / 255 - known.images / 16).max() <= 0.5 / 255
    assert len(np.unique(images)) == 17


def test_deliveries_stay_with_the_data_that_they_belong_to(path: Path, use: Command) -> None:
    file = {"url": "a.npz", "bytes": 1, "sha256": "0" * 64}
    deliveries = [{"date": "2026-01-01", "files": [file]}]
    recipes.rewrite(path, {"download": {"deliveries": deliveries}})
    use("fashion_mnist")
    assert YAML(typ="safe").load(path)["download"]["deliveries"] == deliveries
    use("digits")
    assert YAML(typ="safe").load(path)["download"]["deliveries"] == []


def test_kmnist_gets_the_hashes_of_the_files_at_hand(
    path: Path, use: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "files" not in recipes.read_data_set("kmnist")["download"]
    write_halves(tmp_path / "here")
    use("kmnist", "--data", "here")
    found = check(path)
    assert found.sources == ["here"]
    assert found.classes == ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
    for name, pin in found.files.items():
        content = (tmp_path / "here" / name).read_bytes()
        assert (pin.bytes, pin.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert "are those of your files" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("kmnist",), "kmnist: expected --data"),
        (("own",), "own: expected --data"),
        (("mnist", "--data", "here"), "--data: mnist has files of its own"),
        (("quick", "--data", "here"), "--data: 'quick' is a recipe"),
        (("mnist", "--classes", "a,b"), "--classes, --resize, --channels and --first-label"),
        (("kmnist", "--data", "here", "--first-label", "1"), "--classes, --resize"),
    ],
)
def test_options_that_do_not_belong_together(
    arguments: tuple[str, ...], complaint: str, path: Path, use: Command
) -> None:
    before = path.read_bytes()
    with pytest.raises(SystemExit) as stopped:
        use(*arguments)
    assert str(stopped.value.code).startswith(f"recipes: error: {complaint}")
    assert path.read_bytes() == before


def test_the_help_lists_recipes_and_data_sets(
    use: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        use("--help")
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for name in (*recipes.names(), *recipes.data_sets(), "own"):
        assert f"\n  {name}" in text
