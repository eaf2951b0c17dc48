"""Searches for input that makes a reader crash or read wrongly, guided by coverage.

`python -m tests.fuzz idx` (or csv, params) runs until it is stopped or finds such input. Options
of libFuzzer may follow, such as `-max_total_time=60` (seconds). The next run starts from the
interesting inputs of the last one, which are kept in .fuzz/.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["fashion_mnist", "ruamel", "stages"]):
    from fashion_mnist import params
    from fashion_mnist.data import delivery, idx
    from fashion_mnist.errors import InputError
    from stages import download, evaluate, preprocess, split, train

from tests.conftest import FASHION, ROOT

SCRATCH = Path(tempfile.mkdtemp(prefix="fuzz-"))
SCHEMAS = {
    "download": download.Params,
    "split": split.Params,
    "preprocess": preprocess.Params,
    "train": train.Params,
    "evaluate": evaluate.Params,
}


def read_idx(content: bytes) -> None:
    """Read bytes as images, labels or a whole file, and as the labels of one image."""
    images, labels, again = (SCRATCH / name for name in ("images", "labels", "again"))
    for magic, dimensions in (
        (IMAGES, idx.IMAGES),
        (COLOUR, idx.IMAGES),
        (LABELS, idx.LABELS),
        (MANY, idx.LABELS),
        (b"", idx.IMAGES),
        (b"", idx.LABELS),
    ):
        images.write_bytes(magic + content)
        try:
            found = idx.header(images, dimensions)
            blocks = list(idx.blocks(images, dimensions))
        except InputError:
            continue
        # Every byte is read, and no other. Labels of 16 bits have a sign.
        assert sum(map(len, blocks)) == found.shape[0]
        array = np.concatenate(blocks) if blocks else np.zeros(0)
        if array.size and array.min() >= 0:
            idx.write(again, array.astype(np.uint8 if found.dtype == np.uint8 else np.uint16))
            assert again.read_bytes() == images.read_bytes()
    images.write_bytes(IMAGES + ONE + bytes([0, 0, 0, 28, 0, 0, 0, 28]) + bytes(784))
    labels.write_bytes(LABELS + content)
    try:
        x, y = delivery.read([images, labels], FASHION)
    except InputError:
        return
    assert x.shape == (len(y), 28, 28)
    assert y.max() < 10


IMAGES, LABELS, ONE = bytes([0, 0, 8, 3]), bytes([0, 0, 8, 1]), bytes([0, 0, 0, 1])
COLOUR, MANY = bytes([0, 0, 8, 4]), bytes([0, 0, 11, 1])
HEADER = ",".join(["label", *(f"pixel{number}" for number in range(1, 785))]).encode() + b"\n"
ROW = b"3," + b",".join([b"7"] * 784) + b"\n"


def read_csv(content: bytes) -> None:
    """Read bytes after a valid header and row, or alone."""
    path = SCRATCH / "some.csv"
    path.write_bytes(content[1:] if content[:1] == b"\0" else HEADER + ROW + content)
    try:
        images, labels = delivery.read([path], FASHION)
    except InputError:
        return
    rows = path.read_bytes().splitlines()[1:]
    for row, image, label in zip(rows, images, labels, strict=True):
        assert [int(value) for value in row.split(b",")] == [label, *image.ravel()]


def read_params(content: bytes) -> None:
    """Read bytes as params.yaml."""
    path = SCRATCH / "params.yaml"
    path.write_bytes(content)
    for name, schema in SCHEMAS.items():
        try:
            params.read(path, name, schema)
        except InputError:
            continue


TARGETS: dict[str, Callable[[bytes], None]] = {
    "idx": read_idx,
    "csv": read_csv,
    "params": read_params,
}


def seeds(name: str, folder: Path) -> None:
    """Write the first inputs."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "idx":
        (folder / "images").write_bytes(ONE + ONE + ONE + b"7")
        (folder / "labels").write_bytes(ONE + b"3")
        (folder / "whole").write_bytes(IMAGES + ONE + ONE + ONE + b"7")
    elif name == "csv":
        (folder / "row").write_bytes(ROW)
        (folder / "whole").write_bytes(b"\0" + HEADER + ROW)
    else:
        text = (ROOT / "params.yaml").read_bytes()
        (folder / "whole").write_bytes(text)
        for number, section in enumerate(text.split(b"\n\n")):
            (folder / f"section-{number}").write_bytes(section)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", choices=TARGETS)
    args, options = parser.parse_known_args()
    corpus = ROOT / ".fuzz" / args.target
    seeds(args.target, corpus)
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[args.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
