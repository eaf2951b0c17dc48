"""One training in a process of its own: what it cost and what it reached."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fashion_mnist import determinism, models
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared
from stages import train

# What a user of Keras gets who sets nothing: LeNet as it was published.
PLAIN = None


def run(settings: Mapping[str, Any] | None, folders: tuple[Path, Path]) -> dict[str, float]:
    """Train in a new process and return its figures.

    Args:
        settings: Section `train` of a parameter file; `PLAIN` for LeNet by `Model.fit` on arrays,
            five epochs in batches of 32, in the environment that TensorFlow sets up itself.
        folders: Prepared sets to train on and to score.

    Returns:
        seconds of the training, from compiled model to last step, graph building included;
        images seen; accuracy on the scored set, and that with the average of each image and its
        mirror; FLOPs of an image's way forward; peak memory of the process in MiB.

    Raises:
        subprocess.CalledProcessError: The training failed.
    """
    command = [sys.executable, "-m", "benchmarks.trial", *map(str, folders)]
    done = subprocess.run(
        command,
        input=json.dumps(settings),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _plain(data: Prepared) -> tuple[Any, float, int]:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    images, labels = np.array(data.images), np.array(data.labels)
    model = models.build("lenet", {})
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    began = time.perf_counter()
    model.fit(images, labels, batch_size=32, epochs=5, verbose=0)
    return model, time.perf_counter() - began, 5 * len(images)


def train_recipe(data: Prepared, settings: train.Params) -> tuple[Any, float, int]:
    """Train on a set, nothing validating; return the model, the seconds, and the images seen."""
    determinism.start(settings.seed)
    nothing = Prepared(data.images[:0], data.labels[:0])
    model = models.build(settings.model, settings.arguments)
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        models.adapt(settings.model, model, data.images)
        _, steps = train.fit(model, settings, data, nothing, Path(scratch) / "state.npz", "trial")
        seconds = time.perf_counter() - began
    return model, seconds, int(steps["images"].sum())


def _peak() -> float:
    # Unlike getrusage, this does not start at the peak of the parent process.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trial", description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    args = parser.parse_args()
    settings = json.load(sys.stdin)
    data, test = prepared.load(args.train), prepared.load(args.test)
    if settings is PLAIN:
        model, seconds, images = _plain(data)
    else:
        model, seconds, images = train_recipe(data, train.Params.model_validate(settings))
    # Memory of the training; scoring comes after.
    peak = _peak()
    flops = train.flops(model)
    labels = test.labels.argmax(axis=1)
    direct = model.predict(test.images, batch_size=500, verbose=0)
    mirrored = model.predict(test.images[:, :, ::-1], batch_size=500, verbose=0)
    figures = {
        "seconds": seconds,
        "images": images,
        "accuracy": float((direct.argmax(axis=1) == labels).mean()),
        "mirror_average": float(((direct + mirrored).argmax(axis=1) == labels).mean()),
        "flops_per_image": flops,
        "peak_mib": peak,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
