"""Trains the model that params.yaml describes and writes it as a canonical Keras file."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from fashion_mnist import determinism, models, orphan, params
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared
from fashion_mnist.errors import InputError, reported
from fashion_mnist.files import write_metrics, write_table
from fashion_mnist.training import losses, optimizers, schedules
from fashion_mnist.training.augmentation import Augmentation
from fashion_mnist.training.selection import Selection

# Keras takes seconds to load; bad parameters and bad data are told before that.
if TYPE_CHECKING:
    import keras


CURVE = 500  # points of the loss by step


class Params(params.Section):
    """Section `train` of params.yaml."""

    model: str
    arguments: dict[str, Any]
    optimizer: optimizers.Optimizer
    schedule: schedules.Schedule
    loss: losses.Loss
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    augmentation: Augmentation | None = None
    selection: Selection | None = None
    batch_size: int = Field(gt=0)
    epochs: int = Field(gt=0)
    steps: int | None = Field(default=None, gt=0)
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


def fit(
    model: "keras.Model",
    settings: Params,
    train: Prepared,
    validation: Prepared,
    state: Path,
    name: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train `model` in place and leave it with the weights of the selected epoch.

    Args:
        model: Just built.
        settings: The recipe.
        train: What to learn from.
        validation: What is looked at after each epoch, unless it is empty.
        state: File that a killed training goes on from; it is there until the caller removes it.
        name: Of this training, by `progress.fingerprint`.

    Returns:
        A row an epoch: epoch (from 1), accuracy and loss, averaged over the epoch while the
        weights change (estimates of that, where images are selected), and val_accuracy and val_loss
        at its end where there is a validation set.
        Then a row a step: epoch, images of the batch, and loss averaged since the epoch began.

    Raises:
        InputError: The epochs have fewer than `steps` steps, or the loss became infinite or NaN.
    """
    import keras

    from fashion_mnist.training.batches import Batches
    from fashion_mnist.training.per_image_loss import Recorder
    from fashion_mnist.training.resume import Progress

    sparse = settings.loss.startswith("sparse")
    batches = Batches(
        train,
        settings.batch_size,
        settings.seed,
        sparse,
        settings.augmentation,
        settings.selection,
    )
    check = None
    if len(validation.images):
        check = Batches(validation, settings.batch_size, sparse=sparse).dataset()
    available = settings.epochs * len(batches)
    if settings.steps and settings.steps > available:
        raise InputError(
            f"train.steps: got {settings.steps}, expected at most {available}, "
            f"which is what train.epochs: {settings.epochs} has"
        )
    if settings.selection:
        model = Recorder(model, len(batches.order))
    model.compile(
        optimizers.build(settings.optimizer, settings.schedule, settings.steps or available),
        losses.smoothed(settings.loss, settings.label_smoothing),
        weighted_metrics=["accuracy"],
    )
    resume = Progress(batches, state, name, settings.steps, settings.select == "best")
    done = resume.resume(model)
    if settings.steps is None or len(resume.steps) < settings.steps:
        model.fit(
            batches.dataset(),
            initial_epoch=done,
            epochs=settings.epochs,
            validation_data=check,
            callbacks=[resume, keras.callbacks.TerminateOnNaN()],
            shuffle=False,  # the default is nothing for a data set, and Keras would say so
            verbose=1 if sys.stdout.isatty() else 2,
        )
    if settings.select == "best":
        model.set_weights(resume.best)
    return resume.tables()


def loss_by_step(steps: pd.DataFrame) -> pd.DataFrame:
    """Return the loss of each step, or, if there are over 500, averaged over equally many of them.

    Args:
        steps: A row a step: epoch, images of the batch, and loss averaged since the epoch began,
            as Keras reports it.

    Returns:
        Columns step (the last one of those averaged, from 1) and loss.
    """
    # Keras's average is a float32 over the whole epoch, so a step's own share of it is good to
    # about three digits: enough for a curve.
    seen = steps.groupby("epoch")["images"].cumsum()
    so_far = steps["loss"] * seen
    total = so_far - so_far.groupby(steps["epoch"]).shift(fill_value=0)
    number = np.arange(len(steps))
    groups = pd.DataFrame({"step": number + 1, "total": total, "images": steps["images"]}).groupby(
        number // -(-len(steps) // CURVE)
    )
    loss = groups["total"].sum() / groups["images"].sum()
    return pd.DataFrame({"step": groups["step"].max(), "loss": loss})


def flops(model: "keras.Model") -> int:
    """Return the floating-point operations of one image's way through the model.

    Counted by TensorFlow's profiler on the inference graph; a multiply-add is two.
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
    """Return the metrics of a training: what it cost and what the saved weights reach."""
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
    parser = argparse.ArgumentParser(prog="python -m stages.train", description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    parser.add_argument("--section", default="train", help="section of it (default: %(default)s)")
    parser.add_argument("--train", type=Path, required=True, help="folder of the training set")
    parser.add_argument("--validation", type=Path, required=True, help="folder of the other set")
    parser.add_argument("--model", type=Path, required=True, help="Keras file to write")
    parser.add_argument("--metrics", type=Path, required=True, help="JSON: cost, accuracy and loss")
    parser.add_argument(
        "--history", type=Path, required=True, help="CSV: accuracy and loss by epoch"
    )
    parser.add_argument("--steps", type=Path, required=True, help="CSV: loss by step")
    parser.add_argument(
        "--state", type=Path, required=True, help="where a killed training goes on from"
    )
    args = parser.parse_args()
    orphan.watch()
    with reported("train"):
        settings = params.read(args.params, args.section, Params)
        train, validation = prepared.load(args.train), prepared.load(args.validation)
        if not len(train.images):
            raise InputError(f"{args.train}: no images to train on")
        if settings.select == "best" and not len(validation.images):
            raise InputError("train.select: got 'best', expected 'last': nothing validates")
        determinism.start(settings.seed)

        from fashion_mnist import model_file
        from fashion_mnist.training import resume

        files = [path for folder in (args.train, args.validation) for path in folder.iterdir()]
        name = resume.fingerprint(settings.model_dump_json(), sorted(files))
        model = models.build(settings.model, settings.arguments)
        model.summary()
        began = time.monotonic()
        models.adapt(settings.model, model, train.images)
        history, steps = fit(model, settings, train, validation, args.state, name)
        metrics = summarize(model, settings, history, steps)
        rate = metrics["images_seen"] / (time.monotonic() - began)
        print(f"train: {rate:.0f} images a second, validation included", file=sys.stderr)
        model_file.save(model, args.model)
        write_table(args.history, history)
        write_table(args.steps, loss_by_step(steps))
        write_metrics(args.metrics, metrics)
        args.state.unlink()


if __name__ == "__main__":
    main()
