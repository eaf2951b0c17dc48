"""Scales the images of each set to float32 and writes their labels one-hot, a block at a time."""

import argparse
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fashion_mnist import orphan, params
from fashion_mnist.data.idx import Uint8
from fashion_mnist.dataset import NAMES, SIDE
from fashion_mnist.errors import DAMAGED, InputError, reported
from fashion_mnist.files import new_folder, write_checksums, write_metrics

SETS = ("train", "validation", "test")
BLOCK = 4096  # images

Float32 = NDArray[np.float32]


class Params(params.Section):
    """Section `preprocess` of params.yaml."""

    scale: Literal["unit", "standard", "none"]


def blocks(path: Path, name: str, shape: tuple[int, ...]) -> Iterator[Uint8]:
    """Yield array `name` of an .npz file as consecutive blocks of up to 4096 rows.

    Args:
        path: An .npz file as `numpy.savez` writes it. The checksums in it are verified.
        name: The array, which must be uint8.
        shape: Of one row.

    Raises:
        InputError: The file is missing or damaged, or the array is not of that shape and type.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            if npy.read_magic(file) != (1, 0):
                raise ValueError("not an array that this version writes")
            found, fortran, dtype = npy.read_array_header_1_0(file)
            if found[1:] != shape or dtype != np.uint8 or fortran:
                raise ValueError(f"{dtype} {found}, expected uint8 {('n', *shape)}")
            row = int(np.prod(shape))
            for start in range(0, found[0], BLOCK):
                rows = min(BLOCK, found[0] - start)
                content = _read_exactly(cast(BinaryIO, file), rows * row)
                yield np.frombuffer(content, np.uint8).reshape(rows, *shape)
    except DAMAGED as error:
        raise InputError(f"{path}: {name}: {error}") from error


def _read_exactly(file: BinaryIO, count: int) -> bytes:
    content = file.read(count)
    while len(content) < count:
        more = file.read(count - len(content))
        if not more:
            raise EOFError(f"ends {count - len(content)} bytes early")
        content += more
    return content


def histogram(images: Iterator[Uint8]) -> NDArray[np.int64]:
    """Return how often each of the 256 grey values occurs, int64 (256,)."""
    counts = np.zeros(256, np.int64)
    for block in images:
        counts += np.bincount(block.ravel(), minlength=256)
    return counts


def moments(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return mean and standard deviation of grey values that occur `counts` (256,) times.

    Integers carry the sums, so that the result is the same on every processor.
    """
    greys, number = np.arange(256), int(counts.sum())
    total, squares = int(greys @ counts), int(greys**2 @ counts)
    return total / number, math.sqrt((number * squares - total**2) / number**2)


def constants(scale: str, counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return what is subtracted from a grey value, then what it is divided by.

    Args:
        scale: `unit`, `standard` or `none`.
        counts: Grey values of the training set, as `histogram` returns them.

    Raises:
        InputError: `standard`, but all pixels of the training set are equal.
    """
    if scale == "unit":
        return 0.0, 255.0
    if scale == "none":
        return 0.0, 1.0
    mean, deviation = moments(counts)
    if not deviation:
        raise InputError("preprocess.scale: got standard, but all training pixels are equal")
    return mean, deviation


def one_hot(labels: Uint8) -> Float32:
    """Return labels (n,) as rows (n, 10) that are 1 at the label and 0 elsewhere.

    Raises:
        InputError: A label is no class.
    """
    if labels.size and labels.max() >= len(NAMES):
        raise InputError(f"label {labels.max()}, expected 0 to {len(NAMES) - 1}")
    return np.eye(len(NAMES), dtype=np.float32)[labels]


def prepare(source: Path, folder: Path, offset: float, divisor: float) -> dict[str, Any]:
    """Write images.npy (n, 28, 28, 1), labels.npy (n, 10), float32, and SHA256SUMS of one set.

    Args:
        source: Its .npz file.
        folder: Where to write.
        offset: Subtracted from each grey value.
        divisor: What the rest is divided by.

    Returns:
        The metrics of the set: number of images and, if it has any, statistics of its pixels.
    """
    # A look-up gives the same bits on every processor.
    table = ((np.arange(256.0) - offset) / divisor).astype(np.float32)
    counts = histogram(blocks(source, "images", (SIDE, SIDE)))
    images = int(counts.sum()) // SIDE**2
    with new_folder(folder) as temporary:
        pixels = blocks(source, "images", (SIDE, SIDE))
        scaled = (table[block][..., np.newaxis] for block in pixels)
        _write_rows(temporary / "images.npy", (images, SIDE, SIDE, 1), scaled)
        labels = (one_hot(block) for block in blocks(source, "labels", ()))
        rows = _write_rows(temporary / "labels.npy", (images, len(NAMES)), labels)
        if rows != images:
            raise InputError(f"{source}: {images} images but {rows} labels")
        write_checksums(temporary)
    if not images:
        return {"images": 0}
    mean, deviation = moments(counts)
    present = table[counts > 0]
    return {
        "images": images,
        "mean": (mean - offset) / divisor,
        "standard_deviation": deviation / divisor,
        "min": float(present.min()),
        "max": float(present.max()),
    }


def _write_rows(path: Path, shape: tuple[int, ...], rows: Iterator[Float32]) -> int:
    """Write rows to an .npy file whose header announces `shape`; return how many there were."""
    dtype = np.dtype("<f4")
    written = 0
    with path.open("wb") as file:
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, header)
        for block in rows:
            file.write(block.astype(dtype, copy=False).tobytes())
            written += len(block)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.preprocess", description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    parser.add_argument(
        "--section", default="preprocess", help="section of it (default: %(default)s)"
    )
    parser.add_argument(
        "--split", type=Path, required=True, help="folder of {train,validation,test}.npz"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for <set>/{images,labels}.npy"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="JSON: statistics of the sets")
    args = parser.parse_args()
    orphan.watch()
    with reported("preprocess"):
        settings = params.read(args.params, args.section, Params)
        train = blocks(args.split / "train.npz", "images", (SIDE, SIDE))
        offset, divisor = constants(settings.scale, histogram(train))
        metrics: dict[str, Any] = {"scale": {"offset": offset, "divisor": divisor}}
        for name in SETS:
            source = args.split / f"{name}.npz"
            metrics[name] = prepare(source, args.output / name, offset, divisor)
        write_metrics(args.metrics, metrics)


if __name__ == "__main__":
    main()
