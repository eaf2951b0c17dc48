"""The model card has the figures of the metrics, and `verify` notices when it does not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from repository import revisions
from review import card, evidence

Review = Callable[..., CompletedProcess[str]]


@pytest.fixture
def folder(tracked: Path, tmp_path: Path) -> Path:
    """A repository whose pipeline has run."""
    folder = tmp_path / "repository"
    shutil.copytree(tracked, folder)
    return folder


@pytest.fixture
def text(folder: Path, review: Review) -> str:
    """The card of that repository, which is written there."""
    done = review(folder, "card")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "written to metrics/model_card.md\n"
    return (folder / card.CARD).read_text()


def test_the_card_has_the_figures_of_the_metrics(folder: Path, text: str) -> None:
    scores = json.loads((folder / "metrics/evaluate.json").read_text())
    interval = scores["accuracy_interval"]
    assert f"| accuracy | {scores['accuracy']:.2%} | {interval['low']:.2%} to" in text
    for name, key in (("Trouser", "trouser"), ("T-shirt/top", "t_shirt_top")):
        found = scores["classes"][key]
        (row,) = (line for line in text.splitlines() if line.startswith(f"| {name} "))
        assert f"| {found['recall']:.2%} |" in row
        assert f"| {found['f1']:.2%} | {found['auc']:.4f} |" in row
    sets = json.loads((folder / "metrics/split.json").read_text())
    assert f"Trained on {sets['train']['images']:,} images, validated on" in text
    assert "tested on 100." in text
    assert "The recipe was chosen by its accuracy on this same test set" in text
    assert "delivered after the release" not in text
    assert "Over " not in text
    side = evidence.gather(revisions.working_tree(folder))
    assert card.render(side) == text


def test_deliveries_after_the_release_are_listed(folder: Path) -> None:
    path = folder / "metrics/download.json"
    metrics = json.loads(path.read_text())
    delivery = metrics["train"] | {"images": 1234}
    path.write_text(json.dumps(metrics | {"delivery_2024_05_01_0123abcd": delivery}))
    text = card.render(evidence.gather(revisions.working_tree(folder)))
    assert (
        "\nImages delivered after the release:\n\n- `delivery_2024_05_01_0123abcd`: 1,234" in text
    )


def test_an_outdated_card_is_a_warning_that_names_the_command(
    folder: Path, text: str, review: Review
) -> None:
    def checked() -> dict[str, object]:
        done = review(folder, "verify", "--json", "--stages", "evaluate")
        assert done.returncode == 0, done.stdout
        found: dict[str, object] = json.loads(done.stdout)
        return found

    assert checked()["warnings"] == []
    (folder / card.CARD).write_text(text.replace("Do not edit it", "I have edited it"))
    assert checked()["warnings"] == [
        "metrics/model_card.md is out of date: `python -m review card` writes it"
    ]


def test_without_metrics_there_is_no_card(folder: Path, review: Review) -> None:
    (folder / "metrics/train.json").unlink()
    done = review(folder, "card")
    assert done.returncode == 2
    assert "working tree has no metrics/train.json" in done.stderr
    assert not (folder / card.CARD).exists()
