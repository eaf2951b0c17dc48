"""Makes the images that the tests use: a few of each class, in the form of the release.

`python -m tests.make_fixture`, after `dvc repro download`, takes the first images of each class
from both files, in file order, and writes them as gzipped IDX files.
"""

import gzip
from pathlib import Path

import numpy as np

from fashion_mnist.data import idx
from fashion_mnist.dataset import HALVES

EACH = {"train": 30, "t10k": 10}  # images of each class
FOLDER = Path(__file__).parent / "fixture"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for half, names in HALVES.items():
        images, labels = idx.read_pair(*(Path("data/raw") / name for name in names))
        first = [np.flatnonzero(labels == label)[: EACH[half]] for label in range(10)]
        rows = np.sort(np.concatenate(first))
        for name, array in zip(names, (images[rows], labels[rows]), strict=True):
            plain = FOLDER / name
            idx.write(plain, array)
            # Without name and time in the header, so that the bytes do not vary.
            (FOLDER / f"{name}.gz").write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
            plain.unlink()


if __name__ == "__main__":
    main()
