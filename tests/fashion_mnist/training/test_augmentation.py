"""Images are mirrored and moved as asked, by draws that depend on seed and epoch alone."""

from typing import Any

import numpy as np
import pytest

from fashion_mnist.training.augmentation import Augmentation, Changes, apply, draw
from tests.fashion_mnist.training.conftest import numbered


def test_change_is_what_numpy_pads_and_flips() -> None:
    generator = np.random.default_rng(0)
    images = generator.random((60, 28, 28, 1), np.float32)
    flipped = generator.random(60) < 0.5
    shifts = generator.integers(-3, 3, (60, 2), endpoint=True)
    changed = apply(Changes(flipped, shifts), images)
    assert changed.dtype == np.float32
    for image, flip, (down, right), found in zip(images, flipped, shifts, changed, strict=True):
        padded = np.pad(image, ((3, 3), (3, 3), (0, 0)), mode="edge")
        moved = padded[3 - down : 31 - down, 3 - right : 31 - right]
        assert np.array_equal(found, moved[:, ::-1] if flip else moved)


def test_shifts_reach_as_far_as_asked() -> None:
    shifts = draw(Augmentation(shift=2), 5000, 1, 0).shifts
    pairs, counts = np.unique(shifts, axis=0, return_counts=True)
    assert sorted(map(tuple, pairs)) == [(y, x) for y in range(-2, 3) for x in range(-2, 3)]
    assert counts.min() > 120  # 200 of each are expected


def test_random_flips_are_half_of_the_images() -> None:
    first, second = (draw(Augmentation(flip=True), 5000, 1, e).flipped for e in (0, 1))
    for flipped in (first, second, first ^ second):
        assert 2300 < flipped.sum() < 2700


def test_draws_are_those_of_seed_and_epoch() -> None:
    asked = Augmentation(flip=True, shift=3)
    same, again, epoch, seed = (draw(asked, 100, *at) for at in ((1, 1), (1, 1), (1, 2), (2, 1)))
    for part in range(2):
        assert np.array_equal(same[part], again[part])
        assert not np.array_equal(same[part], epoch[part])
        assert not np.array_equal(same[part], seed[part])


def test_without_augmentation_images_stay() -> None:
    images = numbered(50).images
    assert np.array_equal(apply(draw(Augmentation(), 50, 1, 0), images), images)


@pytest.mark.parametrize("size", [7, 70])
def test_an_image_changes_alike_in_every_batch(keras: Any, size: int) -> None:
    from fashion_mnist.data.prepared import Prepared
    from fashion_mnist.training.batches import Batches

    data = numbered(70)
    images = np.random.default_rng(0).random(data.images.shape, np.float32)
    data = Prepared(images, data.labels)
    asked = Augmentation(flip=True, shift=1)
    batches = Batches(data, size, seed=5, augmentation=asked)
    for epoch in (1, 0):
        batches.begin(epoch)
        found = np.concatenate([batches[index][0] for index in range(len(batches))])
        assert np.array_equal(found, apply(draw(asked, 70, 5, epoch), images)[batches.order])
    with pytest.raises(ValueError, match="seed"):
        Batches(data, size, augmentation=asked)
