"""The classes are those of the metrics, whatever they are called."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from review import card
from tests.review.conftest import NAMES, Branch, set_right, wrong_rows

DIGITS = [str(digit) for digit in range(10)]
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# Parsers take these for missing values, truth values, numbers and dates.
VALUES = ["null", "NaN", "None", "", "N/A", "True", "false", "1e3", "-inf", "2024-01-01"]
MARKS = ["a,b", 'c"d', "#e", " f ", "größe", "靴", "g|h", "[i]", ":bug:", "k\\l*m*"]


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, na_filter=False)


def rename(folder: Path, names: list[str], keys: list[str] | None = None) -> None:
    """Call the classes of a repository's metrics by other names."""
    table = read(folder / "metrics/classes.csv").assign(**{"class": names})
    table.to_csv(folder / "metrics/classes.csv", index=False)
    path = folder / "metrics/evaluate.json"
    scores = json.loads(path.read_text())
    found = dict(zip(scores["classes"], keys or names, strict=True))
    scores["classes"] = {found[key]: item for key, item in scores["classes"].items()}
    path.write_text(json.dumps(scores))
    path = folder / "metrics/dataset.json"
    if path.exists():
        data = json.loads(path.read_text())
        path.write_text(
            json.dumps(data | {"classes": dict(zip(keys or names, names, strict=True))})
        )
    table = read(folder / "metrics/predictions.csv")
    for column in ("label", "prediction"):
        table[column] = table[column].map(found)
    table.to_csv(folder / "metrics/predictions.csv", index=False)


@pytest.fixture(params=[DIGITS, VALUES, MARKS], ids=["digits", "values", "marks"])
def names(request: pytest.FixtureRequest, branch: Branch) -> list[str]:
    """Names of the classes of both sides of a branch that mends 60 mistakes."""
    names: list[str] = request.param
    rename(branch.folder, names)
    branch.commit()
    branch.leave_main()
    path = branch.folder / "metrics/predictions.csv"
    table = read(path)
    set_right(table, wrong_rows(table)[:60])
    table.to_csv(path, index=False)
    return names


def test_names_that_parsers_take_for_something_else_stay_names(
    branch: Branch, names: list[str]
) -> None:
    # The one thing that is wrong is that evaluate.json does not know about the mended answers.
    mended = round(branch.accuracy + 60 / 10_000, 4)
    words = f"accuracy is {mended} by metrics/predictions.csv, but {branch.accuracy}"
    branch.cannot_compare(words=(words,))
    branch.git("checkout", "--quiet", ".")
    found = branch.compare("main")
    assert list(found["classes"]) == names
    assert [item["name"] for item in found["classes"].values()] == names
    done = branch.review("compare", "main")
    for name in names:
        assert f"\n{name:<4}" in done.stdout
    text = branch.review("compare", "main", "--md").stdout
    assert text.count(" | +0.0000 | 0 | 0 | 1 |\n") == len(names)


@pytest.mark.parametrize(("channels", "kind"), [(1, "grey"), (3, "colour")])
def test_the_card_names_the_classes_of_other_data_and_no_clothing(
    branch: Branch, names: list[str], channels: int, kind: str
) -> None:
    branch.git("checkout", "--quiet", ".")
    path = branch.folder / "metrics/download.json"
    content: dict[str, Any] = json.loads(path.read_text())
    content["t10k"]["sha256"]["t10k-labels-idx1-ubyte"] = "0" * 64
    path.write_text(json.dumps(content))
    branch.describe(32, 24, channels)
    assert branch.review("card").returncode == 0
    text = (branch.folder / card.CARD).read_text()
    assert f"a {kind} image of 32x24 pixels and returns the probabilities of 10 classes: " in text
    for word in ("lothing", "shop", "MIT", "Xiao", "28x28", "ten classes", "recipe.md", "T-shirt"):
        assert word not in text
    assert f"| `t10k-labels-idx1-ubyte` | `{'0' * 64}` |" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "% to" in line]
    assert len(rows) == 1 + len(names)
    for line in rows[1:]:
        assert line.replace("\\|", "").count("|") == 8


def test_the_card_of_fashion_mnist_speaks_of_clothing(branch: Branch) -> None:
    assert branch.review("card").returncode == 0
    text = (branch.folder / card.CARD).read_text()
    assert "A classifier of clothing.\nIt takes a grey image of 28x28 pixels" in text
    assert "Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), MIT licence." in text
    assert branch.git("status", "--porcelain") == ""


def test_a_card_needs_the_hashes_of_the_release(branch: Branch) -> None:
    path = branch.folder / "metrics/download.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"t10k": {}}))
    done = branch.review("card")
    assert done.returncode == 2
    assert "metrics/download.json: expected rows, columns and sha256 of train and" in done.stderr
    assert branch.git("status", "--porcelain") == "M metrics/download.json"


def test_commits_with_other_classes_are_not_comparable(branch: Branch) -> None:
    rename(branch.folder, [word.title() for word in WORDS], WORDS)
    branch.commit()
    words = (
        "not comparable: other classes: t_shirt_top, trouser, pullover, ",
        ", ankle_boot in main at ",
        ", zero, one, two, three, four, five, six, seven, eight, nine in HEAD",
    )
    branch.cannot_compare(words=words)
    done = branch.review("report")
    assert done.returncode == 2
    assert words[0] in done.stderr
    assert not (branch.folder / "report.html").exists()


def forget(branch: Branch) -> None:
    """Remove the description of the data, which commits of earlier versions do not have."""
    (branch.folder / "metrics/dataset.json").unlink(missing_ok=True)


def test_a_table_of_classes_that_does_not_fit_is_named(branch: Branch) -> None:
    forget(branch)
    path = branch.folder / "metrics/classes.csv"
    text = path.read_text()
    path.write_text(text[: text.rindex("Ankle")])
    branch.cannot_compare(words=("working tree: metrics/classes.csv has 9 rows", "the 10 classes"))
    path.write_text(text.replace("class,", "name,"))
    branch.cannot_compare(words=("metrics/classes.csv has 10 rows and first column name",))
    path.unlink()
    found = branch.compare()
    assert [item["name"] for item in found["classes"].values()] == list(found["classes"])


def test_a_commit_without_a_description_of_the_data_is_compared(branch: Branch) -> None:
    forget(branch)
    branch.commit()
    branch.leave_main()
    branch.describe(28, 28, 1)
    branch.commit()
    found = branch.compare("main")
    assert [item["name"] for item in found["classes"].values()] == list(NAMES)
    assert not [name for name in found["metrics"] if name.startswith("dataset.")]


def test_the_card_of_a_commit_without_a_description_of_the_data(branch: Branch) -> None:
    forget(branch)
    path = branch.folder / "metrics/download.json"
    content = json.loads(path.read_text())
    content["train"] |= {"rows": 32, "columns": 24}
    content["train"]["sha256"] = {"train-images-idx3-ubyte": "0" * 64}
    path.write_text(json.dumps(content))
    assert branch.review("card").returncode == 0
    text = (branch.folder / card.CARD).read_text()
    assert "a grey image of 32x24 pixels and returns the probabilities of 10 classes: " in text


def test_a_description_of_the_data_that_does_not_fit_is_named(branch: Branch) -> None:
    branch.describe(28, 30, 1)
    branch.commit()
    path = branch.folder / "metrics/dataset.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"channels": 2}))
    branch.cannot_compare(words=("working tree: metrics/dataset.json: dataset.channels: got 2",))
    content["classes"].pop("shirt")
    path.write_text(json.dumps(content))
    branch.cannot_compare(
        words=("metrics/dataset.json has the classes t_shirt_top, ", "but metrics/evaluate.json")
    )


def test_a_data_set_without_an_official_test_file_has_a_card(branch: Branch) -> None:
    path = branch.folder / "metrics/download.json"
    content = json.loads(path.read_text())
    del content["t10k"]
    path.write_text(json.dumps(content))
    assert branch.review("card").returncode == 0
    text = (branch.folder / card.CARD).read_text()
    assert "These files are not those of Fashion-MNIST" in text
    assert text.count("-ubyte` | `") == 2
    assert branch.compare()["accepted"]
