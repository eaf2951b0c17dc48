"""Section `search.space` says what keys of `train` may be, and faults in it are named."""

from typing import Any

import pytest

from cluster import space
from cluster.space import Range
from fashion_mnist.errors import InputError

TRAIN = {"epochs": 3, "optimizer": {"name": "adam", "learning_rate": 0.1}, "arguments": {}}


def test_ranges_by_path() -> None:
    section = {
        "epochs": {"int": [2, 9]},
        "optimizer": {"learning_rate": {"log": [0.001, 1]}},
        "arguments": {"choice": [{}, {"widths": [8, 8, 8]}]},
    }
    assert space.read(section, TRAIN) == {
        "epochs": Range("int", [2, 9]),
        "optimizer.learning_rate": Range("log", [0.001, 1]),
        "arguments": Range("choice", [{}, {"widths": [8, 8, 8]}]),
    }


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "search.space: no keys"),
        ({"epoch": {"int": [1, 2]}}, "search.space.epoch: unknown key, expected one of epochs, "),
        ({"epochs": [1, 2]}, r"search.space.epochs: got \[1, 2\], expected one of float, log, int"),
        ({"epochs": {}}, "search.space.epochs: got {}, expected one of float"),
        ({"epochs": {"up": 1}}, "search.space.epochs.up: unknown key, expected one of float, log"),
        ({"optimizer": {"rate": {"log": [1, 2]}}}, "search.space.optimizer.rate: unknown key"),
        ({"epochs": {"int": [1, 2.5]}}, r"search.space.epochs.int: got \[1, 2.5\], expected int"),
        ({"epochs": {"int": [True, 2]}}, r"epochs.int: got \[True, 2\], expected integers"),
        ({"epochs": {"int": [2, 2]}}, r"search.space.epochs.int: got \[2, 2\]"),
        ({"epochs": {"float": [1]}}, r"search.space.epochs.float: got \[1\], expected numbers"),
        ({"epochs": {"float": [0, float("inf")]}}, r"epochs.float: got \[0, inf\]"),
        ({"epochs": {"float": "1"}}, "search.space.epochs.float: got '1', expected numbers"),
        ({"epochs": {"log": [0, 1]}}, r"search.space.epochs.log: got \[0, 1\], .* above 0"),
        ({"epochs": {"choice": []}}, r"search.space.epochs.choice: got \[\], expected a list"),
        ({"epochs": {"choice": [1, 2, 1]}}, r"got \[1, 2, 1\], expected a list of different"),
        ({"epochs": {"int": [1, 2], "log": [1, 2]}}, "search.space.epochs: got int, log, expected"),
    ],
)
def test_faults_are_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        space.read(section, TRAIN)


@pytest.mark.parametrize(
    ("found", "suggested", "value", "position"),
    [
        (Range("float", [1, 3]), 1.500001, 1.5, 0.25),
        (Range("log", [0.01, 1]), 0.1, 0.1, 0.5),
        (Range("float", [0.12344, 0.2]), 0.123441, 0.12344, 0.0),
        (Range("int", [2, 4]), 4, 4, 1.0),
        (Range("choice", [None, [8, 8], 0.5]), "[8, 8]", [8, 8], 0.5),
        (Range("choice", ["one"]), '"one"', "one", 0.0),
    ],
)
def test_values_and_positions(found: Range, suggested: Any, value: Any, position: float) -> None:
    assert found.value(suggested) == value
    assert found.position(value) == pytest.approx(position)


def test_what_optuna_suggests_lies_in_the_range() -> None:
    import optuna

    ranges = space.read(
        {"epochs": {"int": [2, 9]}, "optimizer": {"learning_rate": {"log": [0.001, 1]}}}, TRAIN
    )
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))
    for _ in range(30):
        asked = study.ask({path: one.distribution() for path, one in ranges.items()})
        values = {path: one.value(asked.params[path]) for path, one in ranges.items()}
        study.tell(asked, values["epochs"])
        assert 2 <= values["epochs"] <= 9
        assert 0.001 <= values["optimizer.learning_rate"] <= 1


def test_nested() -> None:
    values = {"epochs": 3, "optimizer.learning_rate": 0.1, "optimizer.momentum": 0.5}
    expected = {"epochs": 3, "optimizer": {"learning_rate": 0.1, "momentum": 0.5}}
    assert space.nested(values) == expected
