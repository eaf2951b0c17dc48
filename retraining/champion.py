"""Asks the current model, the champion, what it thinks of a delivery's labels."""

import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fashion_mnist import determinism
from fashion_mnist.data import prepared
from fashion_mnist.data.labelled import Labels, Uint8
from fashion_mnist.dataset import Dataset
from repository import dvc_lock
from stages import evaluate, preprocess

BATCH_SIZE = 256  # images


class Opinion(NamedTuple):
    """Share of the labels that the model predicts too, and its mean confidence."""

    agreement: float
    confidence: float


def ask(
    folder: Path, images: Uint8, labels: Labels, dataset: Dataset, mirror_average: bool
) -> Opinion:
    """Return what the model in a checkout says about a delivery.

    Args:
        folder: A checkout whose pipeline has run.
        images: The delivery's images, (n, height, width) or (n, height, width, 3).
        labels: The delivery's labels (n,).
        dataset: What the images and labels are.
        mirror_average: Average over image and mirror image, as `evaluate` does.
    """
    # TensorFlow takes seconds to load.
    if "tensorflow" not in sys.modules:
        determinism.start(0)
    from fashion_mnist import model_file

    scale = json.loads((folder / "metrics/preprocess.json").read_text())["scale"]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        np.savez(scratch / "delivery.npz", images=images, labels=labels)
        preprocess.prepare(
            scratch / "delivery.npz",
            scratch / "prepared",
            scale["offset"],
            scale["divisor"],
            dataset,
        )
        # Keras prints its progress to standard output, which is for answers.
        with redirect_stdout(sys.stderr):
            answers = evaluate.predict(
                model_file.load(folder / dvc_lock.MODEL),
                prepared.load(scratch / "prepared"),
                BATCH_SIZE,
                mirror_average,
            )
    return Opinion(
        agreement=float((answers.argmax(axis=1) == labels).mean()),
        confidence=float(answers.max(axis=1).mean()),
    )


def objections(opinion: Opinion, floor: float) -> list[str]:
    """Return why a delivery is refused for the model's opinion of it."""
    if opinion.agreement >= floor:
        return []
    return [
        f"the current model agrees with {opinion.agreement:.1%} of the labels, "
        f"expected at least {floor:.1%}"
    ]
