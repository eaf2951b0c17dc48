"""Writes the model card from committed files: data, recipe, scores with intervals, limits."""

import argparse
import io
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from ruamel.yaml import YAML
from statsmodels.stats.proportion import proportion_confint

from fashion_mnist import files
from fashion_mnist.dataset import HALVES, KEYS, NAMES
from repository import dvc_lock, revisions
from review import evidence, spread
from review.evidence import Evidence

CARD = "metrics/model_card.md"
TEMPLATE = Path(__file__).with_name("card.md")


def render(side: Evidence) -> str:
    """Return the card of a revision, as Markdown.

    Raises:
        InputError: A metrics file is missing or damaged.
    """
    download, split, train, evaluate = (
        side.revision.json(f"metrics/{name}.json")
        for name in ("download", "split", "train", "evaluate")
    )
    classes = [_row(side, label, evaluate["classes"][key]) for label, key in enumerate(KEYS)]
    # Markdown, not HTML, and its values come from files that were checked.
    environment = jinja2.Environment(  # noqa: S701
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        train=side.parameters["train"],
        role=side.parameters["split"]["role"],
        md5=dvc_lock.outputs(side.lock, "train")[dvc_lock.MODEL],
        scores=evaluate,
        cost=train,
        sets=split,
        deliveries={name: found for name, found in download.items() if name not in HALVES},
        classes=classes,
        worst=min(classes, key=lambda row: float(row["recall"])),
        spread=spread.own(side),
        recipe=_yaml({"train": dict(side.parameters["train"])}),
        percent=lambda share: f"{share:.2%}",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb: it has none."""


def run(args: argparse.Namespace) -> int:
    """Write the card of the working tree, and return the exit code.

    Raises:
        InputError: See `evidence.gather` and `render`.
    """
    root = revisions.root(Path())
    text = render(evidence.gather(revisions.working_tree(root)))
    with files.new_file(root / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"written to {CARD}")
    return 0


def _row(side: Evidence, label: int, scores: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of a class, the interval of its recall, and the most frequent mistake."""
    images = side.answers.labels == label
    low, high = proportion_confint(
        int(side.answers.right[images].sum()), int(images.sum()), method="wilson"
    )
    wrong = side.answers.predictions[images & ~side.answers.right]
    counts = np.bincount(wrong, minlength=len(KEYS))
    most = int(counts.argmax())
    confused_with = f"{NAMES[most]} ({counts[most]})" if counts[most] else ""
    return {
        "name": NAMES[label],
        "low": low,
        "high": high,
        "confused_with": confused_with,
        **scores,
    }


def _yaml(content: dict[str, Any]) -> str:
    text = io.StringIO()
    YAML().dump(content, text)
    return text.getvalue()
