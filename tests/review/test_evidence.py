"""What cannot be compared: damaged or inconsistent files and different test sets."""

import json
from typing import Any

import pandas as pd
import pytest

from tests.review.conftest import Branch


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        ("metrics/evaluate.json", '"accuracy": 0.', '"accuracy": NaN, "x": 0.', ("NaN", "finite")),
        ("metrics/evaluate.json", "{", "[", ("metrics/evaluate.json is not JSON",)),
        ("metrics/evaluate.json", '"images"', '"imagez"', ("metrics/evaluate.json has no images",)),
        ("metrics/predictions.csv", "index,", "place,", ("columns place, label", "expected index")),
        ("metrics/predictions.csv", "index,", '"index,', ("predictions.csv is not CSV",)),
        ("metrics/predictions.csv", ",trouser,", ",jeans,", ("line", "is jeans", "one of")),
        ("metrics/predictions.csv", ",0.9", ",1.9", ("column confidence", "from 0 to 1")),
        ("metrics/predictions.csv", ",0.9", ",nan0.9", ("column confidence", "from 0 to 1")),
        ("metrics/predictions.csv", "\n9317,", "\n9317.5,", ("index: expected whole numbers",)),
        ("dvc.lock", "stages:", "stagez:", ("dvc.lock has no section 'stages'",)),
        ("dvc.lock", "data/split/test.npz", "data/split/x.npz", ("no hash of data/split/test",)),
        ("params.yaml", "review:", "reviewz:", ("params.yaml has no section 'review'",)),
        ("params.yaml", "margin: 0.005", "margin: 5.0",
         ("working tree: params.yaml: review.margin: got 5.0",)),
        ("params.yaml", "margin:", "marginn:", ("review.marginn: unknown key",)),
        ("params.yaml", "  margin:", "  inbox: a\n  agreement: 1\n  margin:",
         ("params.yaml: review.inbox: moved to retraining.inbox; ", "to retraining.agreement")),
        ("params.yaml", "train:", "train: [", ("params.yaml: not valid YAML",)),
        ("params.yaml", "  batch_size: 256\n  epochs", "  batch_size: 255\n  epochs",
         ("train.batch_size differs between dvc.lock and params.yaml", "dvc repro")),
        ("params.yaml", "  bins: 15", "  bin: 15", ("evaluate.bins: expected 1 or more",)),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named(
    branch: Branch, path: str, old: str, new: str, words: tuple[str, ...]
) -> None:
    file = branch.folder / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    if "evaluate.bins" in words[0]:
        branch.edit("dvc.lock", lambda lock: lock["stages"]["evaluate"].pop("params"))
    branch.cannot_compare(words=words)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("params.yaml", "working tree has no params.yaml"),
        ("dvc.lock", "working tree has no dvc.lock"),
        ("metrics/evaluate.json", "working tree has no metrics/evaluate.json"),
        ("metrics/predictions.csv", "working tree has no metrics/predictions.csv"),
    ],
)
def test_a_missing_file_is_named(branch: Branch, path: str, word: str) -> None:
    (branch.folder / path).unlink()
    branch.cannot_compare(words=(word,))


def test_metrics_must_agree_with_the_predictions(branch: Branch) -> None:
    branch.fix(60)
    branch.git("checkout", "--quiet", "main", "--", "metrics/evaluate.json")
    branch.cannot_compare(
        words=("accuracy is 0.9", f"by metrics/predictions.csv, but {branch.accuracy} in metrics/e")
    )


def test_every_class_must_be_in_the_test_set(branch: Branch) -> None:
    path = branch.folder / "metrics/predictions.csv"
    table = pd.read_csv(path)
    table[table["label"] != "bag"].to_csv(path, index=False)
    branch.cannot_compare(words=("predictions.csv has no image of class bag",))


def test_predictions_must_be_for_the_same_images(branch: Branch) -> None:
    def change(table: pd.DataFrame) -> None:
        table["index"] += 1

    branch.predict(change)
    branch.cannot_compare(words=("predictions.csv lists different images in main at ", " and HEAD"))


def test_test_sets_must_have_the_same_hash(branch: Branch) -> None:
    branch.edit("params.yaml", lambda params: params["split"].update(seed=28))

    def change(lock: Any) -> None:
        lock["stages"]["split"]["params"]["params.yaml"]["split"]["seed"] = 28
        for name, part in (("split", "outs"), ("evaluate", "deps")):
            for entry in lock["stages"][name][part]:
                if entry["path"] == "data/split/test.npz":
                    entry["md5"] = "0" * 32

    branch.edit("dvc.lock", change)
    branch.cannot_compare(words=("not the same test set", "data/split/test.npz", "0000000"))
    branch.commit()
    branch.cannot_compare(words=("not the same test set",))


def test_markdown_and_json_say_why_there_is_no_answer(branch: Branch) -> None:
    (branch.folder / "dvc.lock").unlink()
    done = branch.review("compare", "--md")
    assert done.returncode == 2
    assert done.stdout == "### cannot compare\n\nworking tree has no dvc.lock\n"
    done = branch.review("compare", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout) == {"cannot_compare": "working tree has no dvc.lock"}
