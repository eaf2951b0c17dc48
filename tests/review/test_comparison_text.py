"""What `compare` prints: every number on the terminal and in Markdown, and the JSON schema."""

import json

from review.comparison import Comparison
from tests.conftest import ROOT
from tests.review.conftest import Branch


def test_terminal_and_markdown_show_every_number(branch: Branch) -> None:
    branch.fix(60)
    for arguments in ([], ["--md"]):
        done = branch.review("compare", *arguments)
        assert done.returncode == 0
        for text in (
            "better, accepted",
            "60 are fixed and 0 broken",
            "+0.60 points",
            "macro_f1",
            "Ankle boot",
            "95% interval",
            "could have detected is 0.18 points",
        ):
            assert text in done.stdout


def test_a_refusal_names_the_rule(branch: Branch) -> None:
    branch.set_rules(floors={"accuracy": 0.99, "class_recall": 0})
    done = branch.review("compare")
    assert done.returncode == 1
    assert "no evidence of a difference, refused" in done.stdout
    words = f"review.floors.accuracy: accuracy is {branch.accuracy}, the limit is 0.99."
    assert words in done.stdout


def test_counts_are_whole_numbers(branch: Branch) -> None:
    path = branch.folder / "metrics/train.json"
    train = json.loads(path.read_text())
    before = train["parameters"]["total"]
    train["parameters"]["total"] = before + 35_560
    path.write_text(json.dumps(train))
    rows = [line.split() for line in branch.review("compare").stdout.splitlines()]
    assert ["train.parameters.total", f"{before:,}", f"{before + 35_560:,}", "+35,560"] in rows


def test_the_schema_in_the_documentation_is_that_of_the_code() -> None:
    stated = json.loads((ROOT / "docs/comparison.schema.json").read_text())
    assert stated == Comparison.model_json_schema()
