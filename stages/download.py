"""Fetches the four files of the release, verified by hash, and describes what is in them."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from fashion_mnist import figures, idx, params, sources
from fashion_mnist.artifacts import new_folder, sha256, write_metrics, write_table
from fashion_mnist.classes import KEYS, NAMES
from fashion_mnist.errors import InputError, reported
from fashion_mnist.idx import Uint8

# Each half of the release: its images and its labels.
HALVES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "t10k": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
SAMPLES = 5  # images of each class in the figure


class Files(params.Section):
    """The pinned files; the names are those of the release."""

    train_images: sources.Pin = Field(alias="train-images-idx3-ubyte")
    train_labels: sources.Pin = Field(alias="train-labels-idx1-ubyte")
    t10k_images: sources.Pin = Field(alias="t10k-images-idx3-ubyte")
    t10k_labels: sources.Pin = Field(alias="t10k-labels-idx1-ubyte")


class Params(params.Section):
    """Section `download` of params.yaml."""

    sources: list[str] = Field(min_length=1)
    timeout: float = Field(gt=0)  # seconds without a byte
    attempts: int = Field(ge=1)
    files: Files


def fetch_all(settings: Params, present: Path, folder: Path) -> None:
    """Fill `folder` with the pinned files.

    Files that already stand in `present` with the right hash are copied, not fetched. The others
    are asked of each source in turn; a source that fails for one file is not asked for the next.

    Raises:
        InputError: Every source failed; the message gives each one's reason.
    """
    missing: dict[str, sources.Pin] = {}
    for name, pin in settings.files.model_dump(by_alias=True).items():
        pin = sources.Pin(**pin)
        if (present / name).is_file() and sha256(present / name) == pin.sha256:
            (folder / name).write_bytes((present / name).read_bytes())
            _say(f"{name}: already there")
        else:
            missing[name] = pin
    failures = []
    for source in settings.sources if missing else []:
        try:
            with sources.opened(source) as place:
                for name in list(missing):
                    _fetch(place, name, missing[name], folder / name, settings)
                    del missing[name]
                    _say(f"{name}: from {source}")
        # Each protocol fails in ways of its own; whatever it is, the next source may do better.
        except Exception as error:
            reason = " ".join(f"{type(error).__name__} {error}".split())
            reason = reason.removeprefix("InputError ")
            failures.append(f"{source}: {reason}")
            _say(f"{failures[-1]}; trying the next source")
        if not missing:
            return
    if missing:
        raise InputError(f"no source has {', '.join(missing)}: " + "; ".join(failures))


def _fetch(place: str, name: str, pin: sources.Pin, target: Path, settings: Params) -> None:
    def from_url(url: str) -> None:
        sources.fetch(url, pin, target, timeout=settings.timeout, attempts=settings.attempts)

    try:
        from_url(f"{place}/{name}.gz")
    except FileNotFoundError:
        from_url(f"{place}/{name}")


def _say(text: str) -> None:
    print(f"download: {text}", file=sys.stderr, flush=True)


def describe(images: Uint8, labels: Uint8) -> dict[str, Any]:
    """Return number and size of the images (n, rows, columns) and how many each class has."""
    counts = np.bincount(labels, minlength=len(KEYS)).tolist()
    return {
        "images": len(images),
        "rows": images.shape[1],
        "columns": images.shape[2],
        "classes": dict(zip(KEYS, counts, strict=True)),
    }


def first_of_each_class(images: Uint8, labels: Uint8) -> Uint8:
    """Return the first five images of each class, class after class, as (50, rows, columns)."""
    rows = [np.flatnonzero(labels == label)[:SAMPLES] for label in range(len(KEYS))]
    short = [NAMES[label] for label, found in enumerate(rows) if len(found) < SAMPLES]
    if short:
        raise InputError(f"class {short[0]} has fewer than {SAMPLES} images")
    return images[np.concatenate(rows)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.download", description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    parser.add_argument("--output", type=Path, required=True, help="folder for the four IDX files")
    parser.add_argument("--metrics", type=Path, required=True, help="JSON: counts and hashes")
    parser.add_argument("--classes", type=Path, required=True, help="CSV: images of each class")
    parser.add_argument("--figure", type=Path, required=True, help="PNG: samples of each class")
    args = parser.parse_args()
    with reported("download"):
        settings = params.read(args.params, "download", Params)
        metrics = {}
        with new_folder(args.output) as folder:
            fetch_all(settings, args.output, folder)
            for half, names in HALVES.items():
                images, labels = idx.read_pair(*(folder / name for name in names))
                hashes = {name: sha256(folder / name) for name in names}
                metrics[half] = describe(images, labels) | {"sha256": hashes}
                if half == "train":
                    samples = first_of_each_class(images, labels)
        counts = [
            {"set": half, "class": name, "images": metrics[half]["classes"][key]}
            for half in HALVES
            for key, name in zip(KEYS, NAMES, strict=True)
        ]
        write_table(args.classes, pd.DataFrame(counts))
        figures.samples(samples, NAMES, args.figure)
        write_metrics(args.metrics, metrics)


if __name__ == "__main__":
    main()
