"""Draws images in a grid, as PNG files with the same bytes in every run."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from fashion_mnist.data.idx import Uint8
from fashion_mnist.files import new_file

DPI = 110

# A user's own matplotlibrc must not change the bytes.
mpl.rcdefaults()


def samples(images: Uint8, names: Sequence[str], path: Path) -> None:
    """Draw one column of images per class.

    Args:
        images: Equally many images per class, class after class, uint8 (n, height, width).
        names: Classes, as titles of the columns.
        path: PNG file to write.
    """
    rows = len(images) // len(names)
    order = np.arange(len(images)).reshape(len(names), rows).T.ravel()
    titles = [*names, *[""] * (len(images) - len(names))]
    _draw(images[order], titles, len(names), path)


def gallery(images: Uint8, titles: Sequence[str], path: Path) -> None:
    """Draw images in a grid of six columns, each under its title.

    Args:
        images: Images, uint8 (n, height, width).
        titles: One title per image; it may have several lines.
        path: PNG file to write.
    """
    _draw(images, titles, 6, path)


def _draw(images: Uint8, titles: Sequence[str], columns: int, path: Path) -> None:
    rows = max(1, math.ceil(len(images) / columns))
    lines = 1 + max((title.count("\n") for title in titles), default=0)
    figure = Figure(figsize=(1.3 * columns, (1.15 + 0.17 * lines) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, title in zip(axes, images, titles, strict=False):
        axis.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(title, fontsize=7, parse_math=False)
    with new_file(path) as temporary:
        # By default Matplotlib writes its own version into the file.
        figure.savefig(temporary, dpi=DPI, metadata={"Software": None})
