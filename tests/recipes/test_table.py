"""The table of recipes in README.md: measured figures, written between two markers."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import recipes
from recipes import table
from tests.conftest import ROOT

BEGIN = "<!-- recipes: written by python -m recipes.table -->"
END = "<!-- recipes: end -->"


def runs(system: str, *figures: tuple[float, float]) -> list[dict[str, Any]]:
    """Return runs of a system from pairs of seconds and accuracy."""
    return [
        {
            "system": system,
            "seconds": seconds,
            "images": 1000,
            "accuracy": accuracy,
            "mirror_average": accuracy + 0.01,
        }
        for seconds, accuracy in figures
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the measurements, the parameters and a short README."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["table"])
    (tmp_path / "benchmarks").mkdir()
    for path in (*table.MEASURED, Path("params.yaml")):
        shutil.copy(ROOT / path, tmp_path / path)
    (tmp_path / "README.md").write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    return tmp_path


def test_fastest_first_with_mean_deviation_and_median_time() -> None:
    slow = runs("lenet", (90, 0.90), (100, 0.92), (400, 0.91))
    fast = runs("quick", (10, 0.80))
    found = table.render([slow + fast, runs("lenet", (50, 0.5))], {"quick": True})
    assert found.splitlines()[2:] == [
        "| `quick` | 1,000 | 81.00% | 10 s (1 run) | not measured |",
        "| lenet | 1,000 | 91.00 ± 1.00% | 100 s | 50 s (1 run) |",
    ]


def test_the_file_gets_a_row_for_each_recipe_and_keeps_the_rest(folder: Path) -> None:
    table.main()
    text = (folder / "README.md").read_text()
    assert text.startswith(f"before\n{BEGIN}\n{table.HEADER}")
    assert text.endswith(f"|\n{END}\nafter\n")
    for name in recipes.names():
        assert text.count(f"| `{name}` |") == 1


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_damaged_measurements_are_named_and_the_file_is_left_alone(
    content: str, folder: Path
) -> None:
    before = (folder / "README.md").read_bytes()
    (folder / table.MEASURED[0]).write_text(content)
    with pytest.raises(SystemExit) as stopped:
        table.main()
    assert str(stopped.value.code).startswith(f"table: error: {table.MEASURED[0]}: expected JSON")
    assert (folder / "README.md").read_bytes() == before
