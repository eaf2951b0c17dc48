"""Training gives the same bytes in every process, and ends with an error where it must."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from fashion_mnist import params
from fashion_mnist.data.prepared import Prepared
from fashion_mnist.errors import InputError
from fashion_mnist.files import write_checksums
from stages import train
from tests.conftest import ROOT, Pipeline
from tests.stages.conftest import OUTPUTS, Fit, outputs, small


def metrics(pipeline: Pipeline) -> dict[str, Any]:
    return json.loads((pipeline.folder / "metrics/train.json").read_text())


@pytest.mark.slow
@pytest.mark.pipeline
def test_default_recipe_gives_the_same_bytes_in_another_process(
    finished: Pipeline, copy: Pipeline
) -> None:
    for name in OUTPUTS:
        (copy.folder / name).unlink()
    done = copy.run("train", PYTHONHASHSEED="1", TF_ENABLE_ONEDNN_OPTS="0", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert outputs(copy) == outputs(finished)
    assert "fast_cnn, 164,440 parameters" in done.stderr
    assert "images per second" in done.stderr
    assert "Epoch 2/2" in done.stdout
    # Nothing of what TensorFlow has to say about the machine.
    assert "oneDNN" not in done.stderr
    assert "cuda" not in done.stderr.lower()
    assert "absl" not in done.stderr
    assert "WARNING:tensorflow" not in done.stderr


def test_model_loads_and_predicts_what_was_scored(keras: Any, finished: Pipeline) -> None:
    model = keras.saving.load_model(finished.folder / "data/model/model.keras")
    images = np.load(finished.folder / "data/prepared/test/images.npy")
    views = [model.predict(view, verbose=0) for view in (images, images[:, :, ::-1])]
    probabilities = np.mean(views, axis=0)
    table = pd.read_csv(finished.folder / "metrics/predictions.csv")
    assert np.allclose(probabilities.max(axis=1), table["confidence"], atol=1e-6)


def test_metrics_report_cost_and_result(finished: Pipeline) -> None:
    found = metrics(finished)
    history = pd.read_csv(finished.folder / "metrics/history.csv")
    assert history["epoch"].tolist() == [1, 2]
    # The whitening kernel, and mean and variance of each channel of BatchNorm, are not trained.
    fixed = 32 + 2 * 2 * (24 + 48 + 96)
    assert found["parameters"] == {
        "total": 164_440,
        "trainable": 164_440 - fixed,
        "non_trainable": fixed,
    }
    # Multiply-adds of the convolutions and the dense layer, twice; the rest is BatchNorm and such.
    products = 27**2 * 4 * 8 + 96 * 10
    for side, inputs, width in ((27, 8, 24), (13, 24, 48), (6, 48, 96)):
        products += 9 * (side**2 * inputs * width + (side // 2) ** 2 * width**2)
    products *= 2
    assert products < found["flops_per_image"] < 1.03 * products
    # Half of 200 images, in batches of 32.
    assert found["steps"] == 2 * 4
    assert found["images_seen"] == 2 * 100
    assert found["saved_epoch"] == 2
    assert found["best_epoch"] == history["val_accuracy"].argmax() + 1
    last = history.iloc[1]
    assert found["train"] == {"accuracy": last["accuracy"], "loss": last["loss"]}
    assert found["validation"] == {"accuracy": last["val_accuracy"], "loss": last["val_loss"]}


def test_best_epoch_is_kept(finished: Pipeline, fit: Fit) -> None:
    # A rate so high that later epochs are worse.
    rate = {"name": "sgd", "learning_rate": 2.0, "momentum": 0.9}
    found = fit(epochs=6, select="best", optimizer=rate)
    best = int(found.history["val_accuracy"].argmax())
    assert best < 5, "this test needs a training whose last epoch is not the best"
    assert found.metrics["saved_epoch"] == found.metrics["best_epoch"] == best + 1
    assert found.metrics["validation"]["accuracy"] == found.history["val_accuracy"].max()
    images, labels = (
        np.load(finished.folder / f"data/prepared/validation/{name}.npy")
        for name in ("images", "labels")
    )
    right = found.model.predict(images, verbose=0).argmax(axis=1) == labels.argmax(axis=1)
    assert right.mean() == pytest.approx(found.history["val_accuracy"].max())


@pytest.mark.slow
@pytest.mark.pipeline
def test_seed_changes_the_model(copy: Pipeline) -> None:
    small(copy, epochs=1).run_all("train")
    first = outputs(copy)
    small(copy, epochs=1, seed=28).run_all("train")
    assert outputs(copy)[0] != first[0]


@pytest.mark.slow
@pytest.mark.pipeline
def test_training_without_a_validation_set(copy: Pipeline) -> None:
    copy.set("split.size", 0)
    copy.set("split.role", "validation")
    small(copy, epochs=1).run_all("split", "preprocess", "train", "evaluate")
    assert "validation" not in metrics(copy)
    assert "best_epoch" not in metrics(copy)
    history = pd.read_csv(copy.folder / "metrics/history.csv")
    assert list(history) == ["epoch", "accuracy", "loss"]
    copy.set("train.select", "best")
    copy.refuses("train", "train.select: got 'best', expected 'last': the validation set is empty")


@pytest.mark.parametrize("loss", ["categorical_focal_crossentropy", "mean_squared_error"])
def test_every_loss_trains(fit: Fit, loss: str) -> None:
    losses = fit(epochs=3, loss=loss).history["loss"]
    assert losses.iloc[-1] < losses.iloc[0]


def test_sparse_labels_train_the_same_model(fit: Fit) -> None:
    one_hot, sparse = (
        fit(loss=loss).history
        for loss in ("categorical_crossentropy", "sparse_categorical_crossentropy")
    )
    assert np.allclose(one_hot, sparse, atol=1e-4)


def test_steps_end_the_training_within_an_epoch(fit: Fit) -> None:
    """200 images in batches of 32 are seven steps, the last of eight images."""
    found = fit(epochs=3, steps=10)
    assert found.metrics["steps"] == 10
    assert found.metrics["images_seen"] == 200 + 3 * 32
    assert found.history["epoch"].tolist() == [1, 2]
    assert train.loss_by_step(found.steps)["step"].tolist() == list(range(1, 11))
    words = r"train.steps: got 22, expected at most 21, which is what train.epochs: 3 has"
    with pytest.raises(InputError, match=words):
        fit(epochs=3, steps=22)


def test_loss_of_each_step_adds_up_to_that_of_the_epoch(fit: Fit) -> None:
    found = fit(epochs=2)
    curve = train.loss_by_step(found.steps)
    images = np.array([32] * 6 + [8])
    for epoch, loss in enumerate(found.history["loss"]):
        own = curve["loss"][7 * epoch : 7 * epoch + 7]
        assert np.average(own, weights=images) == pytest.approx(loss, abs=1e-5)
        assert own.std() > 0.01


def test_many_steps_are_averaged() -> None:
    own = np.arange(1, 1302, dtype=float)
    images = np.where(np.arange(1301) % 2, 10, 30)
    running = np.concatenate(
        [
            (own[part] * images[part]).cumsum() / images[part].cumsum()
            for part in (slice(0, 700), slice(700, None))
        ]
    )
    epochs = np.where(np.arange(1301) < 700, 1, 2)
    found = train.loss_by_step(pd.DataFrame({"epoch": epochs, "images": images, "loss": running}))
    assert len(found) == 434
    assert found["step"].tolist()[:2] == [3, 6]
    assert found["step"].iloc[-1] == 1301
    assert found["loss"].iloc[0] == pytest.approx((1 * 30 + 2 * 10 + 3 * 30) / 70)
    assert found["loss"].iloc[-1] == pytest.approx((1300 * 10 + 1301 * 30) / 40)


def test_convnet_is_trained_on_logits(fit: Fit) -> None:
    """convnet starts with a cost of tens of thousands, which clipped probabilities would hide."""
    assert fit(model="convnet", arguments={}, epochs=1).steps["loss"][0] > 1000


@pytest.mark.slow
@pytest.mark.pipeline
def test_another_section_of_another_file(copy: Pipeline) -> None:
    section = copy.params["train"] | {"model": "dense", "arguments": {}, "epochs": 1}
    YAML(typ="safe").dump({"a": {"b": section}}, copy.folder / "other.yaml")
    copy.commands["train"] += " --params other.yaml --section a.b"
    copy.run_all("train")
    assert metrics(copy)["parameters"]["total"] == 101_770
    copy.commands["train"] += ".c"
    copy.refuses("train", "other.yaml: no section 'a.b.c'")


@pytest.mark.slow
@pytest.mark.pipeline
def test_a_loss_that_becomes_nan_ends_the_stage(copy: Pipeline) -> None:
    small(copy, optimizer={"name": "sgd", "learning_rate": 1e30}, loss="mean_squared_error")
    copy.refuses("train", "the loss became", "in epoch", "a lower train.optimizer.learning_rate")


def test_not_a_number_in_the_images(copy: Pipeline) -> None:
    path = copy.folder / "data/prepared/train/images.npy"
    images = np.load(path)
    images[42, 3, 3, 0] = np.nan
    np.save(path, images)
    write_checksums(path.parent)
    copy.refuses("train", "data/prepared/train/images.npy: row 42 has a value that is not finite")


@pytest.mark.slow
@pytest.mark.pipeline
def test_unknown_argument_of_a_model(copy: Pipeline) -> None:
    copy.set("train.arguments", {"depth": 3})
    copy.refuses("train", "train.arguments.depth: unknown key")


@pytest.mark.slow
@pytest.mark.pipeline
def test_a_model_that_does_not_return_probabilities(copy: Pipeline) -> None:
    copy.params["train"] |= {"model": "fashion_cnn", "arguments": {"dense": [{"units": 10}]}}
    copy.set("train.steps", 1)
    copy.refuses("train", "train.arguments: the model returns values that are not probabilities")


@pytest.mark.parametrize("arguments", [None, {}])
def test_a_model_without_arguments(copy: Pipeline, arguments: object) -> None:
    copy.set("train.model", "dense")
    copy.set("train.arguments", arguments)
    read = params.read(copy.folder / "params.yaml", "train", train.Params)
    assert read.arguments == arguments
    del copy.params["train"]["arguments"]
    copy.set("train.model", "lenet")
    assert params.read(copy.folder / "params.yaml", "train", train.Params).arguments is None


def sets(shape: tuple[int, ...], labels: list[int], classes: int = 3) -> Prepared:
    """A set of random images with these labels."""
    images = np.random.default_rng(0).random((len(labels), *shape), np.float32)
    return Prepared(images, np.eye(classes, dtype=np.float32)[np.array(labels, int)])


def test_class_weights_average_one_over_the_images() -> None:
    labels = [0] * 5 + [1] * 2 + [2]
    weights = train.class_weights(sets((8, 8, 1), labels))
    assert weights.dtype == np.float32
    assert weights.tolist() == pytest.approx([8 / 15, 8 / 6, 8 / 3])
    assert weights[labels].mean() == pytest.approx(1)
    assert train.class_weights(sets((8, 8, 1), [0, 1, 2])).tolist() == [1, 1, 1]
    with pytest.raises(InputError, match=r"train.class_weights: no image .* has the label 1$"):
        train.class_weights(sets((8, 8, 1), [0, 2]))


def test_class_weights_change_nothing_where_the_classes_are_equal(fit: Fit) -> None:
    """Nor do they change the losses of a validation."""
    plain, balanced = (fit(class_weights=own) for own in (None, "balanced"))
    for name in plain.history:
        assert plain.history[name].tolist() == pytest.approx(balanced.history[name], abs=1e-4)


def test_class_weights_reach_the_training(keras: Any) -> None:
    """Of two classes, nine images of one and one of the other: both weigh the same."""
    default = YAML(typ="safe").load(ROOT / "params.yaml")["train"]
    data = sets((8, 8, 1), [0] * 9 + [1], 2)
    for own, expected in ((None, None), ("balanced", [10 / 18] * 9 + [5])):
        settings = default | {"class_weights": own, "selection": None, "batch_size": 256}
        batches, validation = train.feed(data, data, train.Params.model_validate(settings))
        batch = batches[0]
        if expected is None:
            assert len(batch) == 2
        else:
            weights = dict(zip(batches.order.tolist(), batch[2].tolist(), strict=True))
            assert [weights[row] for row in range(10)] == pytest.approx(expected)
        assert len(validation.element_spec) == 2


def save(folder: Path, data: Prepared) -> Path:
    folder.mkdir()
    for name, array in data._asdict().items():
        np.save(folder / f"{name}.npy", array)
    write_checksums(folder)
    return folder


@pytest.mark.parametrize(
    ("shape", "classes"), [((8, 9, 1), 3), ((9, 8, 1), 3), ((8, 8, 3), 3), ((8, 8, 1), 4)]
)
def test_sets_of_different_images_are_refused(
    tmp_path: Path, shape: tuple[int, ...], classes: int
) -> None:
    settings = train.Params.model_validate(YAML(typ="safe").load(ROOT / "params.yaml")["train"])
    one = save(tmp_path / "one", sets((8, 8, 1), [0, 1, 2]))
    other = save(tmp_path / "other", sets(shape, [0, 1, 2], classes))
    assert len(train.read_sets(one, one, settings)) == 2
    for first, second in ((one, other), (other, one)):
        with pytest.raises(InputError, match=rf"^{second}: images and labels .*, expected "):
            train.read_sets(first, second, settings)


@pytest.mark.parametrize("shape", [(8, 20, 1), (20, 8, 3)])
def test_images_move_by_less_than_their_size(tmp_path: Path, shape: tuple[int, ...]) -> None:
    default = YAML(typ="safe").load(ROOT / "params.yaml")["train"]
    folder = save(tmp_path / "set", sets(shape, [0, 1, 2]))
    for shift in (7, 8, 28):
        default["augmentation"] = {"shift": shift}
        settings = train.Params.model_validate(default)
        if shift < 8:
            train.read_sets(folder, folder, settings)
            continue
        words = rf"^train.augmentation.shift: got {shift}, expected fewer pixels .* have, 8$"
        with pytest.raises(InputError, match=words):
            train.read_sets(folder, folder, settings)


def test_unknown_model(copy: Pipeline) -> None:
    copy.set("train.model", "resnet")
    copy.refuses("train", "train.model: got 'resnet', expected one of cnn_1, cnn_2")


def test_missing_input(copy: Pipeline) -> None:
    (copy.folder / "data/prepared/validation/labels.npy").unlink()
    copy.refuses("train", "data/prepared/validation/SHA256SUMS: lists ['images.npy', ")


def test_parameters_are_checked_before_tensorflow_loads(copy: Pipeline) -> None:
    copy.set("train.epochs", 0)
    hidden = copy.folder / "hidden"
    hidden.mkdir()
    (hidden / "tensorflow.py").write_text("raise RuntimeError('loaded')")
    done = copy.run("train", PYTHONPATH=f"{hidden}:{ROOT}")
    assert done.returncode == 1
    assert "train.epochs: got 0" in done.stderr
    assert "RuntimeError" not in done.stderr
