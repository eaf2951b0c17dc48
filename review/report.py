"""Draws a comparison as one HTML file that needs neither a server nor the network."""

import argparse
import io
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import jinja2
import numpy as np
import pandas as pd
import vl_convert
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from fashion_mnist import files
from fashion_mnist.data import idx
from fashion_mnist.data.labelled import Uint8
from fashion_mnist.dataset import HALVES
from fashion_mnist.errors import InputError
from repository.revisions import Revision
from review import arguments, comparison, comparison_text, evidence, many, png
from review.comparison import Comparison
from review.evidence import Evidence
from review.statistics import Answers

RAW = Path("data/raw")
DOWNLOAD = "metrics/download.json"
# Legible on white and on black, and distinct for colour-blind readers.
COLOURS = ("#d9822b", "#3b8eea")
DASHES = {"training": [1, 0], "validation": [4, 3]}
# Set that each column of history.csv describes.
CURVES = {
    "accuracy": "training",
    "loss": "training",
    "val_accuracy": "validation",
    "val_loss": "validation",
}
HEIGHT = 260
CLASS_HEIGHT = 18  # of a class in a chart, at least
# What a report has of pictures, at most; those of large images would make it too large to open.
PICTURES = 2000
PICTURE_BYTES = 2 << 20
DASH_LEGEND = alt.Legend(
    title=None, symbolType="stroke", symbolStrokeColor="currentColor", symbolStrokeWidth=2
)


class Picture(NamedTuple):
    """A test image whose answer changed.

    kind: "fixed", "broken", or "wrong" if both answers are.
    label: Name of the actual class.
    before, after: Names of the predicted classes.
    confidence: Confidence of both answers.
    place: Place of the image in its source file.
    image: Data URI; None without the raw data.
    height, width: Of the image, in pixels.
    """

    kind: str
    label: str
    before: str
    after: str
    confidence: tuple[float, float]
    place: int
    image: str | None
    height: int = 0
    width: int = 0


class Matrix(NamedTuple):
    """A confusion matrix: rows are actual classes, columns predicted ones.

    rows: Count and shade of each cell; the shade is from -1 to 1, negative for more mistakes.
        Empty if there are many classes.
    image: Data URI of a heat map of the shades, if there are many classes.
    """

    title: str
    rows: list[list[tuple[int, float]]]
    image: str | None


def confusion(answers: Answers) -> NDArray[np.int64]:
    """Return the count of each pair of actual and predicted class, (classes, classes) int64."""
    classes = int(answers.labels.max()) + 1  # every class has an image
    cells = answers.labels * classes + answers.predictions
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def matrices(base: Evidence, head: Evidence) -> list[Matrix]:
    """Return both confusion matrices and their difference."""
    before, after = confusion(base.answers), confusion(head.answers)
    good = np.where(np.eye(len(before), dtype=bool), 1, -1)
    support = before.sum(axis=1, keepdims=True)
    change = after - before
    # The square root makes small counts visible.
    shades = [good * np.sqrt(counts / support) for counts in (before, after)]
    scale = max(1, np.abs(change).max())
    shades.append(good * np.sign(change) * np.sqrt(np.abs(change) / scale))
    titles = [base.revision.name, head.revision.name, "difference"]
    if len(before) > many.ALL:
        return [
            Matrix(title, [], png.heat_map(shade))
            for title, shade in zip(titles, shades, strict=True)
        ]
    return [
        Matrix(
            title, [list(zip(*row, strict=True)) for row in zip(counts, shade, strict=True)], None
        )
        for title, counts, shade in zip(
            titles,
            (before.tolist(), after.tolist(), change.tolist()),
            [shade.round(3).tolist() for shade in shades],
            strict=True,
        )
    ]


def changed_rows(base: Evidence, head: Evidence) -> NDArray[np.intp]:
    """Return the rows of the answers that changed, the most confident new answers first."""
    rows = np.flatnonzero(base.answers.predictions != head.answers.predictions)
    return rows[np.argsort(-head.answers.confidence[rows], kind="stable")]


def pictures(
    base: Evidence, head: Evidence, rows: NDArray[np.intp], images: Uint8 | None
) -> list[Picture]:
    """Return the first of the test images whose answer changed, as many as a report can have.

    Args:
        base: The older revision.
        head: The newer revision, scored on the same images.
        rows: Rows of the answers that changed.
        images: Images of these rows, (k, height, width) or (k, height, width, 3) uint8, if present;
            those of the first rows suffice.
    """
    old, new, names = base.answers, head.answers, list(head.classes.values())
    height, width = (0, 0) if images is None else images.shape[1:3]
    found: list[Picture] = []
    size = 0
    for place, row in enumerate(rows[:PICTURES]):
        image = None if images is None else png.uri(images[place])
        size += len(image or "")
        if found and size > PICTURE_BYTES:
            break
        kind = "fixed" if new.right[row] else "broken" if old.right[row] else "wrong"
        found.append(
            Picture(
                kind,
                names[new.labels[row]],
                names[old.predictions[row]],
                names[new.predictions[row]],
                (float(old.confidence[row]), float(new.confidence[row])),
                int(head.places[row]),
                image,
                height,
                width,
            )
        )
    return found


def raw_images(head: Evidence, rows: NDArray[np.intp]) -> Uint8:
    """Return the images of some rows of the answers, (k, height, width) or with colours, uint8.

    Raises:
        InputError: The source file of the test set is missing, or is not the one that the revision
            was made with.
    """
    file, known = _source_file(head)
    path = head.revision.root / RAW / file
    if not path.exists():
        raise InputError(f"{RAW / file} is missing: `dvc repro download` fetches it")
    pins = head.parameters["download"].get("files", {})
    pinned, source = pins.get(file, {}).get("sha256"), "params.yaml"
    if not pinned:  # made from files in a different format
        pinned, source = known, DOWNLOAD
    if pinned and files.sha256(path) != pinned:
        raise InputError(f"{RAW / file} is not the file that {source} names")
    count = idx.header(path, idx.IMAGES).shape[0]
    if head.places.max() >= count:
        raise InputError(f"{RAW / file} has {count} images, too few for this test set")
    return idx.rows(path, idx.IMAGES, head.places[rows])


def _source_file(head: Evidence) -> tuple[str, str | None]:
    """Return the name of the file with the test images, and its SHA-256 if download.json has it."""
    halves: dict[str, Any] = {half: {} for half in HALVES}
    if DOWNLOAD in head.revision.files("metrics"):
        halves = head.revision.json(DOWNLOAD)
    official = head.parameters["split"]["role"] != "test" and "t10k" in halves
    half = "t10k" if official else "train"
    name = HALVES[half][0]
    try:
        return name, halves[half]["sha256"][name]
    except (KeyError, TypeError):
        return name, None


def charts(base: Evidence, head: Evidence) -> dict[str, dict[str, Any]]:
    """Return the Vega-Lite specifications by title.

    Raises:
        InputError: A revision's history or calibration is missing or damaged.
    """
    sides = base.revision, head.revision
    colour = alt.Color("revision:N", title=None).scale(
        domain=[side.name for side in sides], range=COLOURS
    )
    history = _both(sides, "metrics/history.csv", ("epoch", "accuracy", "loss"))
    calibration = _both(sides, "metrics/calibration.csv", ("confidence", "accuracy", "images"))
    found = {
        "Accuracy by epoch": curves_chart(history, "accuracy", colour),
        "Loss by epoch": curves_chart(history, "loss", colour),
        _recall_title(head): recall_chart(base, head, colour),
        "Reliability of the confidence": reliability_chart(calibration, colour),
    }
    heights = {_recall_title(head): max(HEIGHT, CLASS_HEIGHT * len(charted(head)))}
    return {
        title: chart.properties(width="container", height=heights.get(title, HEIGHT)).to_dict()
        for title, chart in found.items()
    }


def charted(head: Evidence) -> list[int]:
    """Return the labels of the classes in the chart of recall: all, or those of the lowest."""
    labels = list(range(len(head.classes)))
    if len(labels) <= many.ALL:
        return labels
    recalls = evidence.recalls(head.answers)
    return sorted(labels, key=lambda label: recalls[label])[: many.CHART]


def _recall_title(head: Evidence) -> str:
    labels = charted(head)
    if len(labels) == len(head.classes):
        return "Recall of each class"
    return f"Recall of the {len(labels)} classes with the lowest, of {len(head.classes):,}"


def curves_chart(history: pd.DataFrame, score: str, colour: alt.Color) -> alt.LayerChart:
    """Return the chart of a score by epoch, in training and, where known, in validation."""
    columns = [name for name in (score, f"val_{score}") if name in history]
    curves = history.melt(["revision", "epoch"], columns, "column", "value").dropna()
    curves["set"] = curves["column"].map(CURVES)
    # Listed one by one: by default the axis labels halves of few epochs, rounded.
    epochs = sorted(history["epoch"].unique().tolist())
    shared = alt.Chart(curves).encode(
        alt.X("epoch:Q", axis=alt.Axis(format="d", values=epochs, labelOverlap=True)),
        alt.Y("value:Q", title=score).scale(zero=False),
        colour,
        tooltip=["revision", "set", "epoch", alt.Tooltip("value", format=".4f")],
    )
    dash = alt.StrokeDash("set:N", legend=DASH_LEGEND).scale(
        domain=list(DASHES), range=list(DASHES.values())
    )
    return shared.mark_line().encode(dash) + shared.mark_circle(size=24, opacity=1)


def recall_chart(base: Evidence, head: Evidence, colour: alt.Color) -> alt.LayerChart:
    """Return the chart of the recall of the `charted` classes, with its interval."""
    rows, labels = [], charted(head)
    names = [list(head.classes.values())[label] for label in labels]
    for side in (base, head):
        counts = confusion(side.answers)
        right, images = np.diag(counts)[labels], counts.sum(axis=1)[labels]
        low, high = proportion_confint(right, images, method="wilson")
        rows += [
            {"revision": side.revision.name, "class": name, "recall": r, "low": a, "high": b}
            for name, r, a, b in zip(names, right / images, low, high, strict=True)
        ]
    numbers = [alt.Tooltip(name, format=".4f") for name in ("recall", "low", "high")]
    shared = alt.Chart(pd.DataFrame(rows)).encode(
        alt.Y("class:N", sort=names, title=None),
        alt.YOffset("revision:N", sort=[base.revision.name, head.revision.name]),
        colour,
        tooltip=["revision", "class", *numbers],
    )
    span = shared.mark_rule(strokeWidth=2).encode(
        alt.X("low:Q", title="recall, 95% Wilson interval").scale(zero=False), alt.X2("high:Q")
    )
    return span + shared.mark_circle(size=60, opacity=1).encode(alt.X("recall:Q"))


def reliability_chart(calibration: pd.DataFrame, colour: alt.Color) -> alt.LayerChart:
    """Return the chart of accuracy by confidence, with the diagonal of perfect calibration."""
    diagonal = (
        alt.Chart(pd.DataFrame({"confidence": [0, 1], "accuracy": [0, 1]}))
        .mark_line(strokeDash=[2, 3], opacity=0.6, color="currentColor")
        .encode(alt.X("confidence:Q"), alt.Y("accuracy:Q"))
    )
    numbers = [alt.Tooltip(name, format=".3f") for name in ("confidence", "accuracy")]
    bins = (
        alt.Chart(calibration)
        .mark_line(point=alt.OverlayMarkDef(size=24), strokeWidth=2)
        .encode(
            alt.X("confidence:Q").scale(domain=[0, 1]),
            alt.Y("accuracy:Q").scale(domain=[0, 1]),
            colour,
            tooltip=["revision", *numbers, "images"],
        )
    )
    return diagonal + bins


def render(base: Evidence, head: Evidence, found: Comparison) -> str:
    """Return the report as HTML.

    Raises:
        InputError: A revision's history or calibration is missing or damaged.
    """
    images, missing = None, ""
    rows = changed_rows(base, head)
    try:
        images = raw_images(head, rows[:PICTURES])
    except InputError as error:
        missing = str(error)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    shown = pictures(base, head, rows, images)
    names, occurring = list(head.classes.values()), {picture.label for picture in shown}
    return environment.get_template("report.html").render(
        found=found,
        sentences=comparison_text.sentences(found),
        tables=comparison_text.tables(found, comparison_text.lowest_classes(found)),
        charts=charts(base, head),
        matrices=matrices(base, head),
        names=names,
        labels=[name for name in names if len(names) <= many.ALL or name in occurring],
        pictures=shown,
        hidden=len(rows) - len(shown),
        missing=missing,
        library=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"),
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    arguments.add_revisions(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("report.html"),
        help="file to write (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the report, print the verdict, and return the exit code.

    Raises:
        InputError: See `arguments.sides`, `comparison.compare` and `render`.
    """
    base, head = arguments.sides(args)
    found = comparison.compare(base, head)
    html = render(base, head, found)
    with files.new_file(args.output) as temporary:
        temporary.write_text(html, encoding="utf-8")
    print(f"{comparison_text.headline(found)}: {args.output}")
    return 0 if found.accepted else 1


def _both(sides: tuple[Revision, Revision], path: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the rows of a table of both revisions, with the name of theirs in column `revision`.

    Raises:
        InputError: A table is missing, damaged, or lacks one of `columns`.
    """
    tables = []
    for side in sides:
        try:
            table = pd.read_csv(io.StringIO(side.read(path)))
        except ValueError as error:
            raise InputError(f"{side.name}: {path} is not CSV: {error}") from error
        absent = [name for name in columns if name not in table]
        if absent:
            raise InputError(f"{side.name}: {path} has no column {absent[0]}")
        tables.append(table.assign(revision=side.name))
    return pd.concat(tables, ignore_index=True)
