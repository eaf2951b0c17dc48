"""The model card has the figures of the committed metrics."""

import json

from repository import revisions
from review import card, evidence
from tests.review.conftest import Branch


def written(branch: Branch) -> str:
    """Return the card that `python -m review card` writes."""
    (branch.folder / card.CARD).unlink()
    done = branch.review("card")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "written to metrics/model_card.md\n"
    return (branch.folder / card.CARD).read_text()


def test_the_card_has_the_figures_of_the_metrics(branch: Branch) -> None:
    text = written(branch)
    scores = json.loads((branch.folder / "metrics/evaluate.json").read_text())
    interval = scores["accuracy_interval"]
    assert f"| accuracy | {scores['accuracy']:.2%} | {interval['low']:.2%} to" in text
    for name, key in (("Trouser", "trouser"), ("T-shirt/top", "t_shirt_top")):
        found = scores["classes"][key]
        (row,) = (line for line in text.splitlines() if line.startswith(f"| {name} "))
        assert f"| {found['recall']:.2%} |" in row
        assert f"| {found['f1']:.2%} | {found['auc']:.4f} |" in row
    assert (
        "Trained on 50,000 images, validated on 10,000 after each epoch, tested on 10,000." in text
    )
    assert "The recipe was chosen by its accuracy on this same test set" in text
    assert "delivered after the release" not in text
    assert "Over " not in text
    assert card.render(evidence.gather(revisions.working_tree(branch.folder))) == text


def test_the_card_has_the_mean_over_seeds_of_this_recipe_only(branch: Branch) -> None:
    branch.record_spread(0.94, 0.95)
    text = written(branch)
    assert (
        "Over 2 seeds, the recipe reaches a mean accuracy of 94.50% (95% interval 88.15% to" in text
    )
    path = branch.folder / "metrics/spread.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "0" * 64}))
    assert "Over " not in written(branch)


def test_deliveries_after_the_release_are_listed(branch: Branch) -> None:
    path = branch.folder / "metrics/download.json"
    metrics = json.loads(path.read_text())
    delivery = metrics["train"] | {"images": 1234}
    path.write_text(json.dumps(metrics | {"delivery_2024_05_01_0123abcd": delivery}))
    line = (
        "\nImages delivered after the release:\n\n- `delivery_2024_05_01_0123abcd`: 1,234 images\n"
    )
    assert line in written(branch)


def test_without_metrics_no_card_is_written(branch: Branch) -> None:
    (branch.folder / "metrics/train.json").unlink()
    before = (branch.folder / card.CARD).read_text()
    done = branch.review("card")
    assert done.returncode == 2
    assert "working tree has no metrics/train.json" in done.stderr
    assert (branch.folder / card.CARD).read_text() == before
