"""`python -m review result`: one line about the metrics of the working tree."""

import json

import pytest

from tests.conftest import ROOT
from tests.review.conftest import Branch

SCORES = json.loads((ROOT / "metrics/evaluate.json").read_text())
ACCURACY = f"{100 * SCORES['accuracy']:.2f}"
LOW, HIGH = (f"{100 * SCORES['accuracy_interval'][end]:.2f}" for end in ("low", "high"))
COMMITTED = f"accuracy {ACCURACY}% ({LOW} to {HIGH})"


def result(branch: Branch) -> str:
    done = branch.review("result")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_metrics_as_committed(branch: Branch) -> None:
    branch.set_rules(alpha=0.01)
    assert result(branch) == f"{COMMITTED}, as committed\n"


def test_different_metrics_are_named_beside_the_committed_accuracy(branch: Branch) -> None:
    found = SCORES | {"accuracy": 0.9402, "accuracy_interval": {"low": 0.93538, "high": 0.94468}}
    (branch.folder / "metrics/evaluate.json").write_text(json.dumps(found))
    (branch.folder / "metrics/history.csv").unlink()
    assert result(branch) == (
        f"accuracy 94.02% (93.54 to 94.47), committed {ACCURACY}%; "
        "differs: metrics/evaluate.json, metrics/history.csv; next: make compare\n"
    )


def test_the_same_accuracy_with_another_different_file(branch: Branch) -> None:
    (branch.folder / "metrics/steps.csv").write_text("")
    assert result(branch) == (
        f"{COMMITTED}, committed {ACCURACY}%; differs: metrics/steps.csv; next: make compare\n"
    )


def test_metrics_that_were_never_committed(branch: Branch) -> None:
    branch.git("rm", "--quiet", "--cached", "metrics/evaluate.json")
    branch.git("commit", "--quiet", "--message", "no metrics")
    assert result(branch) == f"{COMMITTED}, not committed yet\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "working tree has no metrics/evaluate.json"),
        ({"accuracy": 0.9}, "metrics/evaluate.json has no number accuracy_interval.low"),
        (SCORES | {"accuracy": "high"}, "metrics/evaluate.json has no number accuracy"),
        (SCORES | {"accuracy_interval": 1}, "has no number accuracy_interval.low"),
    ],
)
def test_missing_metrics_are_no_answer(branch: Branch, content: object, message: str) -> None:
    path = branch.folder / "metrics/evaluate.json"
    path.unlink()
    if content:
        path.write_text(json.dumps(content))
    done = branch.review("result")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("review: error: working tree")
    assert done.stderr.endswith(f"{message}\n")
