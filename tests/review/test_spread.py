"""Scores over several seeds: their summary, their test, and which recipe they belong to."""

import math
import re
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fashion_mnist.errors import InputError
from review import spread
from tests.review.conftest import Branch


def score(*values: float) -> spread.Score:
    return spread.summary({f"seed_{seed}": value for seed, value in enumerate(values, 1)})


def test_the_interval_of_the_mean_is_that_of_students_t() -> None:
    found = score(0.91, 0.93, 0.92)
    assert found.mean == pytest.approx(0.92)
    assert found.standard_deviation == pytest.approx(0.01)
    # 4.302653 is the 97.5th percentile of Student's t with two degrees of freedom, from a table.
    assert found.high - found.mean == pytest.approx(4.302653 * 0.01 / math.sqrt(3), rel=1e-6)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_welch_by_its_formula() -> None:
    before, after = score(0.91, 0.93, 0.92), score(0.94, 0.935, 0.945, 0.95)
    found = spread.welch(before, after, 0.95)
    parts = [0.01**2 / 3, np.var([0.94, 0.935, 0.945, 0.95], ddof=1) / 4]
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 3)
    difference = 0.9425 - 0.92
    assert found["difference"] == pytest.approx(difference)
    assert found["p"] == pytest.approx(2 * stats.t.sf(difference / error, freedom), rel=1e-9)
    half = stats.t.ppf(0.975, freedom) * error
    assert (found["low"], found["high"]) == pytest.approx((difference - half, difference + half))


def test_equal_scores_of_all_seeds_have_an_interval_without_width() -> None:
    equal = score(0.9, 0.9)
    assert (equal.low, equal.high, equal.standard_deviation) == (0.9, 0.9, 0)
    same = spread.welch(score(0.9, 0.9), score(0.9, 0.9), 0.95)
    assert same == {"difference": 0, "low": 0, "high": 0, "p": 1}
    other = spread.welch(score(0.9, 0.9), score(0.8, 0.8), 0.95)
    assert other["p"] == 0
    assert other["low"] == other["high"] == pytest.approx(-0.1)


def test_the_fingerprint_covers_all_but_the_seed_and_the_order_in_a_file() -> None:
    parameters: dict[str, Any] = {
        "train": {"epochs": 2, "seed": 1},
        "evaluate": {"bins": 15},
    }
    model = {"path": "data/model/model.keras", "md5": "m"}
    lock: dict[str, Any] = {
        "train": {"deps": [{"path": "stages/train.py", "md5": "a"}]},
        "evaluate": {"deps": [{"path": "stages/evaluate.py", "md5": "b"}, model]},
    }
    name = spread.fingerprint(parameters, lock)
    same = deepcopy((parameters, lock))
    same[0]["train"] = {"seed": 2, "epochs": 2}
    same[1]["evaluate"]["deps"] = [{**model, "md5": "n"}, lock["evaluate"]["deps"][0]]
    assert spread.fingerprint(*same) == name
    for place, section, key, value in (
        (0, "train", "epochs", 3),
        (0, "evaluate", "bins", 10),
        (1, "train", "deps", [{"path": "stages/train.py", "md5": "c"}]),
        (1, "evaluate", "deps", [{"path": "stages/evaluate.py", "md5": "c"}, model]),
    ):
        other = deepcopy((parameters, lock))
        other[place][section][key] = value
        assert spread.fingerprint(*other) != name
    del lock["evaluate"]
    with pytest.raises(
        InputError, match=r"^params.yaml or dvc.lock has no 'data/model/model.keras'$"
    ):
        spread.fingerprint(parameters, lock)


def test_a_damaged_spread_is_named(branch: Branch) -> None:
    branch.record_spread(0.942, 0.945)
    path = branch.folder / "metrics/spread.json"
    text = path.read_text()
    path.write_text(re.sub(r'"mean":[^,]*', '"mean": "high"', text, count=1))
    branch.cannot_compare(
        words=("metrics/spread.json: spread.accuracy.mean: got 'high', expected",)
    )
    path.write_text(text.replace('"fingerprint"', '"footprint"'))
    branch.cannot_compare(words=("metrics/spread.json", "spread.footprint: unknown key"))
    path.write_text("{}")
    branch.cannot_compare(
        words=("metrics/spread.json", "spread.fingerprint: missing", "spread.accuracy")
    )


@pytest.mark.parametrize(
    ("trainings", "cores", "jobs"),
    [
        (5, 1, 1),
        (4, 2, 2),  # two at a time, each on one core
        (5, 2, 1),  # side by side, the fifth would leave a core idle
        (2, 16, 2),
        (20, 8, 4),  # five full rounds; eight at a time would leave cores idle in the third
    ],
)
def test_trainings_run_side_by_side_where_that_is_faster(
    trainings: int, cores: int, jobs: int
) -> None:
    assert spread.side_by_side(trainings, cores) == jobs
