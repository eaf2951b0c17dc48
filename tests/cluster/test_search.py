"""A search has one table for one seed, also if it is killed and run again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import recipes
from cluster import search
from cluster.search import Referee, Scores, Trial
from cluster.space import Range
from tests.conftest import change, commit, repro, run

TRIALS = [
    Trial({"epochs": 3, "loss": "a"}, Scores(0.5, 1.25, 2.0, [0.25, 0.5])),
    Trial({"epochs": 5, "loss": "b"}, None),
    Trial({"epochs": 4, "loss": "b"}, Scores(0.75, 1.0, 3.0, [0.75])),
    Trial({"epochs": 4, "loss": "a"}, Scores(0.9, 1.0, None, [0.9])),
    Trial({"epochs": 5, "loss": "a"}, Scores(0.75, 0.5, 3.0, [0.75])),
]


def test_best_is_complete_and_first() -> None:
    assert search.best(TRIALS) is TRIALS[2]


def test_a_line_for_each_trial() -> None:
    lines = [search.describe(TRIALS[:number], 6) for number in range(1, 6)]
    assert lines == [
        'trial 1 of 6: epochs 3, loss "a": 50.00%; best so far 50.00%, trial 1',
        'trial 2 of 6: epochs 5, loss "b": failed; best so far 50.00%, trial 1',
        'trial 3 of 6: epochs 4, loss "b": 75.00%; best so far 75.00%, trial 3',
        'trial 4 of 6: epochs 4, loss "a": 90.00%, stopped after epoch 1; '
        "best so far 75.00%, trial 3",
        'trial 5 of 6: epochs 5, loss "a": 75.00%; best so far 75.00%, trial 3',
    ]
    assert search.describe([TRIALS[1]], 2) == 'trial 1 of 2: epochs 5, loss "b": failed'


def test_tables() -> None:
    assert search.table(TRIALS).to_csv(index=False).splitlines() == [
        "trial,epochs,loss,validation_accuracy,validation_loss,cost,epochs_run",
        '1,3,"""a""",0.5,1.25,2,2',
        '2,5,"""b""",,,,0',
        '3,4,"""b""",0.75,1,3,1',
        '4,4,"""a""",0.9,1,,1',
        '5,5,"""a""",0.75,0.5,3,1',
    ]
    ranges = {"epochs": Range("int", [3, 5]), "loss": Range("choice", ["a", "b"])}
    assert search.positions(TRIALS, ranges).values.tolist() == [
        [1, "epochs", "3", 0.0, 0.5],
        [1, "loss", '"a"', 0.0, 0.5],
        [3, "epochs", "4", 0.5, 0.75],
        [3, "loss", '"b"', 1.0, 0.75],
        [5, "epochs", "5", 1.0, 0.75],
        [5, "loss", '"a"', 0.0, 0.75],
    ]


def test_the_recipe_sets_what_all_recipes_set(tmp_path: Path) -> None:
    current = recipes.parameters("default", Path("params.yaml"))
    best = Trial({"optimizer.learning_rate": 0.125, "selection": None}, TRIALS[0].scores)
    search.write_recipe(tmp_path / "search.yaml", best, 5, current)
    text = (tmp_path / "search.yaml").read_text()
    assert "The best of 5 trials" in text
    assert "50.00%" in text
    expected = recipes.read("default")
    expected["train"]["optimizer"]["learning_rate"] = 0.125
    expected["train"]["selection"] = None
    assert YAML(typ="safe").load(text) == expected


def test_the_best_third_goes_on() -> None:
    referee = Referee()
    accuracies = [0.9, 0.1, 0.2, 0.95, 0.3]
    stopped = [
        referee.stops(number, [(0.0, 1.0), (accuracy, 1.0)], 3)
        for number, accuracy in enumerate(accuracies)
    ]
    assert stopped == [False, True, True, False, True]
    assert referee.stops(1, [(0.0, 1.0)] * 2, 3)  # stays stopped, also when asked again
    assert referee.stopped_after(1) == [(0.0, 1.0)] * 2
    assert referee.stopped_after(0) == []
    assert not referee.stops(5, [(0.0, 1.0), (0.1, 1.0)], 2)  # has finished


@pytest.fixture(scope="module")
def project(small: Path) -> Path:
    change(small, "train", optimizer={"name": "adam", "learning_rate": 0.001}, epochs=3)
    space = {
        "optimizer": {"learning_rate": {"log": [1e-4, 1e-1]}},
        "batch_size": {"choice": [1, 32]},  # 1 is less than there are shards
    }
    change(small, "search", trials=4, space=space)
    assert repro(small) == ["train", "evaluate"]
    commit(small, "to be searched")
    return small


def started(project: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "cluster", "search"],
        cwd=project,
        env=os.environ | {"RAY_ADDRESS": "local"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.pipeline
@pytest.mark.slow
def test_a_search_that_is_killed(project: Path) -> None:
    with started(project) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("trial 2 of 4"):
                break
        process.kill()
    assert process.returncode == -9
    assert run("git", "status", "--porcelain", cwd=project) == ""

    tables = []
    for kind in ("continued", "new"):
        process = started(project)
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
        assert printed.count("\ntrial ") == 4
        # Trial 2 had succeeded, so it is not trained again.
        assert ("(trial 2 " in printed) == (kind == "new"), printed
        tables.append((project / search.TRIALS).read_bytes())
        run("rm", "-r", ".dvc/tmp/search", cwd=project)
    assert tables[0] == tables[1]
    assert "The official test file is the validation set" in printed
    assert ": failed" in printed
    assert "train.batch_size: got 1, expected at least train.shards" in printed

    written = run("git", "status", "--porcelain", "--untracked-files=all", cwd=project)
    paths = (search.TRIALS, search.PARALLEL, search.IMPORTANCE, search.PLOTS, search.RECIPE)
    assert set(written.split()) == {"??", *map(str, paths)}
    page = run("dvc", "plots", "show", "--out", "plots", cwd=project)
    assert "failed" not in page
    text = (project / "plots/index.html").read_text()
    assert "Search: what each trial tried" in text
    assert "Search: which key decides about the accuracy" in text
