"""Small trainings: as a stage in a process of its own, or by `train.fit` in this one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from ruamel.yaml import YAML

from fashion_mnist import models
from fashion_mnist.data import prepared
from stages import train
from tests.conftest import ROOT, Pipeline

OUTPUTS = (
    "data/model/model.keras",
    "metrics/train.json",
    "metrics/history.csv",
    "metrics/steps.csv",
)
# A model with BatchNorm and dropout, trained without any trick.
SMALL = {
    "model": "fashion_cnn",
    "arguments": {
        "convolutions": [{"channels": 4, "stride": 2, "pool": 2}],
        "dense": [{"units": 10, "dropout": 0.2, "activation": "softmax"}],
    },
    "optimizer": {"name": "adam"},
    "schedule": {"name": "constant"},
    "augmentation": None,
    "selection": None,
    "seed": 27,
}


def small(pipeline: Pipeline, **settings: Any) -> Pipeline:
    """Let the pipeline train the small model."""
    pipeline.params["train"] |= SMALL | settings
    pipeline.set("train.seed", pipeline.params["train"]["seed"])
    return pipeline


def outputs(pipeline: Pipeline) -> list[bytes]:
    """Return what the stage wrote."""
    return [(pipeline.folder / name).read_bytes() for name in OUTPUTS]


class Trained(NamedTuple):
    """A training in this process: the model, its two tables, and the metrics of the stage."""

    model: Any
    history: pd.DataFrame
    steps: pd.DataFrame
    metrics: dict[str, Any]


Fit = Callable[..., Trained]


@pytest.fixture
def fit(keras: Any, finished: Pipeline, tmp_path: Path) -> Fit:
    """Return a function that trains the small model on 200 prepared images, as the stage does."""
    default = YAML(typ="safe").load(ROOT / "params.yaml")["train"]
    folder = finished.folder / "data/prepared"

    def run(**settings: Any) -> Trained:
        parameters = {"batch_size": 32, "epochs": 2}
        asked = train.Params.model_validate(default | SMALL | parameters | settings)
        sets = [prepared.load(folder / name) for name in ("train", "validation")]
        keras.utils.set_random_seed(asked.seed)
        model = models.build(asked.model, asked.arguments, (28, 28, 1), 10)
        checkpoint = tmp_path / "checkpoint.npz"
        checkpoint.unlink(missing_ok=True)
        history, steps = train.fit(model, asked, *sets, checkpoint, [])
        return Trained(model, history, steps, train.summarize(model, asked, history, steps))

    return run
