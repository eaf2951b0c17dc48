"""Feeds a prepared set to Keras batch by batch, in an order that only seed and epoch decide."""

import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fashion_mnist.data.prepared import Float32, Prepared
from fashion_mnist.training import augmentation as augmenting
from fashion_mnist.training.augmentation import Augmentation, Changes
from fashion_mnist.training.selection import Selection, select

Batch = tuple[Float32 | NDArray[np.int64], ...]


class Batches:
    """Batches of a memory-mapped set; only the rows of the current batch are in memory.

    The order of epoch e is drawn from `numpy.random.default_rng([seed, e])`, so a training that
    resumes at e sees the same batches as an uninterrupted one.

    Args:
        data: The set.
        batch_size: Images per batch; the last one may be smaller.
        seed: Seed of the order; None to keep the order of the set.
        sparse: Return labels as integers (n,) instead of one-hot rows
            (n, classes).
        augmentation: Changes to the images, drawn again in each epoch; needs a seed.
        selection: Which images an epoch trains on, by the losses that `record` received; needs a
            seed. Batches then have weights (n,) as a third part.
        class_weights: Weight of the images of each class, (classes,). Batches then have weights
            too, those of a selection multiplied by these.

    Raises:
        ValueError: There is an augmentation or a selection but no seed.
    """

    def __init__(
        self,
        data: Prepared,
        batch_size: int,
        seed: int | None = None,
        sparse: bool = False,
        augmentation: Augmentation | None = None,
        selection: Selection | None = None,
        class_weights: Float32 | None = None,
    ) -> None:
        if (augmentation or selection) and seed is None:
            raise ValueError("augmentation and selection need a seed")
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.sparse = sparse
        self.augmentation = augmentation
        self.selection = selection
        self.class_weights = class_weights
        self.changes: Changes | None = None
        self.weights: Float32 | None = None
        self.losses = np.full(len(data.images), np.inf, np.float32)
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Draw the order of an epoch, counted from 0, its images and the changes to them.

        Call this from the callback `on_epoch_begin`: Keras also reads a first batch earlier.
        """
        count = len(self.data.images)
        if self.seed is None:
            self.order = np.arange(count)
            return
        generator = np.random.default_rng([self.seed, epoch])
        if self.selection:
            self.order, self.weights = select(self.selection, self.losses, generator)
        else:
            self.order = generator.permutation(count)
        if self.augmentation:
            self.changes = augmenting.draw(self.augmentation, count, self.seed, epoch)

    def record(self, losses: Float32) -> None:
        """Keep the losses (n,) of the first n images of the epoch, for the next selection."""
        self.losses[self.order[: len(losses)]] = losses

    def size(self, index: int) -> int:
        """Return the number of images in batch `index`."""
        return min(self.batch_size, len(self.order) - index * self.batch_size)

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        rows = self.order[part]
        images, labels = self.data.images[rows], self.data.labels[rows]
        if self.changes:
            images = augmenting.apply(self.changes.of(rows), images)
        batch = images, labels.argmax(axis=1) if self.sparse else labels
        weights = None if self.weights is None else self.weights[part]
        if self.class_weights is not None:
            own = self.class_weights[labels.argmax(axis=1)]
            weights = own if weights is None else weights * own
        return batch if weights is None else (*batch, weights)

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))

    def dataset(self) -> tf.data.Dataset:
        """Return the batches in the form that Keras takes; each pass yields the current epoch.

        Not a `keras.utils.PyDataset`: Keras would wrap it in a dataset with autotuning, whose
        thread sleeps longer and longer (TensorFlow 2.21). Now and then the end of an epoch waits
        until it wakes up, up to as long as the epoch took.
        """
        signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in self[0])
        options = tf.data.Options()
        options.autotune.enabled = False
        return (
            tf.data.Dataset.from_generator(lambda: iter(self), output_signature=signature)
            .apply(tf.data.experimental.assert_cardinality(len(self)))
            .prefetch(1)
            .with_options(options)
        )
