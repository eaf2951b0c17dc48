"""Writes the model card from committed files: data, recipe, scores with intervals, limits."""

import argparse
import io
import re
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from ruamel.yaml import YAML
from statsmodels.stats.proportion import proportion_confint

from fashion_mnist import files
from fashion_mnist.dataset import HALVES
from fashion_mnist.errors import InputError
from repository import dvc_lock, revisions
from review import evidence, many, spread
from review.evidence import Evidence

CARD = "metrics/model_card.md"
TEMPLATE = Path(__file__).with_name("card.md")
# SHA-256 of the release's files, also where they are made from its CSV or .npz files. Of other
# images, nothing is known but what the metrics say.
FASHION_MNIST = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def render(side: Evidence) -> str:
    """Return the card of a revision, as Markdown.

    Raises:
        InputError: A metrics file is missing or damaged.
    """
    download, split, train, evaluate = (
        side.revision.json(f"metrics/{name}.json")
        for name in ("download", "split", "train", "evaluate")
    )
    released = _released(side, download)
    rows = _rows(side, evaluate["classes"])
    names = [_escaped(name) for name in side.classes.values()]
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
        fashion=released == FASHION_MNIST,
        released=released,
        kind=_kind(side, download["train"]),
        rows=rows,
        classes=len(names),
        all=many.ALL,
        names=many.listed(names, many.ALL),
        worst=min(rows, key=lambda row: float(row["recall"])),
        best=max(rows, key=lambda row: float(row["recall"])),
        spread=spread.own(side),
        recipe=_yaml({"train": dict(side.parameters["train"])}),
        percent=lambda share: f"{share:.2%}",
    )


def _released(side: Evidence, download: dict[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each file of the release that the model was trained and scored on.

    Raises:
        InputError: metrics/download.json lacks them, or the size of the images.
    """
    # Not every release has an official test file.
    halves = [half for half in HALVES if half == "train" or half in download]
    try:
        int(download["train"]["rows"]), int(download["train"]["columns"])
        return {name: sha for half in halves for name, sha in download[half]["sha256"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{side.revision.name}: metrics/download.json: expected rows, columns and sha256 of "
            f"{' and '.join(halves)}, but there is no {error}"
        ) from error


def _kind(side: Evidence, train: dict[str, Any]) -> str:
    """Return what the images are: grey or in colour, and their size.

    Args:
        side: The revision.
        train: Description of the training file, for revisions that describe the data nowhere else.
    """
    data = evidence.described(side.revision)
    if data is None:
        return f"grey image of {train['rows']}x{train['columns']} pixels"
    return f"{'grey' if data.channels == 1 else 'colour'} image of {data.size} pixels"


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


def _rows(side: Evidence, scores: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row of the table for each class; of many classes, for those of the lowest recall."""
    labels = list(range(len(side.classes)))
    if len(labels) > many.ALL:
        recalls = [float(scores[key]["recall"]) for key in side.classes]
        labels = sorted(labels, key=lambda label: recalls[label])[: many.TABLE]
    keys = list(side.classes)
    return [_row(side, label, scores[keys[label]]) for label in labels]


def _row(side: Evidence, label: int, scores: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of a class, the interval of its recall, and the most frequent mistake."""
    images = side.answers.labels == label
    low, high = proportion_confint(
        int(side.answers.right[images].sum()), int(images.sum()), method="wilson"
    )
    wrong = side.answers.predictions[images & ~side.answers.right]
    names = list(side.classes.values())
    counts = np.bincount(wrong, minlength=len(names))
    most = int(counts.argmax())
    confused_with = f"{_escaped(names[most])} ({counts[most]})" if counts[most] else ""
    return {
        "name": _escaped(names[label]),
        "low": low,
        "high": high,
        "confused_with": confused_with,
        **scores,
    }


def _escaped(name: str) -> str:
    """Return the name of a class as Markdown that shows it in a table."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", name)


def _yaml(content: dict[str, Any]) -> str:
    text = io.StringIO()
    YAML().dump(content, text)
    return text.getvalue()
