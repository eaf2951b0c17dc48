"""A batch is trained shard by shard, and the number of cores at work changes nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fashion_mnist import determinism
from fashion_mnist.errors import InputError
from fashion_mnist.training import losses
from tests.conftest import Pipeline
from tests.stages.conftest import SMALL, outputs

Builder = Callable[..., Any]
IMAGES = np.random.default_rng(0).random((70, 28, 28, 1), np.float32)
CLASSES = np.random.default_rng(1).integers(0, 10, 70)
LABELS = np.eye(10, dtype=np.float32)[CLASSES]


@pytest.fixture
def network(keras: Any) -> Builder:
    """Return a function that builds a small network of given layers."""

    def build(*middle: Any) -> Any:
        keras.utils.set_random_seed(3)
        first = [keras.Input((28, 28, 1)), keras.layers.Conv2D(4, 3, strides=3)]
        last = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
        return keras.Sequential([*first, *middle, *last])

    return build


def sharded(model: Any, shards: int, loss: Any = "categorical_crossentropy", **sgd: Any) -> Any:
    import keras

    from fashion_mnist.training.shards import ShardedModel

    found = ShardedModel(model, shards, 1000)
    found.compile(keras.optimizers.SGD(**sgd), loss, weighted_metrics=["accuracy"])
    return found


def fit(model: Any, **settings: Any) -> dict[str, list[float]]:
    arguments = {"batch_size": 32, "shuffle": False, "verbose": 0} | settings
    history: dict[str, list[float]] = model.fit(IMAGES, LABELS, **arguments).history
    return history


def test_one_shard_is_the_step_of_keras(keras: Any, network: Builder) -> None:
    def layers() -> list[Any]:
        keras.utils.set_random_seed(3)
        kernel = keras.regularizers.L2(0.1)
        return [
            keras.layers.BatchNormalization(),
            keras.layers.Conv2D(3, 2, kernel_regularizer=kernel, activity_regularizer="l2"),
            keras.layers.Dropout(0.3),
        ]

    plain, ours = network(*layers()), network(*layers())
    plain.compile("sgd", "categorical_crossentropy", weighted_metrics=["accuracy"])
    weights = np.random.default_rng(2).random(70)
    found = [
        fit(model, sample_weight=weights, validation_data=(IMAGES[:9], LABELS[:9]), epochs=2)
        for model in (plain, sharded(ours, 1))
    ]
    assert found[0].keys() == found[1].keys()
    for name in ("accuracy", "loss", "val_accuracy", "val_loss"):
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-6)
    assert all(
        np.allclose(old, new, atol=1e-6)
        for old, new in zip(plain.get_weights(), ours.get_weights(), strict=True)
    )


@pytest.mark.parametrize("shards", [2, 3, 8])
def test_shards_add_up_to_the_batch(keras: Any, network: Builder, shards: int) -> None:
    """Where no layer looks at other images, shards change nothing but the rounding."""
    penalty = keras.regularizers.L2(0.1)
    models = [network(keras.layers.Conv2D(3, 2, kernel_regularizer=penalty)) for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    weights = np.random.default_rng(2).random(70)
    settings = {"sample_weight": weights, "validation_data": (IMAGES, LABELS), "epochs": 3}
    found = [
        fit(sharded(model, count, learning_rate=0.05), **settings)
        for model, count in zip(models, (1, shards), strict=True)
    ]
    for name in found[0]:
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-5)
    for old, new in zip(*(model.get_weights() for model in models), strict=True):
        assert np.allclose(old, new, atol=1e-5)


def test_each_shard_normalizes_by_itself_and_the_averages_are_means(
    keras: Any, network: Builder
) -> None:
    model = network(keras.layers.BatchNormalization(momentum=0.9))
    inner = keras.Model(model.inputs, model.layers[0].output)
    before = inner.predict(IMAGES[:7], verbose=0).astype(float)
    fit(sharded(model, 3, learning_rate=0.0), batch_size=7, steps_per_epoch=1)
    # 7 images are 3, 2 and 2.
    parts = [before[:3], before[3:5], before[5:]]
    mean, variance = model.layers[1].get_weights()[2:]
    expected = np.mean([part.mean(axis=(0, 1, 2)) for part in parts], axis=0)
    assert np.allclose(mean, 0.1 * expected, atol=1e-5)
    expected = np.mean([part.var(axis=(0, 1, 2)) for part in parts], axis=0)
    assert np.allclose(variance, 0.9 + 0.1 * expected, atol=1e-5)


def test_weights_that_are_not_trained_stay_the_same_to_the_bit(
    keras: Any, network: Builder
) -> None:
    frozen = keras.layers.Conv2D(5, 2)
    model = network(frozen, keras.layers.BatchNormalization())
    frozen.trainable = False
    before = frozen.get_weights()
    fit(sharded(model, 3), epochs=5)
    assert all(map(np.array_equal, frozen.get_weights(), before))


def test_layers_draw_again_in_each_shard_and_step(keras: Any, network: Builder) -> None:
    from fashion_mnist.training.shards import cut

    class Drawn(keras.layers.Layer):  # type: ignore[misc]
        """Keeps in its variable which of ten units a dropout layer kept."""

        def __init__(self) -> None:
            super().__init__()
            self.dropout = keras.layers.Dropout(0.5, seed=1)
            self.kept = self.add_weight(shape=(10,), initializer="zeros", trainable=False)

        def call(self, x: Any, training: bool = False) -> Any:
            if training:
                self.kept.assign(self.dropout(keras.ops.ones((10,)), training=True))
            return x

    import tensorflow as tf

    layer = Drawn()
    model = sharded(network(layer), 4, learning_rate=0.0)
    batch = tuple(map(tf.constant, (IMAGES[:8], LABELS[:8], np.ones(8, np.float32))))
    place = [value is layer.kept for value in model.network.non_trainable_variables].index(True)

    def draws() -> list[tuple[float, ...]]:
        from fashion_mnist.training import shards

        found = []
        for number, part in enumerate(cut(batch, 4)):
            values = shards.with_own_seeds(model.network.non_trainable_variables, number)
            trainable = [variable.value for variable in model.network.trainable_variables]
            one = model.forward_backward(
                trainable, values, tf.constant(8), tf.constant(0.25), *part
            )
            found.append(tuple(one.updates[place].numpy()))
        return found

    first = draws()
    assert first == draws()  # nothing was changed by a pass
    assert len(set(first)) == 4
    model.train_step(batch)
    # The variable is a mean over the shards, which shows that the step drew the same.
    assert np.allclose(layer.kept, np.mean(first, axis=0))
    assert not set(draws()) & set(first)


def test_a_model_that_counts_cannot_be_cut(keras: Any, network: Builder) -> None:
    class Counter(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen = self.add_weight(
                name="seen", shape=(), dtype="int32", initializer="zeros", trainable=False
            )

        def call(self, x: Any) -> Any:
            self.seen.assign(self.seen + 1)
            return x

    fit(sharded(network(Counter()), 1))
    words = "train.shards: got 3, expected 1, since the model counts in a variable, .*seen"
    with pytest.raises(InputError, match=words):
        fit(sharded(network(Counter()), 3))


@pytest.mark.parametrize("size", [1, 5])
def test_a_last_batch_of_fewer_images_than_shards(keras: Any, network: Builder, size: int) -> None:
    """It is one shard, in a validation as well."""
    images, labels = IMAGES[: 16 + size], LABELS[: 16 + size]
    layers = [keras.layers.BatchNormalization, keras.layers.MaxPooling2D]
    models = [network(*(layer() for layer in layers)) for _ in range(2)]
    settings = {"batch_size": 16, "shuffle": False, "verbose": 0}
    ours = sharded(models[0], 8)
    history = ours.fit(images, labels, validation_data=(images, labels), **settings).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert len(ours.recorded()) == 16 + size
    sharded(models[1], 8).fit(images[:16], labels[:16], **settings)
    sharded(models[1], 1).fit(images[16:], labels[16:], **settings)
    for old, new in zip(*(model.get_weights() for model in models), strict=True):
        assert np.allclose(old, new, atol=1e-6)
    right = models[0].predict(images, verbose=0).argmax(axis=1) == CLASSES[: 16 + size]
    assert history["val_accuracy"][0] == pytest.approx(right.mean())


@pytest.mark.parametrize(("sparse", "smoothing"), [(False, 0.0), (True, 0.0), (False, 0.2)])
def test_losses_of_each_image(network: Builder, sparse: bool, smoothing: float) -> None:
    model = network()
    weights = model.get_weights()
    logs = np.log(model.predict(IMAGES, verbose=0))
    # A smoothed label gives each class a tenth of the share.
    expected = -(1 - smoothing) * logs[np.arange(70), CLASSES] - smoothing * logs.mean(axis=1)
    name: losses.Loss = "categorical_crossentropy"
    if sparse:
        name = "sparse_categorical_crossentropy"
    labels = CLASSES if sparse else LABELS
    recorder = sharded(model, 3, losses.smoothed(name, smoothing), learning_rate=0.0)
    for _ in range(2):
        recorder.begin()
        assert len(recorder.recorded()) == 0
        # Neither sample weights nor validation images change what is recorded.
        recorder.fit(
            IMAGES,
            labels,
            sample_weight=np.full(70, 3.0),
            validation_data=(IMAGES[:9], labels[:9]),
            batch_size=32,
            shuffle=False,
            verbose=0,
        )
        assert np.allclose(recorder.recorded(), expected, atol=1e-5)
    assert all(map(np.array_equal, model.get_weights(), weights))


@pytest.mark.slow
@pytest.mark.pipeline
def test_the_same_bytes_on_any_number_of_cores(
    copy: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training with dropout, BatchNorm and selection, then an evaluation."""
    copy.params["train"] |= SMALL | {"selection": {"share": 0.6}}
    copy.set("train.shards", 5)
    copy.set("evaluate.batch_size", 7)  # of 100 images, so that batches are scored side by side
    found = []
    for cores in (1, 2, 4, 8):
        monkeypatch.setenv(determinism.CORES, str(cores))
        done = copy.run("train")
        assert done.returncode == 0, done.stderr
        assert f"images per second on {min(cores, 5)} core" in done.stderr
        copy.run_all("evaluate")
        scores = (copy.folder / "metrics/predictions.csv").read_bytes()
        found.append([*outputs(copy), scores])
    assert all(one == found[0] for one in found)
    copy.set("train.shards", 4)
    copy.run_all("train")
    assert outputs(copy)[0] != found[0][0]
