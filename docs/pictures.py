"""Draws the pictures of README.md and docs/: the overview, and a screenshot of a report.

`docs/overview.png` shows test images with their predictions beside the confusion matrix, from
metrics/predictions.csv and data/split/test.npz. `docs/report.png` and `docs/report_small.png` are
excerpts of `python -m review report BASE HEAD` in Chromium.

Run `dvc repro split` first, then `python -m docs.pictures`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from playwright.sync_api import sync_playwright

from fashion_mnist import dataset
from fashion_mnist.data.labelled import Uint8
from fashion_mnist.dataset import Dataset
from fashion_mnist.errors import InputError, reported
from fashion_mnist.files import new_file

MISTAKES = 2  # images in the gallery whose prediction is wrong
COLUMNS = 4
RIGHT, WRONG = "#1d1f23", "#b3372b"
COLOURS = 256  # in a PNG file, at most

BASE, HEAD = "19a5dcb", "HEAD"  # as in README.md
WIDTH = 1200  # of the browser, in pixels
# What is hidden of a report, by file: its tables and most images, in the small one charts as well.
EXCERPTS = {
    "report.png": ".tables, .pictures li:nth-child(n + 15)",
    "report_small.png": ".tables, section:has(.chart), .filters, .pictures li:nth-child(n + 8)",
}


def chosen(predictions: pd.DataFrame, data: Dataset) -> list[int]:
    """Return rows of the gallery: a right answer for each class, then mistakes of two classes."""
    right = predictions["label"] == predictions["prediction"]
    firsts = [np.flatnonzero(right & (predictions["label"] == key))[0] for key in data.keys]
    mistakes = predictions[~right].drop_duplicates("label").index[:MISTAKES]
    return [*map(int, firsts), *mistakes]


def overview(predictions: pd.DataFrame, images: Uint8, data: Dataset) -> Figure:
    """Draw test images under their predictions, and the confusion matrix beside them.

    Args:
        predictions: Columns label, prediction (keys of classes) and confidence, a row per image.
        images: The test images in the same order, uint8 (n, height, width).
        data: Their classes.
    """
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.0, 1.15))[0]
    rows = chosen(predictions, data)
    axes = left.subplots(len(rows) // COLUMNS, COLUMNS).ravel()
    labels, answers = predictions["label"].tolist(), predictions["prediction"].tolist()
    for axis, row in zip(axes, rows, strict=True):
        label, prediction = labels[row], answers[row]
        title = f"{data.classes[prediction]}\n{predictions['confidence'][row]:.0%}"
        title += "" if label == prediction else f", is {data.classes[label]}"
        axis.imshow(images[row], cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(title, fontsize=9, color=RIGHT if label == prediction else WRONG)
        axis.set_axis_off()
    _confusion_matrix(right.subplots(), predictions, data)
    return figure


def _confusion_matrix(axis: Axes, predictions: pd.DataFrame, data: Dataset) -> None:
    table = pd.crosstab(predictions["label"], predictions["prediction"])
    counts = table.reindex(index=data.keys, columns=data.keys, fill_value=0).to_numpy()
    # The square root keeps small counts visible beside the diagonal.
    shades = np.sqrt(counts / counts.sum(axis=1, keepdims=True))
    axis.imshow(shades, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shades[row, column] > 0.6 else RIGHT
        axis.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8, color=colour)
    axis.set_xticks(range(len(data.names)), data.names, rotation=40, ha="right", fontsize=9)
    axis.set_yticks(range(len(data.names)), data.names, fontsize=9)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("actual class")
    right = np.trace(counts) / counts.sum()
    axis.set_title(f"{counts.sum():,} test images, {right:.2%} right", fontsize=11)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)


def screenshot(page: Path, hidden: str, image: Path) -> None:
    """Save a report as PNG, without the elements that a CSS selector names."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        raise InputError("expected chromium or google-chrome on the PATH")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        view = chromium.new_page(viewport={"width": WIDTH, "height": 800}, color_scheme="light")
        view.goto(page.resolve().as_uri())
        view.wait_for_selector("body[data-drawn]")
        view.add_style_tag(content=f":is({hidden}) {{ display: none !important; }}")
        view.screenshot(path=image, full_page=True)
        chromium.close()


def shrink(source: Path, path: Path) -> None:
    """Write a picture as a PNG file with a palette, which makes it small."""
    with Image.open(source) as picture, new_file(path) as temporary:
        # An octree keeps a rare colour; the default method would mix it with a frequent one.
        octree = Image.Quantize.FASTOCTREE
        few = picture.convert("RGB").quantize(COLOURS, octree, dither=Image.Dither.NONE)
        few.save(temporary, "PNG", optimize=True)


def _draw_overview(path: Path) -> None:
    texts = {"label": str, "prediction": str}
    predictions = pd.read_csv("metrics/predictions.csv", dtype=texts, na_filter=False)
    with np.load("data/split/test.npz", allow_pickle=False) as archive:
        images, index = archive["images"], archive["index"]
    if index.tolist() != predictions["index"].tolist():
        raise InputError("data/split/test.npz: expected the images of metrics/predictions.csv")
    with new_file(path) as temporary:
        figure = overview(predictions, images, dataset.read(dataset.FILE))
        figure.savefig(temporary, dpi=110, metadata={"Software": None})


def _draw_report(base: str, head: str, folder: Path, scratch: Path) -> None:
    page = scratch / "report.html"
    command = [sys.executable, "-m", "review", "report", base, head, "--output", str(page)]
    # 1 is a change that the rules refuse, which has a report too.
    if subprocess.run(command, check=False).returncode not in (0, 1):
        raise InputError(f"there is no report of {base} and {head}")
    for name, hidden in EXCERPTS.items():
        screenshot(page, hidden, scratch / name)
        shrink(scratch / name, folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m docs.pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("base", nargs="?", default=BASE, help="default: %(default)s")
    parser.add_argument("head", nargs="?", default=HEAD, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="default: %(default)s")
    args = parser.parse_args()
    with reported("pictures"), tempfile.TemporaryDirectory() as folder:
        _draw_overview(args.output / "overview.png")
        _draw_report(args.base, args.head, args.output, Path(folder))


if __name__ == "__main__":
    main()
