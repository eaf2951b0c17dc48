"""Trains the model that params.yaml describes and writes it as a canonical Keras file."""

import math
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from fashion_mnist import determinism, models, params
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Float32, Prepared
from fashion_mnist.errors import InputError
from fashion_mnist.files import write_metrics, write_table
from fashion_mnist.stage import Stage
from fashion_mnist.training import losses, optimizers, schedules
from fashion_mnist.training.augmentation import Augmentation
from fashion_mnist.training.selection import Selection

# Keras imports slowly; report bad input first.
if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from fashion_mnist.training.batches import Batches
    from fashion_mnist.training.shards import ShardedModel

CLUSTER = "RAY_ADDRESS"
CURVE = 500  # points of the loss by step


class Params(params.Section):
    """Section `train` of params.yaml."""

    model: str
    arguments: dict[str, Any] | None = None
    optimizer: optimizers.Optimizer
    schedule: schedules.Schedule
    loss: losses.Loss
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    augmentation: Augmentation | None = None
    selection: Selection | None = None
    class_weights: Literal["balanced"] | None = None
    shards: PositiveInt = 1
    batch_size: PositiveInt
    epochs: PositiveInt
    steps: PositiveInt | None = None
    select: Literal["last", "best"]
    seed: int = Field(ge=0, lt=2**32)

    @field_validator("model")
    @classmethod
    def _exists(cls, name: str) -> str:
        if name not in models.names():
            raise ValueError(f"one of {', '.join(models.names())}")
        return name

    @field_validator("label_smoothing")
    @classmethod
    def _has_labels_to_smooth(cls, share: float, info: ValidationInfo) -> float:
        if share and not info.data.get("loss", "categorical").startswith("categorical"):
            raise ValueError(f"0, since train.loss is {info.data['loss']}")
        return share

    @field_validator("batch_size")
    @classmethod
    def _fills_the_shards(cls, size: int, info: ValidationInfo) -> int:
        if size < info.data.get("shards", 1):
            raise ValueError(f"at least train.shards, which is {info.data['shards']}")
        return size


def read_sets(train: Path, validation: Path, settings: Params) -> tuple[Prepared, Prepared]:
    """Return the training set and the validation set.

    Raises:
        InputError: A set is damaged, the two are of different images, the training set is empty or
            its images too small to be shifted, or the validation set is empty but has to select the
            best epoch.
    """
    sets = prepared.load(train), prepared.load(validation)
    shapes = [(one.images.shape[1:], one.labels.shape[1:]) for one in sets]
    if shapes[0] != shapes[1]:
        raise InputError(f"{validation}: images and labels {shapes[1]}, expected {shapes[0]}")
    shift = settings.augmentation.shift if settings.augmentation else 0
    if shift >= min(shapes[0][0][:2]):
        raise InputError(
            f"train.augmentation.shift: got {shift}, expected fewer pixels than the images have, "
            f"{min(shapes[0][0][:2])}"
        )
    if not len(sets[0].images):
        raise InputError(f"{train}: no images to train on")
    if settings.select == "best" and not len(sets[1].images):
        raise InputError("train.select: got 'best', expected 'last': the validation set is empty")
    return sets


def feed(
    train: Prepared, validation: Prepared, settings: Params
) -> tuple["Batches", "tf.data.Dataset | None"]:
    """Return the batches to train on, and the validation set as Keras takes it, unless empty."""
    from fashion_mnist.training.batches import Batches

    sparse = settings.loss.startswith("sparse")
    batches = Batches(
        train,
        settings.batch_size,
        settings.seed,
        sparse,
        settings.augmentation,
        settings.selection,
        class_weights(train) if settings.class_weights else None,
    )
    if not len(validation.images):
        return batches, None
    return batches, Batches(validation, settings.batch_size, sparse=sparse).dataset()


def class_weights(train: Prepared) -> Float32:
    """Return a weight for each class, (classes,), with which all classes weigh the same in a loss.

    As scikit-learn's "balanced" class weights, they average 1 over the images.

    Raises:
        InputError: A class has no image.
    """
    # The sum of float32 would be inexact beyond 16 million images.
    counts = train.labels.sum(axis=0, dtype=np.float64)
    if not counts.all():
        raise InputError(
            f"train.class_weights: no image to train on has the label {int(counts.argmin())}"
        )
    weights: Float32 = (counts.sum() / (len(counts) * counts)).astype(np.float32)
    return weights


def fit(
    model: "keras.Model",
    settings: Params,
    train: Prepared,
    validation: Prepared,
    path: Path,
    files: Sequence[Path],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train a model in place; it ends with the weights of the selected epoch.

    Args:
        model: New model.
        settings: Section `train` of params.yaml.
        train: Training set.
        validation: Validation set; it may be empty.
        path: Checkpoint from which a killed training resumes; the caller removes it.
        files: Files with the data; a checkpoint of other data is not used.

    Returns:
        One row per epoch: epoch (from 1); accuracy and loss, averaged over the epoch while the
        weights change (with a selection, estimates for all images); val_accuracy and val_loss at
        its end if there is a validation set.
        One row per step: epoch, images in the batch, and loss averaged since the epoch began.

    Raises:
        InputError: The epochs have fewer than `steps` steps, or the loss became infinite or NaN.
    """
    import keras

    from fashion_mnist.training.resume import Checkpoint, fingerprint

    batches, validation_data = feed(train, validation, settings)
    trained = compiled(model, settings, batches)
    # Now all the code that the training needs is loaded, that of the model and the optimizer too.
    training = fingerprint(settings.model_dump_json(), files)
    checkpoint = Checkpoint(batches, path, training, settings.steps, settings.select == "best")
    finished = checkpoint.resume(trained)
    resumed, began = len(checkpoint.steps), time.monotonic()
    if not checkpoint.complete:
        with place(trained, settings):
            trained.fit(
                batches.dataset(),
                initial_epoch=finished,
                epochs=settings.epochs,
                validation_data=validation_data,
                callbacks=[checkpoint, keras.callbacks.TerminateOnNaN()],
                shuffle=False,  # Keras warns about the default, which has no effect on a data set
                verbose=1 if sys.stdout.isatty() else 2,
            )
        seen = sum(step["images"] for step in checkpoint.steps[resumed:])
        if seen:
            speed = seen / (time.monotonic() - began)
            text = f"{speed:.0f} images per second on {used(settings)}, with start and validation"
            print(f"train: {text}", file=sys.stderr)
    if settings.select == "best":
        trained.set_weights(checkpoint.best)
    return checkpoint.tables()


def place(model: "ShardedModel", settings: Params) -> AbstractContextManager[None]:
    """Let the shards of a model run on the cluster that RAY_ADDRESS names, if it is set.

    That changes no byte, so neither DVC nor a checkpoint knows of it.
    """
    if not os.environ.get(CLUSTER):
        return nullcontext()

    from cluster import training, worker

    network = worker.Network(
        settings.model,
        settings.arguments,
        model.input_shape[1:],
        model.output_shape[1],
        settings.loss,
        settings.label_smoothing,
    )
    return training.on_cluster(model, network)


def used(settings: Params) -> str:
    """Return on what a training runs, as text."""
    if os.environ.get(CLUSTER):
        return "a cluster"
    cores = min(determinism.cores(), settings.shards)
    return f"{cores} core" + "s" * (cores > 1)


def compiled(model: "keras.Model", settings: Params, batches: "Batches") -> "ShardedModel":
    """Return a model whose `fit` trains `model` as the parameters say.

    Raises:
        InputError: The epochs have fewer than `steps` steps.
    """
    from fashion_mnist.training.shards import ShardedModel

    sharded = ShardedModel(model, settings.shards, len(batches.order))
    sharded.compile(
        optimizers.build(settings.optimizer, settings.schedule, step_count(settings, len(batches))),
        losses.smoothed(settings.loss, settings.label_smoothing),
        weighted_metrics=["accuracy"],
    )
    return sharded


def step_count(settings: Params, steps_per_epoch: int) -> int:
    """Return the number of steps in a training.

    Raises:
        InputError: The epochs have fewer than `train.steps` steps.
    """
    available = settings.epochs * steps_per_epoch
    if settings.steps and settings.steps > available:
        raise InputError(
            f"train.steps: got {settings.steps}, expected at most {available}, "
            f"which is what train.epochs: {settings.epochs} has"
        )
    return settings.steps or available


def loss_by_step(steps: pd.DataFrame) -> pd.DataFrame:
    """Return the loss of each step, averaged over groups of steps if there are more than 500.

    Args:
        steps: One row per step: epoch, images in the batch, and loss averaged since the epoch
            began, as Keras reports it.

    Returns:
        Columns step (the last one of a group, from 1) and loss.
    """
    # Keras's average is a float32 over the epoch so far, so the loss of a single step is good to
    # about three digits: enough for a curve.
    by_epoch = steps["epoch"]
    sum_so_far = steps["loss"] * steps.groupby(by_epoch)["images"].cumsum()
    loss_sum = sum_so_far - sum_so_far.groupby(by_epoch).shift(fill_value=0)
    step = np.arange(1, len(steps) + 1)
    group = (step - 1) // math.ceil(len(steps) / CURVE)
    grouped = pd.DataFrame({"step": step, "loss_sum": loss_sum, "images": steps["images"]})
    totals = grouped.groupby(group).agg({"step": "max", "loss_sum": "sum", "images": "sum"})
    return pd.DataFrame({"step": totals["step"], "loss": totals["loss_sum"] / totals["images"]})


def flops(model: "keras.Model") -> int:
    """Return the floating-point operations of one forward pass of one image.

    TensorFlow's profiler counts them on the inference graph; a multiply-add is two operations.
    """
    import tensorflow as tf

    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(image).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    counts = profiler.profile(graph, options=options.with_empty_output().build())
    return int(counts.total_float_ops)


def summarize(
    model: "keras.Model", settings: Params, history: pd.DataFrame, steps: pd.DataFrame
) -> dict[str, Any]:
    """Return the metrics of a training: its cost, and the scores of the saved weights."""
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    total = model.count_params()
    saved = len(history) - 1
    metrics: dict[str, Any] = {
        "parameters": {
            "total": total,
            "trainable": trainable,
            "non_trainable": total - trainable,
        },
        "flops_per_image": flops(model),
        "steps": len(steps),
        "images_seen": int(steps["images"].sum()),
    }
    if "val_accuracy" in history:
        best = int(history["val_accuracy"].argmax())
        saved = best if settings.select == "best" else saved
        metrics["best_epoch"] = best + 1
    row = history.iloc[saved]
    metrics["saved_epoch"] = saved + 1
    metrics["train"] = {"accuracy": row["accuracy"], "loss": row["loss"]}
    if "val_accuracy" in history:
        metrics["validation"] = {"accuracy": row["val_accuracy"], "loss": row["val_loss"]}
    return metrics


def main() -> None:
    stage = Stage("stages.train", __doc__, Params)
    stage.reads("--train", "folder of the prepared training set")
    stage.reads("--validation", "folder of the prepared validation set")
    stage.writes("--model", "Keras file")
    stage.writes("--metrics", "JSON: cost, accuracy and loss")
    stage.writes("--history", "CSV: accuracy and loss by epoch")
    stage.writes("--steps", "CSV: loss by step")
    stage.writes(
        "--checkpoint", "checkpoint after each epoch, from which a killed training resumes"
    )
    with stage.running() as (args, settings):
        train, validation = read_sets(args.train, args.validation, settings)
        determinism.start(settings.seed)

        from fashion_mnist import model_file

        shape, (classes,) = train.images.shape[1:], train.labels.shape[1:]
        model = models.build(settings.model, settings.arguments, shape, classes)
        model_file.check(model)
        print(f"train: {settings.model}, {model.count_params():,} parameters", file=sys.stderr)
        models.adapt(settings.model, model, train.images)
        files = [path for folder in (args.train, args.validation) for path in folder.iterdir()]
        history, steps = fit(model, settings, train, validation, args.checkpoint, sorted(files))
        metrics = summarize(model, settings, history, steps)
        model_file.save(model, args.model)
        write_table(args.history, history)
        write_table(args.steps, loss_by_step(steps))
        write_metrics(args.metrics, metrics)
        args.checkpoint.unlink()


if __name__ == "__main__":
    main()
