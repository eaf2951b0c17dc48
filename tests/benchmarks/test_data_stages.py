"""The benchmark of the data stages runs them on as many images as it says."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import child_process, data_stages
from benchmarks.data_stages import Cost
from tests.conftest import ROOT


def test_ratios_are_to_the_smallest_number() -> None:
    small = dict.fromkeys(data_stages.STAGES, Cost(100, 2))
    large = dict.fromkeys(data_stages.STAGES, Cost(150, 20))
    table = data_stages.render({60_000: small, 600_000: large})
    assert table.splitlines()[2:4] == [
        "| download | 60,000 | 100 | 1.00 | 2.0 | 1.0 |",
        "| download | 600,000 | 150 | 1.50 | 20.0 | 10.0 |",
    ]
    assert len(table.splitlines()) == 2 + 2 * 3


def test_blocks_have_all_images_and_every_class_equally_often() -> None:
    images, labels = zip(*data_stages.blocks(5000, 1), strict=True)
    assert np.bincount(np.concatenate(labels)).tolist() == [500] * 10
    found = np.concatenate(images)
    assert found.shape == (5000, 28, 28)
    assert len(np.unique(found.reshape(5000, -1), axis=0)) == 5000


@pytest.mark.slow
def test_each_stage_runs_on_so_many_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    data_stages.make(tmp_path, 240)
    for stage in data_stages.STAGES:
        arguments = ("--stage", stage, "--folder", str(tmp_path))
        cost = Cost(*child_process.run(data_stages.MODULE, *arguments))
        assert 40 < cost.peak_mib < 400
        assert cost.seconds > 0
    counts = json.loads((tmp_path / "metrics/split.json").read_text())
    assert counts["train"]["images"] == 200
    assert counts["validation"]["images"] == counts["test"]["images"] == 40
