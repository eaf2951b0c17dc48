"""Scores the trained model on the test set."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from sklearn.metrics import classification_report
from tqdm import tqdm

from fashion_mnist import dataset, determinism, figures, params, scores
from fashion_mnist.data import prepared
from fashion_mnist.data.labelled import Uint8
from fashion_mnist.data.prepared import Float32, Prepared
from fashion_mnist.dataset import Dataset
from fashion_mnist.errors import DAMAGED, InputError
from fashion_mnist.files import write_metrics, write_table
from fashion_mnist.scores import Labels, Probabilities
from fashion_mnist.stage import Stage

# Keras imports slowly; report bad input first.
if TYPE_CHECKING:
    import keras

GALLERY = 24  # images
PRINTED = 10  # predictions


class Params(params.Section):
    """Section `evaluate` of params.yaml."""

    batch_size: PositiveInt
    mirror_average: bool
    bins: PositiveInt
    seed: int = Field(ge=0, lt=2**32)


def read_labels(data: Prepared, folder: Path, found: Dataset) -> Labels:
    """Return the classes (n,) of a test set.

    Raises:
        InputError: The images or classes are not those of the data set, or a class has no image, so
            its ROC AUC is undefined.
    """
    shapes = data.images.shape[1:], data.labels.shape[1:]
    expected = found.shape, (len(found.classes),)
    if shapes != expected:
        raise InputError(
            f"{folder}: images {shapes[0]} of {shapes[1][0]} classes, "
            f"expected {expected[0]} of {expected[1][0]}"
        )
    labels: Labels = data.labels.argmax(axis=1)
    counts = np.bincount(labels, minlength=len(found.classes))
    if not counts.all():
        absent = found.names[int(counts.argmin())]
        raise InputError(f"{folder}: no image of class {absent}, so it has no AUC")
    return labels


def read_pictures(path: Path, labels: Labels) -> tuple[Uint8, NDArray[np.int32]]:
    """Return images and their places in the source file (n,) int32.

    Args:
        path: Test set as `split` wrote it.
        labels: Its labels (n,) as `preprocess` wrote them.

    Returns:
        Images uint8 (n, height, width) or (n, height, width, 3), and places.

    Raises:
        InputError: The file is missing, damaged, or not the set that was prepared.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            images, found, index = archive["images"], archive["labels"], archive["index"]
    except DAMAGED as error:
        raise InputError(f"{path}: {error}") from error
    if not np.array_equal(found, labels) or not len(images) == len(labels) == len(index):
        raise InputError(f"{path}: not the set that the prepared arrays were made from")
    return images, index


def predict(
    model: "keras.Model", data: Prepared, batch_size: int, mirror_average: bool
) -> Probabilities:
    """Return the probability of each class for each image, float64 (n, classes).

    Rows sum to 1.

    Args:
        model: The classifier.
        data: The images.
        batch_size: Images per forward pass.
        mirror_average: Average the probabilities for an image and its mirror image, after
            Krizhevsky et al. 2012, who average over more views.

    Raises:
        InputError: The model does not fit these images or classes, or its outputs are not
            probabilities.
    """
    expected = (None, *data.images.shape[1:]), (None, *data.labels.shape[1:])
    if (model.input_shape, model.output_shape) != expected:
        raise InputError(
            f"the model maps {model.input_shape} to {model.output_shape}, "
            f"expected {expected[0]} to {expected[1]}"
        )
    views = [data.images, data.images[:, :, ::-1]] if mirror_average else [data.images]
    outputs = [forward(model, view, batch_size) for view in views]
    output = np.mean(outputs, axis=0, dtype=np.float64)
    if not (np.isfinite(output).all() and (output >= 0).all()):
        raise InputError("the model returns values that are not probabilities")
    if not np.allclose(output.sum(axis=1), 1, atol=1e-3):
        raise InputError("the model returns rows that do not sum to 1")
    # Rows of float32 sum to 1 only within its precision; scikit-learn expects that of float64.
    probabilities: Probabilities = output / output.sum(axis=1, keepdims=True)
    return probabilities


def forward(model: "keras.Model", images: Float32, batch_size: int) -> Float32:
    """Return the outputs of a model for images (n, height, width, channels).

    Cores work on different batches, and the outputs of a batch do not depend on the others.
    """
    import tensorflow as tf

    batch = tf.TensorSpec((None, *images.shape[1:]), tf.float32)
    outputs_of = tf.function(lambda images: model(images, training=False), input_signature=[batch])

    def output(start: int) -> Float32:
        outputs: Float32 = outputs_of(images[start : start + batch_size]).numpy()
        return outputs

    starts = range(0, len(images), batch_size)
    with ThreadPoolExecutor(determinism.cores()) as pool:
        outputs = pool.map(output, starts)
        progress = tqdm(outputs, "evaluate", len(starts), unit="batch", disable=None)
        return np.concatenate(list(progress))


def tabulate(
    index: NDArray[np.int32], labels: Labels, probabilities: Probabilities, found: Dataset
) -> pd.DataFrame:
    """Return one row per test image.

    Columns: index (place in the source file); label and prediction (classes by key); confidence
    (probability of the predicted class); label_probability (that of the true class); loss (its
    negative logarithm, nats).
    """
    keys = np.array(found.keys)
    return pd.DataFrame(
        {
            "index": index,
            "label": keys[labels],
            "prediction": keys[probabilities.argmax(axis=1)],
            "confidence": probabilities.max(axis=1),
            "label_probability": probabilities[np.arange(len(labels)), labels],
            "loss": scores.losses(labels, probabilities),
        }
    )


def confident_mistakes(predictions: pd.DataFrame, count: int) -> NDArray[np.intp]:
    """Return the rows of up to `count` wrong predictions, highest confidence first."""
    wrong = np.flatnonzero(predictions["label"] != predictions["prediction"])
    order = np.argsort(-predictions["confidence"].to_numpy()[wrong], kind="stable")
    return wrong[order][:count]


def draw_gallery(
    images: Uint8,
    predictions: pd.DataFrame,
    rows: NDArray[Any],
    names: Mapping[str, str],
    path: Path,
) -> None:
    """Draw the images at `rows`, each with actual class, predicted class and its probability."""
    shown = predictions.iloc[rows]
    titles = [
        f"actual {names[actual]}\npredicted {names[predicted]}\n{confidence:.4f}"
        for actual, predicted, confidence in zip(
            shown["label"], shown["prediction"], shown["confidence"], strict=True
        )
    ]
    figures.gallery(images[rows], titles, path)


def summarize(
    labels: Labels, probabilities: Probabilities, settings: Params, found: Dataset
) -> dict[str, Any]:
    """Return the metrics: number of images and views, scores of the whole set and of each class."""
    return {
        "images": len(labels),
        "views": 2 if settings.mirror_average else 1,
        **scores.overall(labels, probabilities, settings.bins),
        "classes": scores.by_class(labels, probabilities, found.keys),
    }


def class_table(classes: dict[str, dict[str, float]], names: Sequence[str]) -> pd.DataFrame:
    """Return the scores of each class as rows, the first column being its name."""
    table = pd.DataFrame(classes.values())
    table.insert(0, "class", names)
    return table


def show(predictions: pd.DataFrame, rows: NDArray[Any], found: Dataset) -> None:
    """Print some predictions, and precision, recall and F1 of each class."""
    print(predictions.iloc[rows].to_string(index=False), end="\n\n")
    labels, answers = (predictions[column].map(found.classes) for column in ("label", "prediction"))
    report = classification_report(labels, answers, labels=found.names, digits=4, zero_division=0)
    print(report)


def main() -> None:
    stage = Stage("stages.evaluate", __doc__, Params)
    stage.reads("--model", "Keras file")
    stage.reads("--dataset", "JSON: what the images are")
    stage.reads("--test", "folder of the prepared test set")
    stage.reads("--pictures", "test set as split wrote it")
    stage.writes("--metrics", "JSON: scores")
    stage.writes("--predictions", "CSV: one row per test image")
    stage.writes("--classes", "CSV: scores of each class")
    stage.writes("--calibration", "CSV: reliability diagram")
    stage.writes("--roc", "CSV: points of the ROC curves")
    stage.writes("--gallery", f"PNG: {GALLERY} test images")
    stage.writes("--mistakes", f"PNG: the {GALLERY} most confident mistakes")
    with stage.running() as (args, settings):
        found = dataset.read(args.dataset)
        data = prepared.load(args.test)
        labels = read_labels(data, args.test, found)
        images, index = read_pictures(args.pictures, labels)
        determinism.start(settings.seed)

        from fashion_mnist import model_file

        model = model_file.load(args.model)
        probabilities = predict(model, data, settings.batch_size, settings.mirror_average)
        predictions = tabulate(index, labels, probabilities, found)
        drawn = np.random.default_rng(settings.seed).permutation(len(labels))[:GALLERY]
        show(predictions, drawn[:PRINTED], found)
        mistakes = confident_mistakes(predictions, GALLERY)
        for rows, path in ((drawn, args.gallery), (mistakes, args.mistakes)):
            draw_gallery(images, predictions, rows, found.classes, path)
        metrics = summarize(labels, probabilities, settings, found)
        write_table(args.classes, class_table(metrics["classes"], found.names))
        write_table(args.calibration, scores.calibration(labels, probabilities, settings.bins))
        write_table(args.roc, scores.roc(labels, probabilities, found.names))
        write_table(args.predictions, predictions)
        write_metrics(args.metrics, metrics)


if __name__ == "__main__":
    main()
