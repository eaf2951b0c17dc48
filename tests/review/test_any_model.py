"""Every model that can be trained here gets an answer, and no forged metric passes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.dataset import Dataset
from fashion_mnist.files import write_metrics, write_table
from fashion_mnist.scores import Probabilities
from repository import revisions
from review import evidence
from stages import evaluate
from tests.conftest import ROOT
from tests.review.conftest import KEYS, NAMES, Branch

SYSTEMS = sorted(path.name for path in (ROOT / "published/metrics/systems").iterdir())
FILES = ("evaluate.json", "classes.csv", "predictions.csv")


def test_all_published_systems_are_here() -> None:
    assert len(SYSTEMS) == 9


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_answers_of_a_published_system(branch: Branch, system: str) -> None:
    """Some of them are sure of wrong answers: their probabilities have up to 16 zeros."""
    for name in FILES:
        shutil.copy(ROOT / "published/metrics/systems" / system / name, branch.folder / "metrics")
    evidence.gather(revisions.working_tree(branch.folder))
    path = branch.folder / "metrics/evaluate.json"
    scores = json.loads(path.read_text())
    for name in ("loss", "expected_calibration_error", "macro_f1"):
        path.write_text(json.dumps(scores | {name: scores[name] + 0.002}))
        branch.cannot_compare(words=(f"{name} is ", "by metrics/predictions.csv"))


LABELS = np.repeat(np.arange(10), 20)


def one_answer() -> Probabilities:
    """A model that is sure of class 3, whatever it sees."""
    return np.eye(10)[np.full(200, 3)]


def no_opinion() -> Probabilities:
    """A model whose probabilities are equal but for rounding, at the edge of a bin."""
    noise = np.random.default_rng(0).uniform(-1e-8, 1e-8, (200, 10))
    return (0.1 + noise) / (0.1 + noise).sum(axis=1, keepdims=True)


def on_the_edges() -> Probabilities:
    """A model whose confidences are just above and just below the edges of bins."""
    found = np.zeros((200, 10))
    confidence = np.arange(4, 14)[np.arange(200) % 10] / 15 + np.tile([4e-8, -4e-8], 100)
    found[np.arange(200), LABELS] = confidence
    found[np.arange(200), (LABELS + 1) % 10] = 1 - confidence
    return found


def nearly_impossible() -> Probabilities:
    """A model that gives the right class any probability down to the smallest float32."""
    found = np.zeros((200, 10))
    found[np.arange(200), (LABELS + 1) % 10] = 1
    found[np.arange(200), LABELS] = np.geomspace(1e-45, 1e-2, 200)
    return found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("model", [one_answer, no_opinion, on_the_edges, nearly_impossible])
def test_an_unusual_model(branch: Branch, model) -> None:
    settings = evaluate.Params(batch_size=256, mirror_average=False, bins=15, seed=0)
    write(branch.folder / "metrics", model(), settings)
    evidence.gather(revisions.working_tree(branch.folder))
    done = branch.review("card")
    assert done.returncode == 0, done.stderr


def write(folder: Path, probabilities: Probabilities, settings: evaluate.Params) -> None:
    data = Dataset(height=28, width=28, channels=1, classes=dict(zip(KEYS, NAMES, strict=True)))
    metrics = evaluate.summarize(LABELS, probabilities, settings, data)
    table = evaluate.tabulate(np.arange(200, dtype=np.int32), LABELS, probabilities, data)
    write_table(folder / "predictions.csv", table)
    write_table(folder / "classes.csv", evaluate.class_table(metrics["classes"], data.names))
    write_metrics(folder / "evaluate.json", metrics)


def test_losses_must_be_those_of_the_probabilities(branch: Branch) -> None:
    path = branch.folder / "metrics/predictions.csv"
    header, first, *rest = path.read_text().splitlines()
    *others, _ = first.split(",")
    path.write_text("\n".join([header, ",".join([*others, "0.5"]), *rest]) + "\n")
    branch.cannot_compare(words=("predictions.csv line 2: loss is 0.5, but label_probability is",))


def test_a_table_of_an_earlier_version_has_no_losses(branch: Branch) -> None:
    path = branch.folder / "metrics/predictions.csv"
    path.write_text("".join(line.rpartition(",")[0] + "\n" for line in path.read_text().split()))
    assert branch.compare()["verdict"] == "no evidence of a difference"
