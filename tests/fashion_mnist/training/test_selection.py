"""An epoch has the images with the highest loss, and some of the others with higher weights."""

from typing import Any

import numpy as np
import pytest

from fashion_mnist.training.selection import Selection, select
from tests.fashion_mnist.training.conftest import numbered

HALF = Selection(share=0.5)


def test_the_hardest_are_in_and_the_rest_stand_for_the_others() -> None:
    losses = np.random.default_rng(0).permutation(1000).astype(np.float32)
    rows, weights = select(Selection(share=0.4, hardest=0.25), losses, np.random.default_rng(1))
    assert len(set(rows.tolist())) == len(rows) == len(weights) == 400
    hardest = losses[rows] >= 900
    assert hardest.sum() == 100
    # 300 stand for 900.
    assert np.allclose(weights, np.where(hardest, 1, 3) * 0.4)
    assert weights.mean() == pytest.approx(1)
    # In no order of hardness, and the rest are of all kinds.
    assert abs(np.flatnonzero(hardest).mean() - 200) < 40
    assert abs(losses[rows][~hardest].mean() - 450) < 50


def test_weighted_mean_is_that_of_all_images() -> None:
    losses = np.random.default_rng(0).exponential(size=1000).astype(np.float32) ** 2
    scores = losses + 1
    estimates = []
    for seed in range(300):
        rows, weights = select(HALF, losses, np.random.default_rng(seed))
        estimates.append((scores[rows] * weights).mean())
    error = np.std(estimates) / len(estimates) ** 0.5
    assert abs(np.mean(estimates) - scores.mean()) < 4 * error
    unweighted = scores[rows].mean()
    assert unweighted > scores.mean() + 20 * error


def test_images_that_were_not_seen_come_first() -> None:
    losses = np.full(100, np.inf, np.float32)
    rows, weights = select(HALF, losses, np.random.default_rng(0))
    assert len(rows) == 50
    assert (weights == 1).all()
    losses[rows] = 5.0
    unseen = np.isinf(losses)
    again, _ = select(Selection(share=0.5, hardest=0.9), losses, np.random.default_rng(1))
    assert unseen[again].sum() >= 45
    assert select(HALF, losses[:1], np.random.default_rng(1))[0].tolist() == [0]


def test_the_draw_is_that_of_the_generator() -> None:
    losses = np.random.default_rng(0).random(100, np.float32)
    first, same, other = (
        select(HALF, losses, np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_batches_of_what_was_chosen(keras: Any) -> None:
    from fashion_mnist.training.batches import Batches

    data = numbered(70)
    batches = Batches(data, 16, seed=5, selection=HALF)
    assert len(batches) == 3
    first = batches.order.copy()
    batches.record(np.arange(20, dtype=np.float32))
    assert batches.losses[first[:20]].tolist() == list(range(20))
    assert np.isinf(batches.losses[first[20:]]).all()
    batches.begin(1)
    expected = select(HALF, batches.losses, np.random.default_rng([5, 1]))
    found = [batches[index] for index in range(3)]
    assert [len(images) for images, _, _ in found] == [16, 16, 3]
    images, labels, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    assert np.array_equal(images, data.images[expected[0]])
    assert np.array_equal(labels, data.labels[expected[0]])
    assert np.array_equal(weights, expected[1])
    with pytest.raises(ValueError, match="seed"):
        Batches(data, 16, selection=HALF)
