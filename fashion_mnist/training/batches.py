"""Feeds a prepared set to Keras batch by batch, in an order that only seed and epoch decide."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fashion_mnist.data.prepared import Float32, Prepared
from fashion_mnist.training.augmentation import Augmentation, Changes, change, draw
from fashion_mnist.training.selection import Selection, choose


class Batches:
    """Batches of a memory-mapped set; only the rows of the current batch are in memory.

    The order of epoch e is drawn from `numpy.random.default_rng([seed, e])`, so a training that
    resumes at e sees what an uninterrupted one would have seen.

    Args:
        data: The set.
        batch_size: Images a batch; the last one may be smaller.
        seed: Of the order; without it the rows come as they are stored.
        sparse: Hand out labels as integers (n,), not as one-hot rows (n, 10).
        augmentation: Of the images, anew in each epoch; it needs a seed.
        selection: Of the images of an epoch, by what `record` told; it needs a seed. With it,
            batches have weights (n,) besides images and labels.

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
    ) -> None:
        if (augmentation or selection) and seed is None:
            raise ValueError("augmentation and selection need a seed")
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.sparse = sparse
        self.augmentation = augmentation
        self.selection = selection
        self.changes: Changes | None = None
        self.weights: Float32 | None = None
        self.losses = np.full(len(data.images), np.inf, np.float32)
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Set the order of the rows, and what happens to them, for `epoch`, counted from 0.

        Call this from the callback `on_epoch_begin`: Keras also looks at a first batch before.
        """
        rows = len(self.data.images)
        if self.seed is None:
            self.order = np.arange(rows)
        else:
            generator = np.random.default_rng([self.seed, epoch])
            if self.selection:
                self.order, self.weights = choose(self.selection, self.losses, generator)
            else:
                self.order = generator.permutation(rows)
            if self.augmentation:
                self.changes = draw(self.augmentation, rows, self.seed, epoch)

    def record(self, losses: Float32) -> None:
        """Keep the losses (n,) of the first n images of the epoch, for the selection."""
        self.losses[self.order[: len(losses)]] = losses

    def size(self, index: int) -> int:
        """Return how many images batch `index` has."""
        return min(self.batch_size, len(self.order) - index * self.batch_size)

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Float32 | NDArray[np.int64], ...]:
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        rows = self.order[part]
        images, labels = self.data.images[rows], self.data.labels[rows]
        if self.changes:
            images = change(images, self.changes.of(rows))
        batch = images, labels.argmax(axis=1) if self.sparse else labels
        return batch if self.weights is None else (*batch, self.weights[part])

    def __iter__(self) -> Iterator[tuple[Float32 | NDArray[np.int64], ...]]:
        return (self[index] for index in range(len(self)))

    def dataset(self) -> tf.data.Dataset:
        """Return the batches in the form that Keras takes; each pass is over the epoch of then.

        Keras would make as much of a `keras.utils.PyDataset`, but tf.data tunes the number of
        batches made ahead by a thread whose sleeps double, and now and then, in TensorFlow 2.21,
        the end of an epoch waits until it wakes up, up to as long again as the epoch took.
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
