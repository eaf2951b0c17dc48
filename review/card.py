"""Writes the model card from what is committed: data, recipe, figures with intervals, limits."""

import io
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from ruamel.yaml import YAML
from statsmodels.stats.proportion import proportion_confint

from fashion_mnist.dataset import KEYS, NAMES
from repository import dvc_lock
from review import spread
from review.evidence import Evidence

CARD = "metrics/model_card.md"
TEMPLATE = Path(__file__).with_name("card.md")


def render(side: Evidence) -> str:
    """Return the card of a revision, as Markdown.

    Raises:
        InputError: A metrics file is missing or damaged.
    """
    revision = side.revision
    metrics = {
        name: revision.json(f"metrics/{name}.json")
        for name in ("download", "split", "train", "evaluate")
    }
    classes = [_row(side, label, metrics["evaluate"]) for label in range(len(KEYS))]
    known = spread.find(side)
    current = known and known.recipe == spread.recipe(side.parameters, side.lock)
    text = io.StringIO()
    YAML().dump({"train": dict(side.parameters["train"])}, text)
    # Markdown, not HTML, and of files that were checked.
    environment = jinja2.Environment(  # noqa: S701
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        train=side.parameters["train"],
        role=side.parameters["split"]["role"],
        md5=dvc_lock.outputs(side.lock, "train")[dvc_lock.MODEL],
        scores=metrics["evaluate"],
        cost=metrics["train"],
        sets=metrics["split"],
        batches={k: v for k, v in metrics["download"].items() if k not in ("train", "t10k")},
        classes=classes,
        worst=min(classes, key=lambda row: float(row["recall"])),
        spread=known if current else None,
        recipe=text.getvalue(),
        percent=lambda share: f"{share:.2%}",
    )


def _row(side: Evidence, label: int, scores: dict[str, Any]) -> dict[str, Any]:
    own = scores["classes"][KEYS[label]]
    rows = side.answers.labels == label
    right, images = int(side.answers.right[rows].sum()), int(rows.sum())
    low, high = proportion_confint(right, images, method="wilson")
    wrong = side.answers.predictions[rows & ~side.answers.right]
    counts = np.bincount(wrong, minlength=len(KEYS))
    often = int(counts.argmax())
    taken_for = f"{NAMES[often]} ({counts[often]})" if counts[often] else ""
    return {"name": NAMES[label], "low": low, "high": high, "taken_for": taken_for, **own}
