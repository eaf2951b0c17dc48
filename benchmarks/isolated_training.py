"""Trains one model in a process of its own and reports its cost and its accuracy.

Reads section `train` of a parameter file as JSON from standard input (null: LeNet by plain Keras)
and prints the figures as one line of JSON.
"""

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import child_process, command_line
from fashion_mnist import determinism, models
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared
from fashion_mnist.errors import reported
from stages import train

# TensorFlow may load only after its settings are fixed.
if TYPE_CHECKING:
    import keras

    from fashion_mnist.training.batches import Batches
    from fashion_mnist.training.shards import ShardedModel

# In place of settings: LeNet as published, in the environment that TensorFlow sets up itself.
PLAIN_LENET = None
EPOCHS, BATCH_SIZE = 5, 32  # of plain LeNet


def run(
    settings: Mapping[str, Any] | None,
    folders: tuple[Path, Path],
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, float]:
    """Train in a new process and return its figures.

    Args:
        settings: Section `train` of a parameter file, or `PLAIN_LENET`.
        folders: Prepared sets to train on and to score.
        environment: Variables to set for the process.

    Returns:
        seconds: training time from the compiled model to the last step, graph building included;
        images: images trained on, counted once per epoch;
        accuracy: accuracy on the scored set;
        mirror_average: accuracy when the outputs for image and mirror image are averaged;
        flops_per_image: floating-point operations of one forward pass;
        peak_mib: peak memory of the process in MiB, before scoring.

    Raises:
        InputError: The training failed.
    """
    figures: dict[str, float] = child_process.run(
        "benchmarks.isolated_training",
        *map(str, folders),
        stdin=json.dumps(settings),
        environment=environment,
    )
    return figures


def without_start_up(
    settings: Mapping[str, Any], folders: tuple[Path, Path], steps: tuple[int, int]
) -> tuple[float, float]:
    """Return the images and seconds by which a longer training exceeds a short one.

    Args:
        settings: Section `train` of a parameter file.
        folders: Prepared sets to train on and to score.
        steps: The steps of the short and of the longer training.

    Raises:
        InputError: A training failed.
    """
    # Enough epochs for the steps; with a validation set that is empty there is no best epoch.
    limited = {**settings, "epochs": 100, "select": "last"}
    short, longer = (run(limited | {"steps": number}, folders) for number in steps)
    return longer["images"] - short["images"], longer["seconds"] - short["seconds"]


def describe(figures: Mapping[str, float]) -> str:
    """Return the figures of a training as text with units."""
    return (
        f"accuracy {figures['accuracy']:.2%} ({figures['mirror_average']:.2%} with mirror "
        f"average), {figures['seconds']:,.0f} s, "
        f"{figures['images'] / figures['seconds']:,.0f} images per second, "
        f"{figures['flops_per_image'] / 1e6:.1f} MFLOPs per image (forward pass), "
        f"peak memory {figures['peak_mib']:,.0f} MiB"
    )


def new_model(name: str, arguments: Mapping[str, Any] | None, data: Prepared) -> "keras.Model":
    """Return a new model of an architecture for these images and classes."""
    return models.build(name, arguments, data.images.shape[1:], data.labels.shape[1])


def train_plain_lenet(data: Prepared) -> tuple[Any, float, int]:
    """Train LeNet by `Model.fit` on arrays; return the model, the seconds and the images seen."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    images, labels = np.array(data.images), np.array(data.labels)
    model = new_model("lenet", {}, data)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    began = time.perf_counter()
    model.fit(images, labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    return model, time.perf_counter() - began, EPOCHS * len(images)


def train_recipe(data: Prepared, settings: train.Params) -> tuple[Any, float, int]:
    """Train as the stage does, without validation.

    Return the model, the seconds and the images seen.
    """
    determinism.start(settings.seed)
    validation = Prepared(data.images[:0], data.labels[:0])
    model = new_model(settings.model, settings.arguments, data)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Path(scratch) / "checkpoint.npz"
        began = time.perf_counter()
        models.adapt(settings.model, model, data.images)
        _, steps = train.fit(model, settings, data, validation, checkpoint, [])
        seconds = time.perf_counter() - began
    return model, seconds, int(steps["images"].sum())


def recipe_model(settings: train.Params, batches: "Batches") -> "ShardedModel":
    """Return a recipe's model, adapted to the images and ready to train on the batches."""
    model = new_model(settings.model, settings.arguments, batches.data)
    models.adapt(settings.model, model, batches.data.images)
    return train.compiled(model, settings, batches)


def weights_hash(model: "keras.Model") -> str:
    """Return the SHA-256 of the weights of a model."""
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()


def peak_memory() -> float:
    """Return the peak memory of this process so far, in MiB."""
    # Unlike getrusage, this does not start at the peak of the parent process.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def score(model: Any, test: Prepared) -> dict[str, float]:
    """Return the accuracy on a set, of the images alone and averaged with their mirror images."""
    labels = test.labels.argmax(axis=1)
    direct = model.predict(test.images, batch_size=500, verbose=0)
    mirrored = model.predict(test.images[:, :, ::-1], batch_size=500, verbose=0)
    return {
        "accuracy": float((direct.argmax(axis=1) == labels).mean()),
        "mirror_average": float(((direct + mirrored).argmax(axis=1) == labels).mean()),
    }


def measure(settings: Mapping[str, Any] | None, data: Prepared, test: Prepared) -> dict[str, float]:
    """Train and score in this process; return what `run` returns."""
    if settings is PLAIN_LENET:
        model, seconds, images = train_plain_lenet(data)
    else:
        model, seconds, images = train_recipe(data, train.Params.model_validate(settings))
    peak = peak_memory()
    cost = {"flops_per_image": train.flops(model), "peak_mib": peak}
    return {"seconds": seconds, "images": images} | score(model, test) | cost


def main() -> None:
    parser = command_line.parser("isolated_training", __doc__)
    parser.add_argument("train", type=Path, help="folder of the prepared set to train on")
    parser.add_argument("test", type=Path, help="folder of the prepared set to score")
    args = parser.parse_args()
    with reported("isolated_training"):
        data, test = prepared.load(args.train), prepared.load(args.test)
        print(json.dumps(measure(json.load(sys.stdin), data, test)))


if __name__ == "__main__":
    main()
