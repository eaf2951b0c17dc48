"""A branch whose committed answers a test can change, and `python -m review` to judge it."""

import io
import json
import shutil
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from copy import deepcopy
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from fashion_mnist import params
from repository import revisions
from review import evidence, spread, statistics
from review.__main__ import main
from review.statistics import Answers
from tests.conftest import AUTHOR, ROOT, run

# Classes of the committed metrics.
KEYS = tuple(json.loads((ROOT / "metrics/evaluate.json").read_text(encoding="utf-8"))["classes"])
NAMES = tuple(pd.read_csv(ROOT / "metrics/classes.csv")["class"])


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no line is broken."""
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture(scope="session")
def review() -> Callable[..., CompletedProcess[str]]:
    """Runs `python -m review` in a folder; in this process, which is faster."""
    return _review


@pytest.fixture(scope="session")
def edit() -> Callable[[Path, Callable[[Any], object]], None]:
    """Changes a YAML file."""
    return _edit


@pytest.fixture(scope="session")
def metrics_of() -> Callable[[Path], None]:
    """Makes evaluate.json of a folder agree with its predictions.csv."""
    return _metrics_of


class Branch:
    """Branch `change` of a repository whose main has the committed parameters and metrics."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *arguments: str) -> str:
        return run("git", *AUTHOR, *arguments, cwd=self.folder).strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")

    @property
    def accuracy(self) -> float:
        """The accuracy in metrics/evaluate.json."""
        scores = json.loads((self.folder / "metrics/evaluate.json").read_text(encoding="utf-8"))
        accuracy: float = scores["accuracy"]
        return accuracy

    def leave_main(self) -> None:
        """Add what was committed to main, and start a branch from there."""
        self.git("branch", "--force", "main", "HEAD")
        self.git("switch", "--quiet", "--force-create", "next")

    def review(self, *arguments: str) -> CompletedProcess[str]:
        return _review(self.folder, *arguments)

    def compare(self, *arguments: str) -> dict[str, Any]:
        """Return the JSON of `compare`, which must follow the schema in the documentation."""
        done = self.review("compare", "--json", *arguments)
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        jsonschema.validate(found, json.loads((ROOT / "docs/comparison.schema.json").read_text()))
        assert done.returncode == (0 if found["accepted"] else 1)
        return found

    def cannot_compare(self, *arguments: str, words: tuple[str, ...]) -> None:
        """Check that there is no answer: exit code 2 and one line that has all `words`."""
        done = self.review("compare", *arguments)
        assert done.returncode == 2, done.stdout
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        for word in ("review: error: ", *words):
            assert word in done.stderr

    def edit(self, path: str, change: Callable[[Any], object]) -> None:
        """Change a YAML file, without a commit."""
        _edit(self.folder / path, change)

    def set_rules(self, **rules: Any) -> None:
        self.edit("params.yaml", lambda content: content["review"].update(rules))

    def predict(self, change: Callable[[pd.DataFrame], None]) -> None:
        """Commit other answers, and the metrics that follow from them."""
        path = self.folder / "metrics/predictions.csv"
        table = pd.read_csv(path)
        change(table)
        table.to_csv(path, index=False)
        _metrics_of(self.folder)
        self.commit()

    def fix(self, count: int) -> None:
        """Commit `count` fewer mistakes."""
        self.predict(lambda table: set_right(table, wrong_rows(table)[:count]))

    def describe(self, height: int, width: int, channels: int) -> None:
        """Write what the data is, its classes being those of evaluate.json; without a commit."""
        scores = json.loads((self.folder / "metrics/evaluate.json").read_text())
        names = pd.read_csv(self.folder / "metrics/classes.csv", dtype=str, na_filter=False)
        found = {
            "height": height,
            "width": width,
            "channels": channels,
            "classes": dict(zip(scores["classes"], names["class"].tolist(), strict=True)),
        }
        (self.folder / "metrics/dataset.json").write_text(json.dumps(found))

    def set_classes(self, count: int, images: int = 10_000) -> None:
        """Commit metrics of colour images in `count` classes to main, and start a branch there."""
        keys = np.array([f"class_{number:03d}" for number in range(count)])
        labels = np.arange(images) % count
        random = np.random.default_rng(0)
        wrong = random.random(images) < 0.2
        predictions = np.where(wrong, (labels + random.integers(1, 4, images)) % count, labels)
        own = np.where(wrong, 0.05, 0.9)
        table = pd.DataFrame(
            {
                "index": np.arange(images),
                "label": keys[labels],
                "prediction": keys[predictions],
                "confidence": 0.9,
                "label_probability": own,
                "loss": -np.log(own).round(6),
            }
        )
        table.to_csv(self.folder / "metrics/predictions.csv", index=False)
        names = [f"Class {number:03d}" for number in range(count)]
        pd.DataFrame({"class": names}).to_csv(self.folder / "metrics/classes.csv", index=False)
        path = self.folder / "metrics/evaluate.json"
        scores = {
            "precision": 0.8,
            "recall": 0.8,
            "f1": 0.8,
            "support": images // count,
            "auc": 0.9,
        }
        classes = {key: dict(scores) for key in keys.tolist()}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"classes": classes}))
        self.describe(32, 24, 3)
        path = self.folder / "metrics/download.json"
        content = json.loads(path.read_text())
        content["train"]["sha256"]["train-images-idx3-ubyte"] = "0" * 64
        path.write_text(json.dumps(content))
        _metrics_of(self.folder)
        self.commit()
        self.leave_main()

    def record_spread(self, *accuracies: float) -> None:
        """Commit a spread of the recipe, as if it had been trained with several seeds."""
        here = evidence.gather(revisions.working_tree(self.folder))
        scores = {f"seed_{seed}": value for seed, value in enumerate(accuracies, 1)}
        found = spread.Spread(
            fingerprint=spread.fingerprint(here.parameters, here.lock),
            **{name: spread.summary(scores) for name in spread.SCORES},
        )
        (self.folder / "metrics/spread.json").write_text(found.model_dump_json())
        self.commit()


@pytest.fixture(scope="session")
def main_branch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the committed parameters, lock and metrics; tests copy it."""
    folder = tmp_path_factory.mktemp("main") / "repository"
    shutil.copytree(ROOT / "metrics", folder / "metrics")
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, folder / name)
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "base", cwd=folder)
    run("git", "switch", "--quiet", "--create", "change", cwd=folder)
    return folder


@pytest.fixture(scope="session")
def parse_once() -> Callable[[str, str], Any]:
    """`params.parse`, which takes most of the time of a comparison, once for the same text."""
    parsed: dict[str, Any] = {}

    def parse(text: str, source: str) -> Any:
        if text not in parsed:
            parsed[text] = params.parse(text, source)
        return deepcopy(parsed[text])

    return parse


@pytest.fixture
def branch(
    main_branch: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parse_once: Callable[[str, str], Any],
) -> Branch:
    monkeypatch.setattr(revisions, "parse", parse_once)
    # Bootstrap intervals are tested in test_statistics; elsewhere they only have to be there.
    monkeypatch.setattr(statistics, "RESAMPLES", 20)
    folder = tmp_path / "repository"
    shutil.copytree(main_branch, folder)
    return Branch(folder)


def wrong_rows(table: pd.DataFrame) -> "np.ndarray[Any, np.dtype[np.intp]]":
    return np.flatnonzero(table["label"] != table["prediction"])


def right_rows(table: pd.DataFrame) -> "np.ndarray[Any, np.dtype[np.intp]]":
    return np.flatnonzero(table["label"] == table["prediction"])


def set_right(table: pd.DataFrame, rows: Any) -> None:
    """Make the answers in some rows right."""
    table.loc[rows, "prediction"] = table["label"][rows]


def set_wrong(table: pd.DataFrame, rows: Any) -> None:
    """Make the answers in some rows wrong: the class after the right one."""
    following = dict(zip(KEYS, [*KEYS[1:], KEYS[0]], strict=True))
    table.loc[rows, "prediction"] = table["label"][rows].map(following)


def _review(folder: Path, *arguments: str) -> CompletedProcess[str]:
    output, complaints = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(output), redirect_stderr(complaints):
        try:
            code = main(list(arguments))
        except SystemExit as end:  # of argparse
            code = int(end.code or 0)
    return CompletedProcess(arguments, code, output.getvalue(), complaints.getvalue())


def _edit(path: Path, change: Callable[[Any], object]) -> None:
    content = YAML(typ="safe").load(path)
    change(content)
    YAML(typ="safe").dump(content, path)


def _metrics_of(folder: Path) -> None:
    table = pd.read_csv(folder / "metrics/predictions.csv")
    path = folder / "metrics/evaluate.json"
    metrics = json.loads(path.read_text())
    places = {key: label for label, key in enumerate(metrics["classes"])}
    labels, predictions = (table[name].map(places).to_numpy() for name in ("label", "prediction"))
    answers = Answers(labels, predictions, table["confidence"].to_numpy(), table["loss"].to_numpy())
    metrics["accuracy"] = round(float(answers.right.mean()), 6)
    for key, recall in zip(places, evidence.recalls(answers), strict=True):
        metrics["classes"][key]["recall"] = round(recall, 6)
    scores = statistics.scores(answers, 15, len(places))
    metrics |= {name: round(value, 6) for name, value in scores.items()}
    path.write_text(json.dumps(metrics))
