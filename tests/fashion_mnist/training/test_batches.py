"""The order of the images depends on seed and epoch only, and Keras follows it."""

from typing import Any

import numpy as np

from tests.fashion_mnist.training.conftest import numbered


def numbers(batches: Any) -> list[int]:
    """Return the numbers of the images in the order of the batches."""
    found = []
    for index in range(len(batches)):
        images, labels = batches[index]
        assert np.array_equal(images[:, 0, 0, 0] % 10, labels.argmax(axis=1))
        found += images[:, 0, 0, 0].astype(int).tolist()
    return found


def test_every_image_once_and_a_shorter_last_batch(keras: Any) -> None:
    from fashion_mnist.training.batches import Batches

    batches = Batches(numbered(70), 32, seed=1)
    assert [len(batches[index][0]) for index in range(len(batches))] == [32, 32, 6]
    assert sorted(numbers(batches)) == list(range(70))
    assert numbers(Batches(numbered(70), 32)) == list(range(70))


def test_order_is_that_of_seed_and_epoch(keras: Any) -> None:
    from fashion_mnist.training.batches import Batches

    batches = Batches(numbered(70), 32, seed=1)
    seen = []
    for epoch in (2, 0, 1):
        batches.begin(epoch)
        expected = np.random.default_rng([1, epoch]).permutation(70).tolist()
        assert numbers(batches) == expected
        seen.append(tuple(expected))
    assert len(set(seen)) == 3


def test_keras_trains_in_that_order(keras: Any) -> None:
    """One weight that becomes the last image it saw tells the order of the updates."""
    from fashion_mnist.training.batches import Batches

    class Last(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.seen = self.add_weight(shape=(200,), initializer="zeros", trainable=False)
            self.step = self.add_weight(
                shape=(), dtype="int32", initializer="zeros", trainable=False
            )
            self.dense = keras.layers.Dense(10)

        def call(self, images: Any, training: bool = False) -> Any:
            if training:
                place = keras.ops.one_hot(self.step, 200)
                self.seen.assign_add(place * (images[0, 0, 0, 0] + 1))
                self.step.assign_add(1)
            return self.dense(images[:, 0, 0])

    model = Last()
    batches = Batches(numbered(60), 1, seed=5)
    model.compile("sgd", "mse")
    model.fit(
        batches.dataset(),
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.begin(epoch))
        ],
    )
    expected = np.concatenate([np.random.default_rng([5, e]).permutation(60) for e in range(3)])
    assert np.array_equal(np.asarray(model.seen)[:180] - 1, expected)


def test_sparse_labels_are_the_classes_of_the_rows(keras: Any) -> None:
    from fashion_mnist.training.batches import Batches

    one_hot, sparse = (Batches(numbered(70), 32, 1, sparse=flag) for flag in (False, True))
    for index in range(3):
        images, rows = one_hot[index]
        same, classes = sparse[index]
        assert np.array_equal(images, same)
        assert np.array_equal(rows.argmax(axis=1), classes)
        assert classes.shape == (one_hot.size(index),) == (len(images),)


def test_each_image_has_the_weight_of_its_class(keras: Any) -> None:
    from fashion_mnist.training.batches import Batches
    from fashion_mnist.training.selection import Selection

    weights = np.arange(1, 11, dtype=np.float32) / 4
    plain, weighted = (Batches(numbered(70), 32, 1, class_weights=own) for own in (None, weights))
    for index in range(3):
        images, rows = plain[index]
        same, labels, found = weighted[index]
        assert np.array_equal(images, same)
        assert np.array_equal(rows, labels)
        assert found.dtype == np.float32
        assert np.array_equal(found, weights[rows.argmax(axis=1)])
    selection = Selection(share=0.6, hardest=0.5)
    plain, weighted = (
        Batches(numbered(70), 32, 1, sparse=True, selection=selection, class_weights=own)
        for own in (None, weights)
    )
    for batches in (plain, weighted):
        batches.record(np.arange(len(batches.order), dtype=np.float32))
        batches.begin(1)
    for index in range(len(plain)):
        _, labels, of_selection = plain[index]
        assert len(set(of_selection.tolist())) > 1
        assert np.allclose(weighted[index][2], of_selection * weights[labels])
    # Keras gets them too.
    found = list(weighted.dataset().as_numpy_iterator())
    for batch, expected in zip(found, weighted, strict=True):
        assert all(map(np.array_equal, batch, expected))


def test_dataset_has_the_batches_and_no_thread_that_outsleeps_an_epoch(keras: Any) -> None:
    from fashion_mnist.training.batches import Batches
    from fashion_mnist.training.selection import Selection

    batches = Batches(numbered(70), 8, seed=1, selection=Selection(share=0.5))
    dataset = batches.dataset()
    for epoch in (0, 1):
        batches.begin(epoch)
        found = list(dataset.as_numpy_iterator())
        assert len(found) == len(dataset) == 5
        for batch, expected in zip(found, batches, strict=True):
            assert all(map(np.array_equal, batch, expected))
    assert dataset.options().autotune.enabled is False
