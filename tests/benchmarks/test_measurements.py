"""The benchmarks measure what they say, on a few images; nothing here looks at the time taken."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import isolated_training, rounding, utilization
from benchmarks.utilization import PRODUCT
from fashion_mnist import determinism, params
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared
from fashion_mnist.errors import InputError
from stages import train
from tests.conftest import ROOT, Pipeline


def sets(pipeline: Pipeline) -> tuple[Path, Path]:
    return pipeline.folder / "data/prepared/train", pipeline.folder / "data/prepared/test"


def metrics(pipeline: Pipeline, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((pipeline.folder / f"metrics/{stage}.json").read_text())
    return found


@pytest.mark.slow
def test_isolated_training_is_the_training_of_the_stage(finished: Pipeline) -> None:
    figures = isolated_training.run(finished.params["train"], sets(finished))
    trained = metrics(finished, "train")
    assert figures["images"] == trained["images_seen"]
    assert figures["flops_per_image"] == trained["flops_per_image"]
    assert figures["mirror_average"] == metrics(finished, "evaluate")["accuracy"]
    assert figures["seconds"] > 0
    assert 300 < figures["peak_mib"] < 4000


@pytest.mark.slow
def test_plain_lenet_is_the_published_network_for_five_epochs(finished: Pipeline) -> None:
    figures = isolated_training.run(isolated_training.PLAIN_LENET, sets(finished))
    assert figures["images"] == 5 * 200
    assert figures["flops_per_image"] == 13_095_520  # published/metrics/systems/lenet
    assert figures["accuracy"] > 0.3


def test_failed_training_ends_with_the_reason_and_no_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(InputError, match="failed with exit code 1"):
        isolated_training.run(isolated_training.PLAIN_LENET, (missing, missing))
    message = capfd.readouterr().err.splitlines()
    assert message == [f"isolated_training: error: {missing}/SHA256SUMS: no such file"]


def test_start_up_is_subtracted(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(settings: dict[str, Any], _: tuple[Path, Path]) -> dict[str, float]:
        assert settings["select"] == "last"  # nothing validates
        assert settings["epochs"] >= settings["steps"]
        return {"images": 32 * settings["steps"], "seconds": 7 + 0.5 * settings["steps"]}

    monkeypatch.setattr(isolated_training, "run", run)
    settings = {"epochs": 1, "select": "best"}
    sets = Path("train"), Path("test")
    assert isolated_training.without_start_up(settings, sets, (10, 50)) == (32 * 40, 0.5 * 40)
    assert settings == {"epochs": 1, "select": "best"}


@pytest.mark.slow
def test_rounding_scores_as_the_evaluate_stage_does(
    finished: Pipeline, keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = keras.saving.load_model(finished.folder / "data/model/model.keras")
    monkeypatch.setattr(isolated_training, "train_recipe", lambda *_: (model, 0.0, 0))
    monkeypatch.chdir(finished.folder)
    scored = metrics(finished, "evaluate")
    expected = {name: scored[name] for name in rounding.SCORES}
    assert rounding.measure(rounding.SHIPPED) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("setting", "threads", "changed"),
    [
        ("as shipped", 1, {}),
        ("two threads per operation", 2, {}),
        ("all vectors of this processor", 1, {"ONEDNN_MAX_CPU_ISA": "DEFAULT"}),
        ("Eigen, no oneDNN", 1, {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    ],
)
def test_rounding_trains_with_the_threads_and_kernels_of_its_setting(
    setting: str, threads: int, changed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Started(Exception):
        pass

    def train_recipe(*_: object) -> None:
        raise Started

    nothing = Prepared(np.zeros((0, 28, 28, 1), np.float32), np.zeros((0, 10), np.float32))
    shipped = dict(determinism.ENVIRONMENT)
    monkeypatch.setattr(determinism, "THREADS_PER_OPERATION", 1)
    monkeypatch.setattr(determinism, "ENVIRONMENT", dict(shipped))
    monkeypatch.setattr(isolated_training, "train_recipe", train_recipe)
    monkeypatch.setattr(prepared, "load", lambda _: nothing)
    monkeypatch.chdir(ROOT)
    with pytest.raises(Started):
        rounding.measure(setting)
    assert threads == determinism.THREADS_PER_OPERATION
    assert shipped | changed == determinism.ENVIRONMENT


@pytest.mark.slow
def test_utilization_times_whole_epochs_of_the_recipe(finished: Pipeline, keras: Any) -> None:
    from fashion_mnist.training.batches import Batches

    settings = params.read(finished.folder / "params.yaml", "train", train.Params)
    images, labels = prepared.load(sets(finished)[0])
    data = Prepared(images[:64], labels[:64])
    batches = Batches(data, 32, settings.seed, augmentation=settings.augmentation)
    model = isolated_training.recipe_model(settings, batches)
    workloads = utilization.training_workloads(model, batches)
    flops = metrics(finished, "train")["flops_per_image"]
    for name, workload in workloads.items():
        before = int(model.optimizer.iterations)
        workload.run()
        assert int(model.optimizer.iterations) - before == len(batches), name
        assert workload.operations == 3 * flops * len(data.images), name


def test_rates_are_measured_after_a_round_that_is_not_timed() -> None:
    calls = []
    product = utilization.Workload(lambda: calls.append(PRODUCT), 2e9)
    step = utilization.Workload(lambda: calls.append("step"), 1e9)
    rates = utilization.measure({PRODUCT: product, "step": step}, repeats=2)
    assert calls == [PRODUCT, "step"] * 3
    assert {name: len(found) for name, found in rates.items()} == {PRODUCT: 2, "step": 2}
