"""Images are mirrored and moved as asked, by draws that depend on seed and epoch alone."""

import itertools
from typing import Any

import numpy as np
import pytest

from fashion_mnist.augmentation import Augmentation, Changes, change, draw
from tests.test_batches import numbered


def test_change_is_what_numpy_pads_and_flips() -> None:
    generator = np.random.default_rng(0)
    images = generator.random((60, 28, 28, 1), np.float32)
    flipped = generator.random(60) < 0.5
    shifts = generator.integers(-3, 3, (60, 2), endpoint=True)
    changed = change(images, Changes(flipped, shifts, np.zeros((60, 2), int), 0))
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


@pytest.mark.parametrize("side", [1, 6, 7])
def test_a_square_becomes_the_mean(side: int) -> None:
    images = np.random.default_rng(0).random((2000, 28, 28, 1), np.float32)
    changed = change(images, draw(Augmentation(erase=side), 2000, 1, 0))
    assert changed.dtype == np.float32
    counts = np.zeros((28, 28), int)
    for image, found in zip(images[..., 0], changed[..., 0], strict=True):
        erased = found != image
        counts += erased
        assert np.allclose(found[erased], image.mean())
        rows, columns = np.flatnonzero(erased.any(axis=1)), np.flatnonzero(erased.any(axis=0))
        assert erased.sum() == len(rows) * len(columns)
        for places in (rows, columns):
            assert len(places) == places[-1] - places[0] + 1
            at_an_edge = places[0] == 0 or places[-1] == 27
            assert len(places) == side or (at_an_edge and len(places) >= side // 2)
    # Erased about alike everywhere, at the edges too, if less.
    assert counts[10:18, 10:18].sum() == pytest.approx(2000 * 64 * (side / 28) ** 2, rel=0.2)
    assert side == 1 or counts[0].sum() > 0


def test_random_flips_are_half_of_the_images() -> None:
    first, second = (draw(Augmentation(flip="random"), 5000, 1, e).flipped for e in (0, 1))
    for flipped in (first, second, first ^ second):
        assert 2300 < flipped.sum() < 2700


def test_alternating_flips_show_both_forms_in_any_two_epochs() -> None:
    epochs = [draw(Augmentation(flip="alternating"), 5000, 1, e).flipped for e in range(4)]
    assert 2300 < epochs[0].sum() < 2700
    for before, after in itertools.pairwise(epochs):
        assert np.array_equal(before, ~after)


def test_draws_are_those_of_seed_and_epoch() -> None:
    asked = Augmentation(flip="random", shift=3, erase=5)
    same, again, epoch, seed = (draw(asked, 100, *at) for at in ((1, 1), (1, 1), (1, 2), (2, 1)))
    for part in range(3):
        assert np.array_equal(same[part], again[part])
        assert not np.array_equal(same[part], epoch[part])
        assert not np.array_equal(same[part], seed[part])


def test_without_augmentation_images_stay() -> None:
    images = numbered(50).images
    assert np.array_equal(change(images, draw(Augmentation(), 50, 1, 0)), images)


@pytest.mark.parametrize("size", [7, 70])
def test_an_image_changes_alike_in_every_batch(keras: Any, size: int) -> None:
    from fashion_mnist.batches import Batches
    from fashion_mnist.prepared import Prepared

    data = numbered(70)
    images = np.random.default_rng(0).random(data.images.shape, np.float32)
    data = Prepared(images, data.labels)
    asked = Augmentation(flip="alternating", shift=1, erase=6)
    batches = Batches(data, size, seed=5, augmentation=asked)
    for epoch in (1, 0):
        batches.begin(epoch)
        found = np.concatenate([batches[index][0] for index in range(len(batches))])
        assert np.array_equal(found, change(images, draw(asked, 70, 5, epoch))[batches.order])
    with pytest.raises(ValueError, match="seed"):
        Batches(data, size, augmentation=asked)
