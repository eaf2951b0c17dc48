"""Scales the images of each set to float32 and encodes their labels one-hot, block by block."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fashion_mnist import dataset, params
from fashion_mnist.data import npz
from fashion_mnist.data.labelled import Labels, Uint8
from fashion_mnist.data.prepared import Float32
from fashion_mnist.dataset import Dataset
from fashion_mnist.errors import InputError
from fashion_mnist.files import new_folder, write_checksums, write_metrics
from fashion_mnist.stage import Stage

SETS = ("train", "validation", "test")


class Params(params.Section):
    """Section `preprocess` of params.yaml."""

    scale: Literal["unit", "standard", "none"]


def blocks(path: Path, name: str, shape: tuple[int, ...], dtype: type) -> Iterator[NDArray[Any]]:
    """Yield an array of an .npz file in consecutive blocks of rows.

    Args:
        path: File as `split` writes it; its checksums are verified.
        name: Name of the array.
        shape: Shape of one row.
        dtype: Type of its values.

    Raises:
        InputError: The file is missing or damaged, or the array has another shape or type.
    """
    found = npz.header(path, name)
    if found.shape[1:] != shape or found.dtype != dtype:
        raise InputError(
            f"{path}: {name}: {found.dtype} {found.shape}, expected "
            f"{np.dtype(dtype)} {('n', *shape)}"
        )
    return npz.blocks(path, name)


def histogram(images: Iterator[Uint8]) -> NDArray[np.int64]:
    """Return how often each of the 256 grey values occurs, int64 (256,)."""
    counts = np.zeros(256, np.int64)
    for block in images:
        counts += np.bincount(block.ravel(), minlength=256)
    return counts


def moments(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return mean and standard deviation of the grey values with these counts (256,).

    The sums are integers, so the result is the same on every processor.
    """
    greys, number = np.arange(256), int(counts.sum())
    total, squares = int(greys @ counts), int(greys**2 @ counts)
    return total / number, math.sqrt((number * squares - total**2) / number**2)


def constants(scale: str, counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the offset that is subtracted from a grey value and the divisor of the result.

    Args:
        scale: `unit`, `standard` or `none`.
        counts: Histogram of the training set.

    Raises:
        InputError: `scale` is `standard`, but all pixels of the training set are equal.
    """
    if scale == "unit":
        return 0.0, 255.0
    if scale == "none":
        return 0.0, 1.0
    mean, deviation = moments(counts)
    if not deviation:
        raise InputError("preprocess.scale: got standard, but all training pixels are equal")
    return mean, deviation


def one_hot(labels: Labels, classes: int) -> Float32:
    """Return labels (n,) as rows (n, classes) that are 1 at the label and 0 elsewhere.

    Raises:
        InputError: A label is out of range.
    """
    if labels.size and labels.max() >= classes:
        raise InputError(f"label {labels.max()}, expected 0 to {classes - 1}")
    return np.eye(classes, dtype=np.float32)[labels]


def prepare(
    source: Path, folder: Path, offset: float, divisor: float, found: Dataset
) -> dict[str, Any]:
    """Write a set as images.npy, labels.npy and SHA256SUMS.

    The arrays are those of `prepared.Prepared`.

    Args:
        source: The set as `split` writes it.
        folder: Folder to write.
        offset: Number subtracted from each grey value.
        divisor: Number that the result is divided by.
        found: What the images are.

    Returns:
        Metrics of the set: number of images and, unless it is empty, statistics of its pixels.

    Raises:
        InputError: The set is damaged, or does not have one label per image.
    """
    # A table gives the same bits on every processor.
    table = ((np.arange(256.0) - offset) / divisor).astype(np.float32)
    counts = histogram(blocks(source, "images", found.image_shape, np.uint8))
    images = int(counts.sum()) // math.prod(found.shape)
    classes = len(found.classes)
    labels = npz.header(source, "labels").shape[0]
    if labels != images:
        raise InputError(f"{source}: {images} images but {labels} labels")
    with new_folder(folder) as temporary:
        pixels = blocks(source, "images", found.image_shape, np.uint8)
        scaled = (table[block] for block in pixels)
        write_rows(temporary / "images.npy", (images, *found.shape), scaled)
        encoded = (
            one_hot(block, classes) for block in blocks(source, "labels", (), found.label_type)
        )
        write_rows(temporary / "labels.npy", (images, classes), encoded)
        write_checksums(temporary)
    return {"images": images} | describe(counts, table, offset, divisor)


def write_rows(path: Path, shape: tuple[int, ...], rows: Iterator[Float32]) -> None:
    """Write an .npy file of float32 with this shape, from consecutive blocks of its values."""
    # Not through a memory map: on a full disk, that ends the process without a message.
    header = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, header)
        for block in rows:
            file.write(block.tobytes())


def describe(
    counts: NDArray[np.int64], table: Float32, offset: float, divisor: float
) -> dict[str, float]:
    """Return mean, standard deviation, minimum and maximum of the scaled pixels, if there are any.

    Args:
        counts: Histogram of the grey values.
        table: Scaled value of each grey value, (256,).
        offset: Number subtracted from each grey value.
        divisor: Number that the result is divided by.
    """
    if not counts.any():
        return {}
    mean, deviation = moments(counts)
    present = table[counts > 0]
    return {
        "mean": (mean - offset) / divisor,
        "standard_deviation": deviation / divisor,
        "min": float(present.min()),
        "max": float(present.max()),
    }


def main() -> None:
    stage = Stage("stages.preprocess", __doc__, Params)
    stage.reads("--split", "folder of {train,validation,test}.npz")
    stage.reads("--dataset", "JSON: what the images are")
    stage.writes("--output", "folder of {train,validation,test}/{images,labels}.npy")
    stage.writes("--metrics", "JSON: statistics of the pixels")
    with stage.running() as (args, settings):
        found = dataset.read(args.dataset)
        train = blocks(args.split / "train.npz", "images", found.image_shape, np.uint8)
        offset, divisor = constants(settings.scale, histogram(train))
        metrics: dict[str, Any] = {"scale": {"offset": offset, "divisor": divisor}}
        for name in SETS:
            source = args.split / f"{name}.npz"
            metrics[name] = prepare(source, args.output / name, offset, divisor, found)
        write_metrics(args.metrics, metrics)


if __name__ == "__main__":
    main()
