"""The benchmarks measure what they say, on a few images; nothing here looks at the time taken."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from benchmarks import ablation, rounding, time_to_accuracy, trial
from stages import train
from tests.conftest import ROOT, Pipeline, run
from tests.stages.test_train import metrics

RECIPE = YAML(typ="safe").load(ROOT / "params.yaml")["train"]


def sets(pipeline: Pipeline) -> tuple[Path, Path]:
    return pipeline.folder / "data/prepared/train", pipeline.folder / "data/prepared/test"


def test_trial_trains_what_the_stage_trains(finished: Pipeline) -> None:
    figures = trial.run(finished.params["train"], sets(finished))
    assert figures["images"] == metrics(finished)["images_seen"]
    assert figures["flops_per_image"] == metrics(finished)["flops_per_image"]
    scored = YAML(typ="safe").load(finished.folder / "metrics/evaluate.json")
    assert figures["mirror_average"] == scored["accuracy"]
    assert figures["seconds"] > 0
    assert 300 < figures["peak_mib"] < 4000


def test_plain_trial_is_lenet_as_published(finished: Pipeline) -> None:
    figures = trial.run(trial.PLAIN, sets(finished))
    assert figures["images"] == 5 * 200
    assert figures["flops_per_image"] == 13_095_520  # published/metrics/systems/lenet
    assert figures["accuracy"] > 0.3


@pytest.mark.parametrize("setting", [rounding.SHIPPED, "one thread"])
def test_rounding_trains_and_scores_what_the_stages_do(finished: Pipeline, setting: str) -> None:
    command = [sys.executable, "-m", "benchmarks.rounding", "--params"]
    command += [str(finished.folder / "params.yaml"), "--child", setting]
    for option, folder in zip(("--train", "--test"), sets(finished), strict=True):
        command += [option, str(folder)]
    found = json.loads(run(*command, cwd=ROOT).splitlines()[-1])
    scored = json.loads((finished.folder / "metrics/evaluate.json").read_text())
    expected = {name: scored[name] for name in rounding.SCORES}
    assert found == pytest.approx(expected, abs=1e-6 if setting == rounding.SHIPPED else 0.05)


def test_table_of_rounding() -> None:
    scores = dict.fromkeys(rounding.SCORES, 0.5)
    rows = rounding.render({"as shipped": scores, "other": scores | {"loss": 0.25}}).splitlines()
    assert rows[0] == "| | accuracy | macro f1 | loss | expected calibration error | brier score |"
    assert rows[3:] == [
        "| other | 0.5000 | 0.5000 | 0.2500 | 0.5000 | 0.5000 |",
        "| largest difference | 0.0000 | 0.0000 | 0.2500 | 0.0000 | 0.0000 |",
    ]


@pytest.mark.parametrize("variant", ablation.VARIANTS)
def test_a_variant_is_a_recipe_that_differs(variant: str) -> None:
    changed = ablation.apply(RECIPE, ablation.VARIANTS[variant])
    train.Params.model_validate(changed)
    assert (changed == RECIPE) == (variant == "the recipe")
    for path in ablation.VARIANTS[variant]:
        assert path.split(".")[0] in RECIPE


def test_ablation_compares_runs_of_the_same_seed() -> None:
    def run(variant: str, seed: int, accuracy: float) -> dict[str, Any]:
        scores = {"accuracy": accuracy, "mirror_average": accuracy + 0.01}
        return {"variant": variant, "seed": seed} | scores

    runs = [
        *[run("the recipe", 1, 0.90), run("the recipe", 2, 0.92)],
        *[run("no flips", 1, 0.88), run("no flips", 2, 0.91)],
    ]
    rounds = [
        {"seconds": {"the recipe": recipe, "no flips": other}}
        for recipe, other in [(10, 9), (20, 23), (20, 40)]
    ]
    rows = ablation.render(runs, rounds).splitlines()[2:]
    assert rows == [
        "| the recipe | 91.00 ± 1.41 |  | 92.00 ± 1.41 |  | 1.00 |",
        "| no flips | 89.50 ± 2.12 | -1.50 ± 0.50 | 90.50 ± 2.12 | -1.50 ± 0.50 | 1.15 |",
    ]


def test_table_and_picture_of_cost(tmp_path: Path) -> None:
    figures = {"images": 100, "peak_mib": 1000.4, "flops_per_image": 13_095_520}
    scores = {"accuracy": 0.91, "mirror_average": 0.9}
    better = {"accuracy": 0.94, "mirror_average": 0.937}
    runs = [
        {"system": time_to_accuracy.BASELINE, "cost": 1.0, "seconds": 10} | figures | scores,
        {"system": "default", "cost": 0.5, "seconds": 5} | figures | better,
        {"system": "default", "cost": 0.7, "seconds": 5}
        | figures
        | better
        | {"mirror_average": 0.947},
        {"system": "quick", "cost": 0.1, "seconds": 1} | figures | scores,
    ]
    results = {"runs": runs, "published": {"dense": {"accuracy": 0.87, "cost": 0.1}}}
    rows = time_to_accuracy.render(results).splitlines()[2:]
    assert rows == [
        "| lenet, plain Keras (1 run) | 91.00 | 10 | 1.00 | 10 | 13.1 | 1,000 |",
        "| default (2 runs) | 94.20 ± 0.71 | 5 | 0.60 | 20 | 13.1 | 1,000 |",
        # It is scored without the mirror average.
        "| quick (1 run) | 91.00 | 1 | 0.10 | 100 | 13.1 | 1,000 |",
    ]
    time_to_accuracy.draw(results, tmp_path / "cost.png")
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_costs_in_another_unit_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = "flags\t\t: fpu avx2 avx512f"
    assert time_to_accuracy.lenet_by(flags) == "Eigen"
    assert time_to_accuracy.lenet_by(flags + " avx512_vnni\n") == "oneDNN"
    output = tmp_path / "costs.json"
    measured = '{"lenet_by": "hand", "runs": [], "published": {}}'
    output.write_text(measured, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["time_to_accuracy", "--output", str(output)])
    with pytest.raises(SystemExit, match="2"):
        time_to_accuracy.main()
    assert f"{output}: its unit of cost is LeNet by hand" in capsys.readouterr().err
    assert output.read_text(encoding="utf-8") == measured


@pytest.mark.parametrize("name", time_to_accuracy.RECIPES)
def test_runs_of_what_a_recipe_was_are_not_counted(name: str) -> None:
    settings = time_to_accuracy.parameters(name)["train"]
    assert time_to_accuracy.current({"system": name, "settings": settings | {"seed": 3}})
    for change in ({"epochs": 40}, {"arguments": settings["arguments"] | {"widths": [8]}}):
        assert not time_to_accuracy.current({"system": name, "settings": settings | change})
    assert time_to_accuracy.current({"system": time_to_accuracy.BASELINE})
