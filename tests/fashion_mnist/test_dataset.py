"""Names of classes and their keys."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fashion_mnist import dataset
from fashion_mnist.errors import InputError
from tests.conftest import ROOT


def test_keys_have_neither_spaces_nor_punctuation() -> None:
    dataset.check_names()
    assert all(re.fullmatch("[a-z_]+", key) for key in dataset.KEYS)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("A", "a"), "classes 'A' and 'a': "),
        (("Bag", "T-shirt top", "T-shirt/top"), "classes 'T-shirt top' and 'T-shirt/top': "),
        (("Bag", "Bag"), "classes 'Bag' and 'Bag': "),
        (("Bag", " bag "), "classes 'Bag' and ' bag ': "),
        (("Bag", "#"), "class '#': expected a name with letters or digits"),
        (("", "Bag"), "class '': "),
    ],
)
def test_a_stage_refuses_names_whose_keys_collide(
    tmp_path: Path, names: tuple[str, ...], words: str
) -> None:
    for package in ("fashion_mnist", "stages"):
        shutil.copytree(ROOT / package, tmp_path / package)
    path = tmp_path / "fashion_mnist/dataset.py"
    text = re.sub(r"NAMES = \(.*?\n\)\n", f"NAMES = {names!r}\n", path.read_text(), flags=re.DOTALL)
    path.write_text(text)
    command = [sys.executable, "-m", "stages.download", "--output", "raw", "--metrics", "a.json"]
    command += ["--classes", "classes.csv", "--figure", "a.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"download: error: {words}")
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fashion_mnist", "stages"]


@pytest.mark.parametrize(
    "names",
    [
        tuple("0123456789"),
        ("null", "NaN", "True", "1e3", "no", "None"),
        ("a, b", 'a "c"', "a # d", "  e  ", "Größe", "φ"),
    ],
)
def test_unusual_names_have_keys(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]) -> None:
    monkeypatch.setattr(dataset, "NAMES", names)
    monkeypatch.setattr(dataset, "KEYS", tuple(map(dataset.key_of, names)))
    dataset.check_names()
    assert all(re.fullmatch(r"\w+", key) for key in dataset.KEYS)


def test_both_names_are_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "KEYS", ("same",) * len(dataset.NAMES))
    with pytest.raises(InputError, match=r"'T-shirt/top' and 'Trouser': .* the key 'same'"):
        dataset.check_names()
