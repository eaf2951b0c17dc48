"""Draws a comparison as one HTML file that needs no server and asks nothing of the network."""

import base64
import io
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import jinja2
import numpy as np
import pandas as pd
import vl_convert
from numpy.typing import NDArray
from PIL import Image
from statsmodels.stats.proportion import proportion_confint

from fashion_mnist import files
from fashion_mnist.data import idx
from fashion_mnist.dataset import KEYS, NAMES
from fashion_mnist.errors import InputError
from repository.revisions import Revision
from review import comparison_text
from review.comparison import Comparison
from review.evidence import Evidence
from review.statistics import Answers

RAW = Path("data/raw")
# Both are legible on white and on black, and apart for the colour-blind.
COLOURS = ("#d9822b", "#3b8eea")
DASHES = {"training": [1, 0], "validation": [4, 3]}
HEIGHT = 260
DASH_LEGEND = alt.Legend(
    title=None, symbolType="stroke", symbolStrokeColor="currentColor", symbolStrokeWidth=2
)


class Picture(NamedTuple):
    """A test image whose answer changed.

    kind is fixed, broken, or wrong where both answers are; label and answers are names of
    classes, each answer with its confidence; image is a data URI, or None without the raw data.
    """

    kind: str
    label: str
    before: str
    after: str
    confidence: tuple[float, float]
    place: int
    image: str | None


class Matrix(NamedTuple):
    """A confusion matrix: rows are actual classes, columns answers.

    rows: pairs of count and shade, -1 to 1, of each cell: negative where more is bad.
    """

    title: str
    rows: list[list[tuple[int, float]]]


def confusion(answers: Answers) -> NDArray[np.int64]:
    """Return the count of each pair of actual class and answer, (10, 10) int64."""
    cells = answers.labels * len(KEYS) + answers.predictions
    return np.bincount(cells, minlength=len(KEYS) ** 2).reshape(len(KEYS), len(KEYS))


def matrices(base: Evidence, head: Evidence) -> list[Matrix]:
    """Return both confusion matrices and their difference."""
    before, after = confusion(base.answers), confusion(head.answers)
    good = np.where(np.eye(len(KEYS), dtype=bool), 1, -1)
    support = before.sum(axis=1, keepdims=True)
    change = after - before
    # The square root lets small counts be seen.
    shades = [good * np.sqrt(counts / support) for counts in (before, after)]
    scale = max(1, np.abs(change).max())
    shades.append(good * np.sign(change) * np.sqrt(np.abs(change) / scale))
    titles = [base.revision.name, head.revision.name, "difference"]
    return [
        Matrix(title, [list(zip(*row, strict=True)) for row in zip(counts, shade, strict=True)])
        for title, counts, shade in zip(
            titles,
            (before.tolist(), after.tolist(), change.tolist()),
            [shade.round(3).tolist() for shade in shades],
            strict=True,
        )
    ]


def pictures(base: Evidence, head: Evidence, images: idx.Uint8 | None) -> list[Picture]:
    """Return the test images whose answer changed, the surest new answers first.

    Args:
        base: The older revision.
        head: The newer one, scored on the same images.
        images: Those of the source file that the test set was taken from (n, 28, 28), if there.
    """
    old, new = base.answers, head.answers
    rows = np.flatnonzero(old.predictions != new.predictions)
    rows = rows[np.argsort(-new.confidence[rows], kind="stable")]
    found = []
    for row in rows:
        kind = "fixed" if new.right[row] else "broken" if old.right[row] else "wrong"
        place = int(head.places[row])
        found.append(
            Picture(
                kind,
                NAMES[new.labels[row]],
                NAMES[old.predictions[row]],
                NAMES[new.predictions[row]],
                (float(old.confidence[row]), float(new.confidence[row])),
                place,
                None if images is None else _uri(images[place]),
            )
        )
    return found


def raw_images(head: Evidence) -> idx.Uint8:
    """Return the images of the file that the test set was taken from, (n, 28, 28) uint8.

    Raises:
        InputError: The file is not there, or is not the one that the revision was made with.
    """
    name = "train" if head.parameters["split"]["role"] == "test" else "t10k"
    file = f"{name}-images-idx3-ubyte"
    path = head.revision.root / RAW / file
    if not path.exists():
        raise InputError(f"{RAW / file} is not there (`dvc repro download` fetches it)")
    pinned = head.parameters["download"]["files"].get(file, {}).get("sha256")
    if pinned and files.sha256(path) != pinned:
        raise InputError(f"{RAW / file} is not the file that params.yaml names")
    images = idx.read(path, 3)
    if head.places.max() >= len(images):
        raise InputError(f"{RAW / file} has {len(images)} images, too few for this test set")
    return images


def charts(base: Evidence, head: Evidence) -> dict[str, dict[str, Any]]:
    """Return the Vega-Lite specifications by title.

    Raises:
        InputError: A revision's history or calibration is missing or damaged.
    """
    sides = base.revision, head.revision
    names = [side.name for side in sides]
    colour = alt.Color("revision:N", title=None).scale(domain=names, range=COLOURS)
    history = _both(sides, "metrics/history.csv", ("epoch", "accuracy", "loss"))
    columns = {
        "accuracy": "training",
        "loss": "training",
        "val_accuracy": "validation",
        "val_loss": "validation",
    }
    present = [name for name in columns if name in history]
    epochs = sorted(history["epoch"].unique().tolist())
    curves = history.melt(["revision", "epoch"], present, "column", "value").dropna()
    curves["set"] = curves["column"].map(columns)
    found = {}
    for score in ("accuracy", "loss"):
        own = curves[curves["column"].isin([score, f"val_{score}"])]
        shared = alt.Chart(own).encode(
            # Named one by one: left to itself the axis labels halves of few epochs, rounded.
            alt.X("epoch:Q", axis=alt.Axis(format="d", values=epochs, labelOverlap=True)),
            alt.Y("value:Q", title=score).scale(zero=False),
            colour,
            tooltip=["revision", "set", "epoch", alt.Tooltip("value", format=".4f")],
        )
        lines = shared.mark_line().encode(
            alt.StrokeDash("set:N", legend=DASH_LEGEND).scale(
                domain=list(DASHES), range=list(DASHES.values())
            )
        )
        found[f"{score.capitalize()} by epoch"] = lines + shared.mark_circle(size=24, opacity=1)
    found["Recall of each class"] = _recall_chart(base, head, colour)
    calibration = _both(sides, "metrics/calibration.csv", ("confidence", "accuracy", "images"))
    diagonal = (
        alt.Chart(pd.DataFrame({"confidence": [0, 1], "accuracy": [0, 1]}))
        .mark_line(strokeDash=[2, 3], opacity=0.6, color="currentColor")
        .encode(alt.X("confidence:Q"), alt.Y("accuracy:Q"))
    )
    bins = (
        alt.Chart(calibration)
        .mark_line(point=alt.OverlayMarkDef(size=24), strokeWidth=2)
        .encode(
            alt.X("confidence:Q").scale(domain=[0, 1]),
            alt.Y("accuracy:Q").scale(domain=[0, 1]),
            colour,
            tooltip=[
                "revision",
                alt.Tooltip("confidence", format=".3f"),
                alt.Tooltip("accuracy", format=".3f"),
                "images",
            ],
        )
    )
    found["Reliability of the confidence"] = diagonal + bins
    return {
        title: chart.properties(width="container", height=HEIGHT).to_dict()
        for title, chart in found.items()
    }


def render(base: Evidence, head: Evidence, found: Comparison) -> str:
    """Return the report as HTML.

    Raises:
        InputError: A revision's history or calibration is missing or damaged.
    """
    images, missing = None, ""
    try:
        images = raw_images(head)
    except InputError as error:
        missing = str(error)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html").render(
        found=found,
        sentences=comparison_text.sentences(found),
        tables=comparison_text.tables(found),
        charts=charts(base, head),
        matrices=matrices(base, head),
        names=NAMES,
        pictures=pictures(base, head, images),
        missing=missing,
        library=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"),
    )


def _recall_chart(base: Evidence, head: Evidence, colour: alt.Color) -> alt.LayerChart:
    rows = []
    for side in (base, head):
        counts = confusion(side.answers)
        right, images = np.diag(counts), counts.sum(axis=1)
        low, high = proportion_confint(right, images, method="wilson")
        rows += [
            {"revision": side.revision.name, "class": name, "recall": r, "low": a, "high": b}
            for name, r, a, b in zip(NAMES, right / images, low, high, strict=True)
        ]
    tooltip = [
        "revision",
        "class",
        *(alt.Tooltip(c, format=".4f") for c in ("recall", "low", "high")),
    ]
    shared = alt.Chart(pd.DataFrame(rows)).encode(
        alt.Y("class:N", sort=list(NAMES), title=None),
        alt.YOffset("revision:N", sort=[base.revision.name, head.revision.name]),
        colour,
        tooltip=tooltip,
    )
    span = shared.mark_rule(strokeWidth=2).encode(
        alt.X("low:Q", title="recall, 95% Wilson interval").scale(zero=False), alt.X2("high:Q")
    )
    return span + shared.mark_circle(size=60, opacity=1).encode(alt.X("recall:Q"))


def _both(sides: tuple[Revision, Revision], path: str, columns: tuple[str, ...]) -> pd.DataFrame:
    tables = []
    for side in sides:
        try:
            table = pd.read_csv(io.StringIO(side.read(path)))
        except ValueError as error:
            raise InputError(f"{side.name}: {path} is no table: {error}") from error
        absent = [name for name in columns if name not in table]
        if absent:
            raise InputError(f"{side.name}: {path} has no column {absent[0]}")
        tables.append(table.assign(revision=side.name))
    return pd.concat(tables, ignore_index=True)


def _uri(image: idx.Uint8) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
