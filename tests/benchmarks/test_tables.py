"""Tables and pictures say of given measurements what they should; nothing is measured here."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from ruamel.yaml import YAML

from benchmarks import (
    ablation,
    cores,
    determinism,
    recipe_costs,
    rounding,
    time_to_accuracy,
    utilization,
)
from benchmarks.determinism import PIPELINE, Figures
from stages import train
from tests.conftest import ROOT

RECIPE = YAML(typ="safe").load(ROOT / "params.yaml")["train"]
COMMITTED = sorted((ROOT / "benchmarks").glob("time_to_accuracy_*.json"))


def rows(table: str) -> list[str]:
    """Return the rows of a Markdown table below its header."""
    return table.splitlines()[2:]


def test_rounding_table_shows_the_largest_difference_of_each_score() -> None:
    scores = dict.fromkeys(rounding.SCORES, 0.5)
    table = rounding.render({"as shipped": scores, "other": scores | {"loss": 0.25}})
    assert table.startswith(
        "|  | accuracy | macro F1 | loss | expected calibration error | Brier score |\n"
    )
    assert rows(table)[1:] == [
        "| other | 0.5000 | 0.5000 | 0.2500 | 0.5000 | 0.5000 |",
        "| largest difference | 0.0000 | 0.0000 | 0.2500 | 0.0000 | 0.0000 |",
    ]


def test_determinism_table_compares_speeds_of_the_same_round_and_counts_models() -> None:
    def one_round(machine_speed: float, weights: str) -> dict[str, dict[str, Figures]]:
        shipped = dict.fromkeys(determinism.SIZES, Figures(100 * machine_speed, "same"))
        slower = dict.fromkeys(determinism.SIZES, Figures(50 * machine_speed, weights))
        return dict.fromkeys(determinism.CHANGED, slower) | {PIPELINE: shipped}

    table = determinism.render([one_round(1, "a"), one_round(0.1, "b"), one_round(2, "b")])
    assert rows(table)[0] == "| as in the pipeline | 1.00 | 1 | 1.00 | 1 |"
    assert "| Eigen's kernels | 0.50 | 2 | 0.50 | 2 |" in rows(table)
    assert len(rows(table)) == len(determinism.CHANGED)


def test_cores_are_measured_up_to_all_of_them() -> None:
    for available, expected in ((2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])):
        found = cores.runs(available)
        for kind in (cores.WHOLE, *cores.SHARDS):
            assert [run.cores for run in found if run.shards == kind] == expected
        assert cores.REFERENCE in found


def test_cores_table_and_picture_have_speeds_of_the_same_round_and_hashes(tmp_path: Path) -> None:
    def one_round(machine_speed: float) -> dict[cores.Run, cores.Figures]:
        return {
            run: cores.Figures(
                100 * machine_speed * run.cores,
                "a" * 64 if run.shards else str(run.cores) * 64,
                1000 + machine_speed,
                0.002,
            )
            for run in cores.runs(2)
        }

    rounds = [one_round(1), one_round(0.1), one_round(3)]
    assert rows(cores.render(rounds))[:4] == [
        "| whole batches | 1 | 100 | 0.50 | 1,003 | `11111111` |",
        "| whole batches | 2 | 200 | 1.00 | 1,003 | `22222222` |",
        "| 4 shards | 1 | 100 | 0.50 | 1,003 | `aaaaaaaa` |",
        "| 4 shards | 2 | 200 | 1.00 | 1,003 | `aaaaaaaa` |",
    ]
    cores.draw(rounds, tmp_path / "cores.png")
    with Image.open(tmp_path / "cores.png") as picture:
        assert picture.width > 800


def test_utilization_table_takes_shares_in_the_same_round() -> None:
    table = utilization.render({"matrix product": [100, 50, 200], "bare step": [60, 20, 100]})
    assert rows(table) == [
        "| matrix product | 100 | 86 | 1.00 |",
        "| bare step | 60 | 39 | 0.50 |",
    ]


@pytest.mark.parametrize("variant", ablation.VARIANTS)
def test_every_variant_is_a_valid_recipe_that_differs_from_the_default(variant: str) -> None:
    changed = ablation.apply(RECIPE, ablation.VARIANTS[variant])
    train.Params.model_validate(changed)
    assert (changed == RECIPE) == (variant == "the recipe")
    for path in ablation.VARIANTS[variant]:
        assert path.split(".")[0] in RECIPE


def test_ablation_table_compares_runs_of_the_same_seed() -> None:
    def result(variant: str, seed: int, accuracy: float) -> dict[str, Any]:
        scores = {"accuracy": accuracy, "mirror_average": accuracy + 0.01}
        return {"variant": variant, "seed": seed} | scores

    runs = [
        *[result("the recipe", 1, 0.90), result("the recipe", 2, 0.92)],
        *[result("no flips", 1, 0.88), result("no flips", 2, 0.91)],
        result("no shifts", 1, 0.5),  # one seed has no deviation
    ]
    rounds = [
        {"seconds": {"the recipe": recipe, "no flips": other}}
        for recipe, other in [(10, 9), (20, 23), (20, 40)]
    ]
    assert rows(ablation.render({"runs": runs, "rounds": rounds})) == [
        "| the recipe | 91.00 ± 1.41 |  | 92.00 ± 1.41 |  | 1.00 |",
        "| no flips | 89.50 ± 2.12 | -1.50 ± 0.50 | 90.50 ± 2.12 | -1.50 ± 0.50 | 1.15 |",
    ]


def test_committed_ablation_keeps_all_seeds_and_belongs_to_the_committed_recipe() -> None:
    committed = json.loads((ROOT / ablation.OUTPUT).read_text(encoding="utf-8"))
    # It was measured with whole batches, as docs/recipe.md says, and before there were weights.
    assert RECIPE["class_weights"] is None
    recipe = {key: RECIPE[key] for key in RECIPE if key not in ("shards", "class_weights")}
    assert ablation.current(committed, recipe) == committed
    changed = ablation.current(committed, recipe | {"epochs": 1})
    assert changed["rounds"] == []
    # The variants that set their own number of epochs have not changed.
    assert {run["variant"] for run in changed["runs"]} == {"all images, half the epochs"}


def test_cost_table_scores_each_recipe_as_its_parameters_say() -> None:
    figures = {"images": 100, "peak_mib": 1000.4, "flops_per_image": 13_095_520}
    scores = {"accuracy": 0.91, "mirror_average": 0.9}
    better = {"accuracy": 0.94, "mirror_average": 0.937}
    best = better | {"mirror_average": 0.947}
    runs = [
        {"system": recipe_costs.BASELINE, "cost": 1.0, "seconds": 10} | figures | scores,
        {"system": "default", "cost": 0.5, "seconds": 5} | figures | better,
        {"system": "default", "cost": 0.7, "seconds": 5} | figures | best,
        {"system": "quick", "cost": 0.1, "seconds": 1} | figures | scores,
    ]
    results = {"lenet_by": "Eigen", "runs": runs, "published": {}}
    assert rows(recipe_costs.render(results)) == [
        "| lenet, plain Keras (1 run) | 91.00 | 10 | 1.00 | 10 | 13.1 | 1,000 |",
        "| default (2 runs) | 94.20 ± 0.71 | 5 | 0.60 | 20 | 13.1 | 1,000 |",
        # It is scored without the mirror average.
        "| quick (1 run) | 91.00 | 1 | 0.10 | 100 | 13.1 | 1,000 |",
    ]


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_table_and_picture_come_from_the_committed_results_without_data(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    drawn = tmp_path / "cost.png"
    monkeypatch.setattr(time_to_accuracy, "SETS", tmp_path / "no data")
    command = ["time_to_accuracy", "--render-only", "--output", str(path), "--figure", str(drawn)]
    monkeypatch.setattr("sys.argv", command)
    time_to_accuracy.main()
    table = capsys.readouterr().out
    kernels = json.loads(path.read_text(encoding="utf-8"))["lenet_by"]
    assert f"1 L is the training time of LeNet by plain Keras with {kernels} kernels.\n" in table
    accuracy = {"Eigen": "93.95 ± 0.13", "oneDNN": "93.97 ± 0.12"}[kernels]
    assert f"| default (5 runs) | {accuracy} |" in table
    committed = ROOT / "docs" / f"{path.stem}.png"
    assert committed.stat().st_size < 150 * 1024
    with Image.open(drawn) as new, Image.open(committed) as old:
        assert new.size == old.size


def test_unit_of_cost_depends_on_the_processor() -> None:
    flags = "flags\t\t: fpu avx2 avx512f"
    assert time_to_accuracy.lenet_by(flags) == "Eigen"
    assert time_to_accuracy.lenet_by(flags + " avx512_vnni\n") == "oneDNN"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"lenet_by": "hand", "runs": [], "published": {}}', "lenet_by: got hand, expected"),
        ('{"runs": []}', "expected an object with the keys lenet_by, runs, published"),
        ("[", "not valid JSON"),
    ],
)
def test_time_to_accuracy_rejects_a_results_file_that_it_cannot_complete(
    content: str,
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "costs.json"
    output.write_text(content, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["time_to_accuracy", "--output", str(output)])
    with pytest.raises(SystemExit, match=f"^time_to_accuracy: error: {output}: {complaint}"):
        time_to_accuracy.main()
    assert output.read_text(encoding="utf-8") == content


@pytest.mark.parametrize("name", recipe_costs.RECIPES)
def test_runs_of_a_recipe_that_changed_are_not_counted(name: str) -> None:
    section = recipe_costs.train_section(name, seed=3)
    assert recipe_costs.is_current({"system": name, "settings": section})
    for change in ({"epochs": 40}, {"arguments": section["arguments"] | {"widths": [8]}}):
        assert not recipe_costs.is_current({"system": name, "settings": section | change})
    assert recipe_costs.is_current({"system": recipe_costs.BASELINE})


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many"])
def test_counts_on_the_command_line_are_whole_numbers_from_1(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["ablation", f"--seeds={value}"])
    with pytest.raises(SystemExit, match="2"):
        ablation.main()
    assert f"--seeds: got '{value}', expected a whole number from 1" in capsys.readouterr().err
