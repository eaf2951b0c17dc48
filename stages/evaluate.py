"""Scores the trained model on the test set, which no other stage opens."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from sklearn.metrics import classification_report

from fashion_mnist import determinism, figures, orphan, params, scores
from fashion_mnist.data import prepared
from fashion_mnist.data.idx import Uint8
from fashion_mnist.dataset import KEYS, NAMES
from fashion_mnist.errors import DAMAGED, InputError, reported
from fashion_mnist.files import write_metrics, write_table

# Keras takes seconds to load; bad parameters and bad data are told before that.
if TYPE_CHECKING:
    import keras

GALLERY = 24  # images


class Params(params.Section):
    """Section `evaluate` of params.yaml."""

    batch_size: int = Field(gt=0)
    mirror_average: bool
    bins: int = Field(gt=0)
    seed: int = Field(ge=0, lt=2**32)


def read_pictures(path: Path, labels: NDArray[np.int64]) -> tuple[Uint8, NDArray[np.int32]]:
    """Return images (n, 28, 28) uint8 and their places (n,) int32 in the source file.

    Args:
        path: The test set as `split` wrote it.
        labels: Its labels (n,) as `preprocess` wrote them.

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
    model: "keras.Model", data: prepared.Prepared, batch_size: int, mirror_average: bool
) -> scores.Probabilities:
    """Return the probability of each class for each image, float64 (n, 10), rows summing to 1.

    Args:
        model: The classifier.
        data: The images.
        batch_size: Images that it sees at a time.
        mirror_average: Return the average of its answers to an image and to its mirror image,
            after Krizhevsky et al. 2012, who average over more views.

    Raises:
        InputError: The model is not made for these images or classes, or returns no probabilities.
    """
    from fashion_mnist.training.batches import Batches

    expected = (None, *data.images.shape[1:]), (None, len(NAMES))
    if (model.input_shape, model.output_shape) != expected:
        raise InputError(
            f"the model maps {model.input_shape} to {model.output_shape}, "
            f"expected {expected[0]} to {expected[1]}"
        )
    verbose = 1 if sys.stdout.isatty() else 2
    views = [data.images, data.images[:, :, ::-1]] if mirror_average else [data.images]
    answers = [
        model.predict(Batches(data._replace(images=view), batch_size).dataset(), verbose=verbose)
        for view in views
    ]
    output = np.mean(answers, axis=0, dtype=np.float64)
    if not (np.isfinite(output).all() and (output >= 0).all()):
        raise InputError("the model returns values that are no probabilities")
    if not np.allclose(output.sum(axis=1), 1, atol=1e-3):
        raise InputError("the model returns rows that do not sum to 1")
    # Rows of float32 sum to 1 within its precision only; scikit-learn wants that of float64.
    probabilities: scores.Probabilities = output / output.sum(axis=1, keepdims=True)
    return probabilities


def tabulate(
    index: NDArray[np.int32], labels: NDArray[np.int64], probabilities: scores.Probabilities
) -> pd.DataFrame:
    """Return a row a test image: index, label, prediction, confidence, label_probability.

    `index` is the place in the source file, classes stand by key, and the two probabilities are
    those of the predicted and of the true class.
    """
    keys = np.array(KEYS)
    return pd.DataFrame(
        {
            "index": index,
            "label": keys[labels],
            "prediction": keys[probabilities.argmax(axis=1)],
            "confidence": probabilities.max(axis=1),
            "label_probability": probabilities[np.arange(len(labels)), labels],
        }
    )


def confident_mistakes(predictions: pd.DataFrame, count: int) -> NDArray[np.intp]:
    """Return the rows of the `count` wrong predictions with the highest confidence, in order."""
    wrong = np.flatnonzero(predictions["label"] != predictions["prediction"])
    order = np.argsort(-predictions["confidence"].to_numpy()[wrong], kind="stable")
    return wrong[order][:count]


def draw_gallery(images: Uint8, predictions: pd.DataFrame, rows: NDArray[Any], path: Path) -> None:
    """Draw the images at `rows`, each under actual class, predicted class and its probability."""
    names = dict(zip(KEYS, NAMES, strict=True))
    shown = predictions.iloc[rows]
    titles = [
        f"actual {names[actual]}\npredicted {names[predicted]}\n{confidence:.4f}"
        for actual, predicted, confidence in zip(
            shown["label"], shown["prediction"], shown["confidence"], strict=True
        )
    ]
    figures.gallery(images[rows], titles, path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.evaluate", description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    parser.add_argument(
        "--section", default="evaluate", help="section of it (default: %(default)s)"
    )
    parser.add_argument("--model", type=Path, required=True, help="Keras file")
    parser.add_argument("--test", type=Path, required=True, help="folder of the prepared test set")
    parser.add_argument("--pictures", type=Path, required=True, help="test set as split wrote it")
    parser.add_argument("--metrics", type=Path, required=True, help="JSON: scores")
    parser.add_argument("--predictions", type=Path, required=True, help="CSV: a row a test image")
    parser.add_argument("--classes", type=Path, required=True, help="CSV: scores of each class")
    parser.add_argument("--calibration", type=Path, required=True, help="CSV: reliability diagram")
    parser.add_argument("--roc", type=Path, required=True, help="CSV: points of the ROC curves")
    parser.add_argument("--gallery", type=Path, required=True, help="PNG: 24 test images")
    parser.add_argument("--mistakes", type=Path, required=True, help="PNG: 24 confident mistakes")
    args = parser.parse_args()
    orphan.watch()
    with reported("evaluate"):
        settings = params.read(args.params, args.section, Params)
        data = prepared.load(args.test)
        labels = data.labels.argmax(axis=1)
        absent = [name for label, name in enumerate(NAMES) if label not in labels]
        if absent:
            raise InputError(f"{args.test}: no image of class {absent[0]}, so it has no AUC")
        images, index = read_pictures(args.pictures, labels)
        determinism.start(settings.seed)

        from fashion_mnist import model_file

        model = model_file.load(args.model)
        probabilities = predict(model, data, settings.batch_size, settings.mirror_average)
        predictions = tabulate(index, labels, probabilities)
        classes = scores.by_class(labels, probabilities)
        metrics = scores.overall(labels, probabilities, settings.bins)
        print(predictions.head(10).to_string(index=False), end="\n\n")
        print(
            classification_report(
                predictions["label"], predictions["prediction"], labels=KEYS, digits=4
            )
        )

        drawn = np.random.default_rng(settings.seed).permutation(len(labels))[:GALLERY]
        draw_gallery(images, predictions, drawn, args.gallery)
        mistakes = confident_mistakes(predictions, GALLERY)
        draw_gallery(images, predictions, mistakes, args.mistakes)

        by_name = pd.DataFrame(classes.values())
        by_name.insert(0, "class", NAMES)
        write_table(args.classes, by_name)
        write_table(args.calibration, scores.calibration(labels, probabilities, settings.bins))
        write_table(args.roc, scores.roc(labels, probabilities))
        write_table(args.predictions, predictions)
        counts = {"images": len(labels), "views": 2 if settings.mirror_average else 1}
        write_metrics(args.metrics, {**counts, **metrics, "classes": classes})


if __name__ == "__main__":
    main()
