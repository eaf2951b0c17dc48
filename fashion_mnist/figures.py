"""Draws images in a grid, as PNG files with the same bytes in every run."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from fashion_mnist.data.labelled import Uint8
from fashion_mnist.files import new_file

DPI = 110
FEW_ROWS = 3
HALF_BRIGHT = 128  # grey value

# A user's own matplotlibrc must not change the bytes.
mpl.rcdefaults()


def samples(images: Sequence[Uint8], names: Sequence[str], path: Path) -> None:
    """Draw one column of images per class.

    Args:
        images: Images of each class, uint8 (k, height, width) or (k, height, width, 3).
        names: Classes, as titles of the columns.
        path: PNG file to write.
    """
    rows = max(map(len, images))
    places = [(row, column) for row in range(rows) for column in range(len(names))]
    cells = [images[column][row] if row < len(images[column]) else None for row, column in places]
    _draw(cells, [*names, *[""] * (len(cells) - len(names))], len(names), path)


def gallery(images: Uint8, titles: Sequence[str], path: Path) -> None:
    """Draw images in a grid of six columns, each under its title.

    Args:
        images: Images, uint8 (n, height, width) or (n, height, width, 3).
        titles: One title per image; it may have several lines.
        path: PNG file to write.
    """
    _draw(list(images), titles, 6, path)


def _draw(images: Sequence[Uint8 | None], titles: Sequence[str], columns: int, path: Path) -> None:
    rows = max(1, math.ceil(len(images) / columns))
    lines = 1 + max((title.count("\n") for title in titles), default=0)
    height = (1.15 + 0.17 * lines) * rows
    if rows < FEW_ROWS:
        height += 0.17 * lines  # or the titles of the first row would be cut off
    figure = Figure(figsize=(1.3 * columns, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    # Strokes on black are drawn in ink on paper; pictures that are bright already stay as they are.
    known = [image.mean() for image in images if image is not None]
    grey = "gray_r" if not known or np.mean(known) < HALF_BRIGHT else "gray"
    for axis, image, title in zip(axes, images, titles, strict=False):
        if image is not None:
            axis.imshow(image, cmap=grey, vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(title, fontsize=7, parse_math=False)
    if not images:
        figure.text(0.5, 0.5, "none", ha="center", va="center")
    with new_file(path) as temporary, warnings.catch_warnings():
        # The locked font has no Chinese characters, for example, and draws boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        # By default Matplotlib writes its own version into the file.
        figure.savefig(temporary, dpi=DPI, metadata={"Software": None})
