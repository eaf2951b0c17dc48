"""Images of a report as data URIs of PNG files."""

import base64
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fashion_mnist.data.labelled import Uint8

GOOD, BAD = (47, 125, 209), (217, 112, 43)  # on white and on black
SIDE = 680  # pixels of a heat map, at most; a page shows it at about half of that
CELLS = 340  # of a side, at most: smaller ones could not be seen


def uri(image: Uint8) -> str:
    """Return an image as a data URI.

    Args:
        image: Grey (height, width), or with 3 or 4 channels (height, width, channels), uint8.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def heat_map(shades: NDArray[np.float64]) -> str:
    """Return the data URI of a heat map: blue for positive shades, orange for negative ones.

    Args:
        shades: From -1 to 1, (n, n). If n is large, the cells of a small square become one, which
            has the shade of the strongest.
    """
    pooled = strongest(shades, math.ceil(len(shades) / CELLS))
    pixels = np.zeros((*pooled.shape, 4), np.uint8)
    pixels[..., :3] = np.where(pooled[..., None] > 0, GOOD, BAD)
    pixels[..., 3] = np.round(255 * np.abs(pooled))
    pixels[pooled == 0] = 0
    factor = max(1, SIDE // len(pooled))
    return uri(pixels.repeat(factor, axis=0).repeat(factor, axis=1))


def strongest(shades: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the shade furthest from 0 in each square of `side` cells; at the edges, of fewer."""
    squares = math.ceil(len(shades) / side)
    padded = np.pad(shades, (0, squares * side - len(shades)))
    cells = (
        padded.reshape(squares, side, squares, side).swapaxes(1, 2).reshape(squares, squares, -1)
    )
    places = np.abs(cells).argmax(axis=2)[..., None]
    found: NDArray[np.float64] = np.take_along_axis(cells, places, axis=2)[..., 0]
    return found
