"""The published systems have their sources' settings; the committed figures are their results."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from fashion_mnist import params
from published import aggregate, table
from stages import evaluate, preprocess, split, train
from tests.conftest import ROOT

PROJECT = ROOT / "published"
PARAMS = PROJECT / "params.yaml"
PIPELINE: dict[str, Any] = YAML(typ="safe").load(PROJECT / "dvc.yaml")
SECTIONS: dict[str, Any] = YAML(typ="safe").load(PARAMS)
METRICS = PROJECT / "metrics"
DOCUMENT = ROOT / "docs/published.md"
SYSTEMS: dict[str, Any] = SECTIONS["systems"]

# Of each source: data, optimizer, learning rate, batch size, epochs, reported accuracy.
SOURCES = {
    "fashion_cnn": ("balanced", "adam", 0.001, 50, 1, 0.8599),
    "sgd_cnn": ("all", "sgd", 0.001, 32, 20, 0.7872),
    "cnn_1": ("all_unscaled", "adam", 0.01, 128, 10, 0.855),
    "cnn_2": ("all_unscaled", "adam", 0.01, 128, 10, 0.9089),
    "convnet": ("first_5000", "adam", 0.001, 128, 2, 0.8192),
    "dense": ("all", "adam", 0.001, 32, 5, 0.8732),
    "lenet": ("all", "adam", 0.001, 32, 5, 0.918),
}


def committed() -> dict[str, Any]:
    return json.loads((METRICS / "published.json").read_text())["systems"]


def test_sections_are_valid() -> None:
    assert params.read(PARAMS, "evaluate", evaluate.Params)
    for name in SECTIONS["sets"]:
        assert params.read(PARAMS, f"sets.{name}.split", split.Params)
        assert params.read(PARAMS, f"sets.{name}.preprocess", preprocess.Params)
    for name in SYSTEMS:
        assert params.read(PARAMS, f"systems.{name}.train", train.Params)
        assert SYSTEMS[name]["sets"] in SECTIONS["sets"]
    assert list(params.read(PARAMS, "systems", aggregate.Systems).model_extra) == list(SYSTEMS)


@pytest.mark.parametrize("name", SOURCES)
def test_settings_are_those_of_the_sources(name: str) -> None:
    system = SYSTEMS[name]
    recipe = system["train"]
    optimizer = recipe["optimizer"]
    assert recipe["model"] == name
    assert recipe["arguments"] == {}
    assert SOURCES[name] == (
        system["sets"],
        optimizer["name"],
        optimizer["learning_rate"],
        recipe["batch_size"],
        recipe["epochs"],
        system["reported"],
    )
    assert set(optimizer) == {"name", "learning_rate"}
    assert recipe.get("steps") == (500 if name == "convnet" else None)
    assert recipe["select"] == ("best" if name == "fashion_cnn" else "last")
    assert system["scored_on"] == ("validation" if name == "fashion_cnn" else "test")
    sparse = "sparse_" if name == "dense" else ""
    assert recipe["loss"] == f"{sparse}categorical_crossentropy"
    decay = {"name": "inverse_time_decay", "decay_rate": 1e-5}
    assert recipe["schedule"] == (decay if name == "sgd_cnn" else {"name": "constant"})


def test_scaled_rows_differ_in_the_pixels_alone() -> None:
    for name in ("cnn_1", "cnn_2"):
        assert SYSTEMS[f"{name}_scaled"]["train"] == SYSTEMS[name]["train"]
        scaled, unscaled = (
            SECTIONS["sets"][SYSTEMS[key]["sets"]] for key in (f"{name}_scaled", name)
        )
        assert scaled["split"] == unscaled["split"]
        assert (scaled["preprocess"]["scale"], unscaled["preprocess"]["scale"]) == ("unit", "none")


@pytest.mark.parametrize("name", SYSTEMS)
def test_split_of_every_system(name: str) -> None:
    """Each trains on the images of its source and is scored on t10k."""
    sizes = {"fashion_cnn": 50_000, "convnet": 55_000}
    folder = METRICS / "sets" / SYSTEMS[name]["sets"]
    found = json.loads((folder / "split.json").read_text())
    assert found["train"]["images"] == sizes.get(name, 60_000)
    predictions = pd.read_csv(METRICS / "systems" / name / "predictions.csv")
    assert predictions["index"].tolist() == list(range(10_000))
    other = pd.read_csv(METRICS / "systems/lenet/predictions.csv")
    assert predictions["label"].equals(other["label"])


@pytest.mark.parametrize("name", SOURCES)
def test_every_system_reaches_what_was_reported(name: str) -> None:
    system = committed()[name]
    assert system["status"] == "run"
    assert system["difference"] == pytest.approx(system["measured"] - system["reported"])
    assert system["difference"] > -0.015


@pytest.mark.parametrize("name", SYSTEMS)
def test_metrics_of_a_system_agree_with_each_other(name: str) -> None:
    folder = METRICS / "systems" / name
    trained, scored = (
        json.loads((folder / f"{stage}.json").read_text()) for stage in ("train", "evaluate")
    )
    predictions = pd.read_csv(folder / "predictions.csv")
    assert scored["accuracy"] == (predictions["label"] == predictions["prediction"]).mean()
    # The training validates in batches of another size, which may turn a tie.
    assert trained["validation"]["accuracy"] == pytest.approx(scored["accuracy"], abs=2e-4)
    assert committed()[name]["measured"] == scored["accuracy"]
    assert len(pd.read_csv(folder / "history.csv")) == SYSTEMS[name]["train"]["epochs"]


def test_training_flops_are_three_forward_passes() -> None:
    """Two operations per product, 101,632 products, 60,000 images, five epochs."""
    assert committed()["dense"]["training_flops"] == pytest.approx(3 * 2 * 101_632 * 3e5, rel=0.01)


def test_committed_figures_are_of_the_committed_code_and_parameters() -> None:
    """`dvc.lock` has the present hash of every module and the present value of every parameter."""
    lock = YAML(typ="safe").load(PROJECT / "dvc.lock")["stages"]
    names = {f"{stage}@{name}" for stage in ("split", "preprocess") for name in SECTIONS["sets"]}
    names |= {f"{stage}@{name}" for stage in ("train", "evaluate") for name in SYSTEMS}
    assert set(lock) == names | {"aggregate"}
    for name, stage in lock.items():
        for entry in (*stage["deps"], *stage["outs"]):
            path = PROJECT / entry["path"]
            if path.is_file() and not entry["path"].startswith("data/"):
                digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
                assert entry["md5"] == digest, f"{name}: {entry['path']}"
        for key, value in stage["params"]["params.yaml"].items():
            found = SECTIONS
            for part in key.split("."):
                found = found[part]
            assert found == value, f"{name}: {key}"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with the parameters and no metrics, in which `run_aggregate` runs."""
    (tmp_path / "published/metrics/systems").mkdir(parents=True)
    shutil.copy(PARAMS, tmp_path / "published")
    return tmp_path / "published/metrics"


def run_aggregate(metrics: Path) -> subprocess.CompletedProcess[str]:
    """Run the command of published/dvc.yaml on the metrics of a copy."""
    command = PIPELINE["stages"]["aggregate"]["cmd"].removeprefix("cd .. && exec python ")
    return subprocess.run(
        [sys.executable, *command.split()],
        cwd=metrics.parent.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_aggregate_reproduces_the_committed_files(published: Path) -> None:
    shutil.copytree(METRICS / "systems", published / "systems", dirs_exist_ok=True)
    done = run_aggregate(published)
    assert done.returncode == 0, done.stderr
    written = sorted(path.name for path in published.iterdir() if path.is_file())
    assert written == sorted(path.name for path in METRICS.iterdir() if path.is_file())
    for name in written:
        assert (published / name).read_bytes() == (METRICS / name).read_bytes()


def test_a_system_that_was_not_run_is_marked(published: Path) -> None:
    for name in ("dense", "lenet"):
        shutil.copytree(METRICS / "systems" / name, published / "systems" / name)
    (published / "systems/lenet/evaluate.json").unlink()
    assert run_aggregate(published).returncode == 0
    found = json.loads((published / "published.json").read_text())["systems"]
    assert found["dense"] == committed()["dense"]
    assert found["lenet"] == {"status": "not run", "reported": 0.918}
    assert found["cnn_1_scaled"] == {"status": "not run"}
    rows = table.render(found).splitlines()
    assert "| `lenet` | 91.80% | not run | | | |" in rows
    assert pd.read_csv(published / "history.csv")["system"].unique().tolist() == ["dense"]
    assert pd.read_csv(published / "published.csv")["measured"].notna().sum() == 1


def test_aggregate_rejects_missing_and_damaged_metrics(published: Path) -> None:
    done = run_aggregate(published)
    assert done.returncode == 1
    assert "no system of published/params.yaml has run" in done.stderr
    shutil.copytree(METRICS / "systems/dense", published / "systems/dense")
    (published / "systems/dense/train.json").write_text("{")
    done = run_aggregate(published)
    assert done.returncode == 1
    assert "systems/dense/train.json: not valid JSON" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in published.iterdir()] == ["systems"]


@pytest.mark.parametrize("plot", PIPELINE["plots"], ids=lambda plot: next(iter(plot)))
def test_template_of_a_plot_exists(plot: dict[str, Any]) -> None:
    """DVC looks for it in the project's .dvc/plots, also by a path from there."""
    ((_, settings),) = plot.items()
    assert (PROJECT / ".dvc/plots" / f"{settings['template']}.json").is_file()


BEGIN = "<!-- published: written by python -m published.table -->"
END = "<!-- published: end -->"


def test_the_table_of_the_document_is_that_of_the_metrics() -> None:
    assert f"{BEGIN}\n{table.render(committed())}{END}" in DOCUMENT.read_text()


def test_table_is_written_between_the_markers(tmp_path: Path) -> None:
    document = tmp_path / "published.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    command = [sys.executable, "-m", "published.table", "--document", str(document)]
    subprocess.run(command, cwd=ROOT, check=True)
    text = document.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| system | reported |")
    assert text.endswith(f"|\n{END}\nafter\n")
    assert text.count("\n| `") == len(SYSTEMS)
    document.write_text("no markers\n")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{document}: expected once each" in done.stderr
    assert document.read_text() == "no markers\n"
    metrics = tmp_path / "published.json"
    metrics.write_text("{")
    done = subprocess.run(
        [*command, "--metrics", str(metrics)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"table: error: {metrics}: not valid JSON" in done.stderr
    assert "Traceback" not in done.stderr
