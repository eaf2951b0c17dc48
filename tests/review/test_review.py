"""`python -m review compare`, on branches made of the answers that are committed."""

import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from scipy import stats
from sklearn.metrics import f1_score

from fashion_mnist.dataset import KEYS
from fashion_mnist.errors import InputError
from repository import revisions
from repository.revisions import Revision
from review import changes, comparison, evidence, spread, statistics
from review.__main__ import main
from review.comparison import Class, Comparison, Metric, Recipes
from review.rules import Rules
from review.statistics import Answers
from tests.conftest import ROOT

HERE = Revision(ROOT, "here", None)


def git(folder: Path, *arguments: str) -> str:
    """Run git and return what it printed."""
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *author, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def review(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m review` in a folder, within this process, which is faster."""
    output, complaints = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(output), redirect_stderr(complaints):
        try:
            code = main(list(arguments))
        except SystemExit as end:  # of argparse
            code = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), complaints.getvalue())


def answer(folder: Path, *arguments: str) -> dict[str, Any]:
    """Return what `compare --json` says, checked against the schema that is documented."""
    done = review(folder, "compare", "--json", *arguments)
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(found, json.loads((ROOT / "docs/comparison.schema.json").read_text()))
    assert done.returncode == (0 if found["accepted"] else 1)
    return found


def refuses(folder: Path, *arguments: str, words: tuple[str, ...]) -> None:
    """Check that there is no answer: exit code 2 and one line that has all `words`."""
    done = review(folder, "compare", *arguments)
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    for word in ("review: error: ", *words):
        assert word in done.stderr


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no line is broken."""
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose branch main has the parameters, lock and metrics that are committed."""
    folder = tmp_path / "repository"
    for name in ("params.yaml", "dvc.lock"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "metrics").mkdir()
    for path in (ROOT / "metrics").glob("*"):
        (folder / "metrics" / path.name).write_bytes(path.read_bytes())
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "base")
    git(folder, "switch", "--quiet", "--create", "change")
    return folder


def metrics_of(folder: Path) -> None:
    """Let evaluate.json have the scores of predictions.csv."""
    table = pd.read_csv(folder / "metrics/predictions.csv")
    right = table["label"] == table["prediction"]
    path = folder / "metrics/evaluate.json"
    metrics = json.loads(path.read_text())
    metrics["accuracy"] = round(float(right.mean()), 6)
    for key in KEYS:
        recall = float(right[table["label"] == key].mean())
        metrics["classes"][key]["recall"] = round(recall, 6)
    labels, predictions = (
        table[name].map(KEYS.index).to_numpy() for name in ("label", "prediction")
    )
    probabilities = (table[name].to_numpy() for name in ("confidence", "label_probability"))
    scores = statistics.scores(Answers(labels, predictions, *probabilities), 15, len(KEYS))
    metrics |= {name: round(value, 6) for name, value in scores.items()}
    path.write_text(json.dumps(metrics))


def predict(folder: Path, change: Callable[[pd.DataFrame], None]) -> None:
    """Change the answers, and the metrics that follow from them, and commit that."""
    path = folder / "metrics/predictions.csv"
    table = pd.read_csv(path)
    change(table)
    table.to_csv(path, index=False)
    metrics_of(folder)
    git(folder, "commit", "--quiet", "--all", "--message", "change")


def mend(table: pd.DataFrame, count: int, seed: int = 0) -> None:
    """Let `count` wrong answers be right."""
    wrong = np.flatnonzero(table["label"] != table["prediction"])
    rows = np.random.default_rng(seed).choice(wrong, count, replace=False)
    table.loc[rows, "prediction"] = table["label"][rows]


def spoil(table: pd.DataFrame, rows: Any) -> None:
    """Let answers be wrong: the class after the right one."""
    following = dict(zip(KEYS, [*KEYS[1:], KEYS[0]], strict=True))
    table.loc[rows, "prediction"] = table["label"][rows].map(following)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a YAML file."""
    content = YAML(typ="safe").load(path)
    change(content)
    YAML(typ="safe").dump(content, path)


# --- the four branches of the reviewer's day


def test_a_gain_is_better(repository: Path) -> None:
    predict(repository, lambda table: mend(table, 60))
    found = answer(repository)
    assert found["verdict"] == "better"
    assert found["accepted"]
    assert found["refusals"] == []
    assert found["mcnemar"] == {"fixed": 60, "broken": 0, "p": pytest.approx(2 * 0.5**60)}
    accuracy = found["metrics"]["evaluate.accuracy"]
    assert accuracy["difference"] == pytest.approx(0.006)
    assert 0 < accuracy["low"] < 0.006 <= accuracy["high"] + 1e-9
    assert found["smallest_difference"] == pytest.approx(0.0018)
    assert found["head"]["revision"] == "HEAD"
    assert found["base"]["commit"] == git(repository, "rev-parse", "main")


def test_ten_changed_answers_are_no_evidence(repository: Path) -> None:
    def change(table: pd.DataFrame) -> None:
        right = np.flatnonzero(table["label"] == table["prediction"])
        mend(table, 7)
        spoil(table, right[:3])

    predict(repository, change)
    found = answer(repository)
    assert found["verdict"] == "no evidence of a difference"
    assert found["accepted"]
    assert found["mcnemar"] == {"fixed": 7, "broken": 3, "p": pytest.approx(0.34375)}
    accuracy = found["metrics"]["evaluate.accuracy"]
    assert accuracy["low"] < 0 < accuracy["high"]
    # Nine to one would have been significant.
    assert found["smallest_difference"] == pytest.approx(0.0008)


def test_p_has_to_be_below_alpha(repository: Path) -> None:
    predict(repository, lambda table: mend(table, 5))
    for alpha, verdict in ((0.0625, "no evidence of a difference"), (0.0626, "better")):
        edit(repository / "params.yaml", lambda params, a=alpha: params["review"].update(alpha=a))
        found = answer(repository)
        assert (found["mcnemar"]["p"], found["verdict"]) == (0.0625, verdict)


def test_a_class_that_collapses_is_refused_though_accuracy_rises(repository: Path) -> None:
    def change(table: pd.DataFrame) -> None:
        others = (table["label"] != table["prediction"]) & (table["label"] != "shirt")
        table.loc[others, "prediction"] = table["label"][others]
        shirts = np.flatnonzero((table["label"] == "shirt") & (table["prediction"] == "shirt"))
        spoil(table, shirts[:200])

    predict(repository, change)
    found = answer(repository)
    assert found["verdict"] == "better"
    assert not found["accepted"]
    limit = YAML(typ="safe").load(ROOT / "params.yaml")["review"]["floors"]["class_recall"]
    (refusal,) = found["refusals"]
    assert refusal["rule"] == "review.floors.class_recall"
    assert refusal["subject"] == "recall of shirt"
    assert refusal["value"] == pytest.approx(found["classes"]["shirt"]["after"])
    assert refusal["limit"] == limit
    shirt = found["classes"]["shirt"]
    assert shirt["broken"] == 200
    assert shirt["difference"] == pytest.approx(shirt["after"] - shirt["before"])
    assert shirt["p"] < 1e-50
    done = review(repository, "compare")
    assert "better, refused" in done.stdout
    assert "review.floors.class_recall: recall of shirt" in done.stdout


def test_another_split_seed_is_not_comparable(repository: Path) -> None:
    edit(repository / "params.yaml", lambda params: params["split"].update(seed=28))

    def change(lock: Any) -> None:
        lock["stages"]["split"]["params"]["params.yaml"]["split"]["seed"] = 28
        for name, part in (("split", "outs"), ("evaluate", "deps")):
            for entry in lock["stages"][name][part]:
                if entry["path"] == "data/split/test.npz":
                    entry["md5"] = "0" * 32

    edit(repository / "dvc.lock", change)
    refuses(repository, words=("not the same test set", "data/split/test.npz", "0000000"))
    git(repository, "commit", "--quiet", "--all", "--message", "another split")
    refuses(repository, words=("not the same test set",))


# --- revisions


def test_on_main_the_commit_before_is_the_base(repository: Path) -> None:
    predict(repository, lambda table: mend(table, 60))
    git(repository, "switch", "--quiet", "main")
    git(repository, "merge", "--quiet", "--ff-only", "change")
    assert answer(repository)["mcnemar"]["fixed"] == 60


def test_on_main_the_base_of_the_working_tree_is_the_last_commit(repository: Path) -> None:
    git(repository, "switch", "--quiet", "main")
    predict(repository, lambda table: mend(table, 60))
    edit(repository / "params.yaml", lambda params: params["review"].update(alpha=0.01))
    found = answer(repository)
    assert found["head"] == {"revision": "working tree", "commit": None}
    assert found["base"]["commit"] == git(repository, "rev-parse", "HEAD")
    assert found["mcnemar"]["fixed"] == 0
    assert found["parameters"] == {"review.alpha": {"before": 0.05, "after": 0.01}}


def test_both_revisions_can_be_named(repository: Path) -> None:
    predict(repository, lambda table: mend(table, 60))
    predict(repository, lambda table: mend(table, 50))
    assert answer(repository)["mcnemar"]["fixed"] == 110
    assert answer(repository, "change~1")["mcnemar"]["fixed"] == 50
    found = answer(repository, "change", "main")
    assert found["mcnemar"]["broken"] == 110
    assert found["verdict"] == "worse"
    for side, name in (("base", "change"), ("head", "main")):
        commit = git(repository, "rev-parse", name).strip()
        assert found[side] == {"revision": name, "commit": commit}


def test_main_may_exist_at_the_remote_only(repository: Path, tmp_path: Path) -> None:
    predict(repository, lambda table: mend(table, 60))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--branch", "change", str(repository), str(clone))
    assert answer(clone)["mcnemar"]["fixed"] == 60


def test_a_shallow_clone_without_the_base_says_so(repository: Path, tmp_path: Path) -> None:
    predict(repository, lambda table: mend(table, 60))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", str(clone))
    refuses(clone, "main", words=("unknown revision 'main'", "git fetch --unshallow"))
    refuses(clone, words=("no branch main or origin/main", "git fetch --unshallow"))
    git(clone, "fetch", "--quiet", "--depth", "1", "origin", "main:main")
    refuses(clone, words=("no commit in common with main", "git fetch --unshallow"))


def test_unknown_revision(repository: Path) -> None:
    refuses(repository, "nonsense", words=("unknown revision 'nonsense'",))


def test_outside_of_a_repository(tmp_path: Path) -> None:
    refuses(tmp_path, words=("not a git repository",))


# --- what is not comparable


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        ("metrics/evaluate.json", '"accuracy": 0.', '"accuracy": NaN, "x": 0.', ("NaN", "finite")),
        ("metrics/evaluate.json", "{", "[", ("metrics/evaluate.json is not JSON",)),
        ("metrics/evaluate.json", '"images"', '"imagez"', ("metrics/evaluate.json has no images",)),
        ("metrics/predictions.csv", "index,", "place,", ("columns place, label", "expected index")),
        ("metrics/predictions.csv", ",trouser,", ",jeans,", ("line", "is jeans", "one of")),
        ("metrics/predictions.csv", ",0.9", ",1.9", ("column confidence", "from 0 to 1")),
        ("metrics/predictions.csv", ",0.9", ",nan0.9", ("column confidence", "from 0 to 1")),
        ("dvc.lock", "stages:", "stagez:", ("dvc.lock has no section 'stages'",)),
        ("dvc.lock", "data/split/test.npz", "data/split/x.npz", ("data/split/test.npz",)),
        ("params.yaml", "review:", "reviewz:", ("params.yaml has no section 'review'",)),
        ("params.yaml", "margin: 0.005", "margin: 5.0",
         ("working tree: params.yaml: review.margin: got 5.0",)),
        ("params.yaml", "margin:", "marginn:", ("review.marginn: unknown key",)),
        ("params.yaml", "train:", "train: [", ("params.yaml: not valid YAML",)),
        ("params.yaml", "  batch_size: 256\n  epochs", "  batch_size: 255\n  epochs",
         ("another train.batch_size", "dvc repro")),
    ],
)  # fmt: skip
def test_damaged_files(
    repository: Path, path: str, old: str, new: str, words: tuple[str, ...]
) -> None:
    file = repository / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    refuses(repository, words=words)


@pytest.mark.parametrize(
    "name", ["params.yaml", "dvc.lock", "metrics/evaluate.json", "metrics/predictions.csv"]
)
def test_missing_files(repository: Path, name: str) -> None:
    (repository / name).unlink()
    if name == "metrics/evaluate.json":
        refuses(repository, words=("metrics/evaluate.json has no images",))
    else:
        refuses(repository, words=(f"working tree has no {name}",))


def test_predictions_of_another_model(repository: Path) -> None:
    predict(repository, lambda table: mend(table, 60))
    git(repository, "checkout", "--quiet", "main", "--", "metrics/evaluate.json")
    refuses(
        repository, words=("predictions.csv does not match", "accuracy is 0.94", "in the other")
    )


def test_other_images_in_the_same_order_of_classes(repository: Path) -> None:
    def change(table: pd.DataFrame) -> None:
        table["index"] += 1

    predict(repository, change)
    refuses(repository, words=("not about the same images",))


def test_markdown_and_json_say_it_too(repository: Path) -> None:
    (repository / "dvc.lock").unlink()
    done = review(repository, "compare", "--md")
    assert done.returncode == 2
    assert done.stdout == "### cannot compare\n\nworking tree has no dvc.lock\n"
    done = review(repository, "compare", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout) == {"cannot_compare": "working tree has no dvc.lock"}


# --- rules


@pytest.mark.parametrize(
    ("rules", "refusals"),
    [
        ({"floors": {"accuracy": 0.99, "class_recall": 0}}, ["review.floors.accuracy"]),
        ({"margin": 0.0}, ["review.margin"]),
        ({"growth": {"parameters": 0.5, "flops": 2.0}}, ["review.growth.parameters"]),
        ({"growth": {"parameters": 1.0, "flops": 1.0}}, []),
    ],
)
def test_rules(repository: Path, rules: dict[str, Any], refusals: list[str]) -> None:
    def change(table: pd.DataFrame) -> None:
        spoil(table, np.flatnonzero(table["label"] == table["prediction"])[:1])

    predict(repository, change)
    edit(repository / "params.yaml", lambda params: params["review"].update(rules))
    assert [refusal["rule"] for refusal in answer(repository)["refusals"]] == refusals


def test_judgement_by_hand() -> None:
    """Each rule on its edge, and just beyond it."""
    ruled = Rules(
        alpha=0.05,
        margin=0.01,
        floors={"accuracy": 0.9, "class_recall": 0.8},
        growth={"parameters": 2, "flops": 3},
    )
    same = {"difference": 0.0, "high": None}

    def judge(
        accuracy: float,
        low: float | None,
        recall: float,
        grown: float,
        recipes: Recipes | None = None,
    ) -> list[Any]:
        metrics = {
            comparison.ACCURACY: Metric(before=0.9, after=accuracy, low=low, **same),
            "train.parameters.total": Metric(before=100, after=100 * grown, low=None, **same),
            "train.flops_per_image": Metric(before=10, after=10 * grown, low=None, **same),
        }
        test = {"before": 0.9, "difference": 0.0, "fixed": 0, "broken": 0, "p": 1.0}
        classes = {key: Class(after=recall if key == "bag" else 0.9, **test) for key in KEYS}
        found = comparison.judge(ruled, metrics, classes, recipes)
        return [(one.rule, one.subject, one.value, one.limit) for one in found]

    assert judge(0.9, -0.01, 0.8, 2) == []
    # Without a base there is no interval.
    assert judge(0.9, None, 0.8, 2) == []
    assert judge(0.89, -0.02, 0.7, 4) == [
        ("review.floors.accuracy", "accuracy", 0.89, 0.9),
        ("review.floors.class_recall", "recall of bag", 0.7, 0.8),
        ("review.margin", "low end of the change in accuracy", -0.02, -0.01),
        ("review.growth.parameters", "growth of train.parameters.total", 4, 2),
        ("review.growth.flops", "growth of train.flops_per_image", 4, 3),
    ]
    # Where the recipes are known, theirs is the margin; all else stays.
    recipes = Recipes(
        before=0.9, after=0.87, difference=-0.03, low=-0.04, high=0.0, p=0.02, verdict="worse"
    )
    assert judge(0.89, -0.02, 0.7, 4, recipes)[:3] == [
        ("review.floors.accuracy", "accuracy", 0.89, 0.9),
        ("review.floors.class_recall", "recall of bag", 0.7, 0.8),
        ("review.margin", "low end of the change of recipes", -0.04, -0.01),
    ]
    assert judge(0.9, -0.02, 0.8, 2, recipes.model_copy(update={"low": -0.01})) == []


def test_a_metric_that_one_side_lacks(repository: Path) -> None:
    path = repository / "metrics/train.json"
    found = json.loads(path.read_text())
    git(repository, "switch", "--quiet", "main")
    path.write_text(json.dumps({"old": 0.25, **found}))
    git(repository, "commit", "--quiet", "--all", "--message", "old")
    git(repository, "switch", "--quiet", "--create", "newer")
    path.write_text(json.dumps({"new": 0.25, **found}))
    metrics = answer(repository, "main")["metrics"]
    blank = {"difference": None, "low": None, "high": None}
    assert metrics["train.old"] == {"before": 0.25, "after": None, **blank}
    assert metrics["train.new"] == {"before": None, "after": 0.25, **blank}
    # Those that are no more come last.
    assert list(metrics)[-1] == "train.old"


# --- what changed


def test_what_changed(repository: Path) -> None:
    edit(repository / "params.yaml", lambda params: params["train"].update(batch_size=250))

    def change(lock: Any) -> None:
        train = lock["stages"]["train"]
        train["params"]["params.yaml"]["train"]["batch_size"] = 250
        for entry in train["deps"]:
            if entry["path"] in ("stages/train.py", "data/prepared/train", "requirements.lock"):
                entry["md5"] = "0" * 32

    edit(repository / "dvc.lock", change)
    found = answer(repository)
    assert found["parameters"] == {"train.batch_size": {"before": 256, "after": 250}}
    assert found["stages"] == {
        "train": {"code": ["stages/train.py"], "data": ["data/prepared/train"], "libraries": True}
    }
    done = review(repository, "compare", "--md")
    assert "| train.batch_size | 256 | 250 |" in done.stdout
    assert "code: stages/train.py; data: data/prepared/train; libraries" in done.stdout


def test_parameters_that_one_side_lacks() -> None:
    found = changes.parameters({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}, "d": {}})
    assert found == [
        changes.Parameter("a.b", 1, None),
        changes.Parameter("a.c", [1], [2]),
        changes.Parameter("d", None, {}),
    ]


# --- how it is printed


def test_terminal_and_markdown_hold_every_number(repository: Path) -> None:
    predict(repository, lambda table: mend(table, 60))
    for arguments in ([], ["--md"]):
        done = review(repository, "compare", *arguments)
        assert done.returncode == 0
        for text in ("better, accepted", "60 are fixed and 0 broken", "+0.60 points", "macro_f1",
                     "Ankle boot", "95% interval", "below 0.18 points"):  # fmt: skip
            assert text in done.stdout


def test_counts_are_whole_numbers(repository: Path) -> None:
    path = repository / "metrics/train.json"
    train = json.loads(path.read_text())
    before = train["parameters"]["total"]
    train["parameters"]["total"] = before + 35_560
    path.write_text(json.dumps(train))
    rows = [line.split() for line in review(repository, "compare").stdout.splitlines()]
    assert ["train.parameters.total", f"{before:,}", f"{before + 35_560:,}", "+35,560"] in rows


def test_help_names_the_exit_codes(tmp_path: Path) -> None:
    done = review(tmp_path, "--help")
    assert done.returncode == 0
    assert "0: accepted; 1: refused" in done.stdout
    assert review(tmp_path, "compare", "--nonsense").returncode == 2


def test_the_schema_in_the_documentation_is_that_of_the_code() -> None:
    stated = json.loads((ROOT / "docs/comparison.schema.json").read_text())
    assert stated == Comparison.model_json_schema()


def test_no_tensorflow_no_data_no_dvc(repository: Path) -> None:
    # A finder that refuses: as if they were not installed.
    code = (
        "import sys, runpy\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('tensorflow', 'keras', 'dvc', 'sklearn', 'altair'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "sys.argv = ['review', 'compare', 'main']\n"
        "runpy.run_module('review', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no evidence of a difference, accepted" in done.stdout


# --- statistics, against other implementations


def random_answers(seed: int, images: int = 400) -> tuple[Answers, Answers]:
    draw = np.random.default_rng(seed)
    labels = np.arange(images) % 10
    sides = []
    for share in (0.8, 0.85):
        wrong = draw.integers(0, 10, images)
        predictions = np.where(draw.random(images) < share, labels, wrong)
        confidence = draw.uniform(0.2, 1, images)
        probability = np.where(predictions == labels, confidence, draw.uniform(1e-6, 0.2, images))
        sides.append(Answers(labels, predictions, confidence, probability))
    return sides[0], sides[1]


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_is_the_binomial_test(seed: int) -> None:
    before, after = random_answers(seed)
    found = statistics.mcnemar(before.right, after.right)
    assert found.fixed - found.broken == after.right.sum() - before.right.sum()
    expected = stats.binomtest(found.fixed, found.fixed + found.broken).pvalue
    assert found.p == pytest.approx(expected, rel=1e-12)
    changed, fewer = found.fixed + found.broken, min(found.fixed, found.broken)
    tail = sum(Fraction(math.comb(changed, k), 2**changed) for k in range(fewer + 1))
    assert found.p == pytest.approx(float(min(Fraction(1), 2 * tail)), rel=1e-12)


def test_equal_answers() -> None:
    before, _ = random_answers(0)
    assert statistics.mcnemar(before.right, before.right) == (0, 0, 1.0)
    assert statistics.accuracy_interval(0, 0, 400, 0.95) == (0, 0)
    assert set(statistics.bootstrap(before, before, (15, 15), 10, 0.95).values()) == {(0.0, 0.0)}


@pytest.mark.parametrize(("fixed", "broken"), [(7, 3), (20, 6), (0, 9), (130, 100)])
def test_the_interval_is_where_the_binomial_tails_are_half_of_alpha(
    fixed: int, broken: int
) -> None:
    low, high = statistics.accuracy_interval(fixed, broken, 1000, 0.95)
    changed = fixed + broken

    def tail(difference: float, outcomes: range) -> float:
        share = (difference * 1000 / changed + 1) / 2
        return sum(
            math.comb(changed, k) * share**k * (1 - share) ** (changed - k) for k in outcomes
        )

    if fixed:
        assert tail(low, range(fixed, changed + 1)) == pytest.approx(0.025, rel=1e-6)
    else:
        assert low == pytest.approx(-changed / 1000)
    assert tail(high, range(fixed + 1)) == pytest.approx(0.025, rel=1e-6)
    p = stats.binomtest(fixed, changed).pvalue
    assert (low > 0 or high < 0) == (p < 0.05)


@pytest.mark.parametrize("changed", [0, 3, 6, 8, 10, 41, 230])
# Five on one side have p = 0.0625, seven of eight 0.0703125.
@pytest.mark.parametrize("alpha", [0.3, 0.0703125, 0.0625, 0.05, 0.001])
def test_smallest_difference_is_the_first_that_is_significant(changed: int, alpha: float) -> None:
    found = statistics.smallest_difference(changed, 1000, alpha)
    count = changed
    significant: list[int] = []
    while not significant:
        significant = [
            2 * fixed - count
            for fixed in range(count + 1)
            if 2 * fixed > count and stats.binomtest(fixed, count).pvalue < alpha
        ]
        count += 1
    assert found == pytest.approx(min(significant) / 1000)


def test_holm() -> None:
    before, after = random_answers(3, 2000)
    found = statistics.by_class(before, after, 10)
    raw = [
        statistics.mcnemar(before.right[own], after.right[own]).p
        for own in (before.labels == label for label in range(10))
    ]
    expected, highest = {}, 0.0
    for rank, place in enumerate(np.argsort(raw, kind="stable")):
        highest = max(highest, min(1.0, (10 - rank) * raw[place]))
        expected[place] = highest
    assert [test.p for test in found] == pytest.approx([expected[place] for place in range(10)])


def test_scores_are_those_that_evaluate_wrote() -> None:
    here = evidence.gather(HERE)
    bins = here.parameters["evaluate"]["bins"]
    found = statistics.scores(here.answers, bins, len(KEYS))
    for name, value in found.items():
        assert value == pytest.approx(here.metrics[f"evaluate.{name}"], abs=2e-5), name


@pytest.mark.parametrize("bins", [3, 15])
def test_scores_one_by_one(bins: int) -> None:
    """With confidences in the lowest and the highest bin, and a class that nobody names."""
    answers, _ = random_answers(2)
    kept = (answers.labels != 9) & (answers.predictions != 9)
    answers = Answers(*(column[kept] for column in answers))
    answers.confidence[:20] = 1
    found = statistics.scores(answers, bins, 10)
    box = np.minimum(np.floor(answers.confidence * bins), bins - 1)
    error = sum(
        abs((answers.right - answers.confidence)[box == b].sum()) / len(box) for b in range(bins)
    )
    f1 = f1_score(
        answers.labels, answers.predictions, labels=range(10), average="macro", zero_division=0
    )
    assert found == {
        "macro_f1": pytest.approx(f1),
        "loss": pytest.approx(-np.log(answers.label_probability).mean()),
        "expected_calibration_error": pytest.approx(error),
    }


def test_bootstrap_says_the_same_again() -> None:
    before, after = random_answers(4)
    wide, again, narrow = (
        statistics.bootstrap(before, after, (15, 15), 10, level) for level in (0.95, 0.95, 0.5)
    )
    assert wide == again
    for name, interval in wide.items():
        # As the quantiles of a normal distribution are to each other: 0.674 to 1.96.
        ratio = (narrow[name].high - narrow[name].low) / (interval.high - interval.low)
        assert ratio == pytest.approx(0.344, abs=0.06), name


def test_bootstrap_against_one_by_brute_force() -> None:
    before, after = random_answers(1)
    found = statistics.bootstrap(before, after, (15, 15), 10, 0.95)
    draw = np.random.default_rng(9)
    changed: dict[str, list[float]] = {name: [] for name in found}
    edges = np.linspace(0, 1, 16)
    for _ in range(2000):
        rows = draw.integers(0, len(before.labels), len(before.labels))
        values = []
        for side in (before, after):
            labels, predictions = side.labels[rows], side.predictions[rows]
            confidence, right = side.confidence[rows], side.right[rows]
            box = np.digitize(confidence, edges[1:-1])
            error = sum(
                abs(right[box == b].mean() - confidence[box == b].mean()) * (box == b).mean()
                for b in np.unique(box)
            )
            f1 = f1_score(labels, predictions, average="macro")
            values.append((f1, -np.log(side.label_probability[rows]).mean(), error))
        for name, old, new in zip(found, *values, strict=True):
            changed[name].append(new - old)
    for name, interval in found.items():
        low, high = np.percentile(changed[name], [2.5, 97.5])
        # The ends of so many draws are known to about a twentieth of the interval's width.
        assert interval.low == pytest.approx(low, abs=0.1 * (high - low)), name
        assert interval.high == pytest.approx(high, abs=0.1 * (high - low)), name


def test_revisions_read_the_working_tree_and_commits(repository: Path) -> None:
    commit = revisions.resolve(repository, "main")
    (repository / "metrics/new.json").write_text("{}")
    tree = revisions.Revision(repository, "working tree", None)
    assert "metrics/new.json" in tree.files("metrics")
    assert "metrics/new.json" not in commit.files("metrics")
    assert commit.files("nonsense") == tree.files("nonsense") == []
    assert commit.read("dvc.lock") == tree.read("dvc.lock")
    assert revisions.clean(repository)


# --- seeds


def score(*values: float) -> spread.Score:
    return spread.summary({f"seed_{seed}": value for seed, value in enumerate(values, 1)})


def test_summary() -> None:
    found = score(0.91, 0.93, 0.92)
    assert found.mean == pytest.approx(0.92)
    assert found.standard_deviation == pytest.approx(0.01)
    # 4.302653 is the 97.5th percentile of Student's t with two degrees of freedom, from a table.
    assert found.high - found.mean == pytest.approx(4.302653 * 0.01 / math.sqrt(3), rel=1e-6)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_welch_by_its_formula() -> None:
    before, after = score(0.91, 0.93, 0.92), score(0.94, 0.935, 0.945, 0.95)
    found = spread.welch(before, after, 0.95)
    parts = [0.01**2 / 3, np.var([0.94, 0.935, 0.945, 0.95], ddof=1) / 4]
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 3)
    difference = 0.9425 - 0.92
    assert found["difference"] == pytest.approx(difference)
    assert found["p"] == pytest.approx(2 * stats.t.sf(difference / error, freedom), rel=1e-9)
    half = stats.t.ppf(0.975, freedom) * error
    assert (found["low"], found["high"]) == pytest.approx((difference - half, difference + half))


def test_seeds_that_make_no_difference() -> None:
    same = spread.welch(score(0.9, 0.9), score(0.9, 0.9), 0.95)
    assert same == {"difference": 0, "low": 0, "high": 0, "p": 1}
    other = spread.welch(score(0.9, 0.9), score(0.8, 0.8), 0.95)
    assert other["p"] == 0
    assert other["low"] == other["high"] == pytest.approx(-0.1)


def record(repository: Path, *values: float) -> None:
    """Let the revision have a spread of its recipe, and commit that."""
    here = evidence.gather(Revision(repository, "here", None))
    scores = {name: score(*values) for name in spread.SCORES}
    name = spread.recipe(here.parameters, here.lock)
    (repository / "metrics/spread.json").write_text(
        spread.Spread(recipe=name, **scores).model_dump_json()
    )
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "spread")


def test_models_that_differ_of_recipes_that_do_not(repository: Path) -> None:
    git(repository, "switch", "--quiet", "main")
    record(repository, 0.942, 0.945, 0.948)
    git(repository, "switch", "--quiet", "--create", "seeds")
    predict(repository, lambda table: mend(table, 60))
    record(repository, 0.943, 0.944, 0.949)
    found = answer(repository, "main")
    assert found["verdict"] == "better"
    assert found["recipes"]["verdict"] == "no evidence of a difference"
    assert found["recipes"]["before"] == pytest.approx(0.945)
    assert found["recipes"]["p"] == pytest.approx(
        stats.ttest_ind([0.943, 0.944, 0.949], [0.942, 0.945, 0.948], equal_var=False).pvalue
    )
    printed = review(repository, "compare", "main").stdout
    assert "these two models: better; the recipes that they come from: no evidence" in printed


@pytest.mark.parametrize(
    ("after", "refused"),
    [((0.9451, 0.945, 0.9452), []), ((0.935, 0.9351, 0.9352), ["review.margin"])],
)
def test_the_margin_is_that_of_recipes_where_they_are_known(
    repository: Path, after: tuple[float, ...], refused: list[str]
) -> None:
    """By the two models alone it is refused."""

    def change(table: pd.DataFrame) -> None:
        spoil(table, np.flatnonzero(table["label"] == table["prediction"])[:60])

    git(repository, "switch", "--quiet", "main")
    record(repository, 0.945, 0.9451, 0.9452)
    git(repository, "switch", "--quiet", "--create", "seeds")
    (repository / "metrics/spread.json").unlink()
    predict(repository, change)
    (refusal,) = answer(repository, "main")["refusals"]
    assert refusal["subject"] == "low end of the change in accuracy"
    record(repository, *after)
    found = answer(repository, "main")
    assert [refusal["rule"] for refusal in found["refusals"]] == refused
    for refusal in found["refusals"]:
        assert refusal["subject"] == "low end of the change of recipes"
        assert refusal["value"] == pytest.approx(found["recipes"]["low"])


def test_the_recipe_that_a_spread_is_of() -> None:
    """All that decides about the scores, but neither the seed nor the order in a file."""
    parameters: dict[str, Any] = {
        "train": {"epochs": 2, "seed": 1},
        "evaluate": {"bins": 15},
    }
    model = {"path": "data/model/model.keras", "md5": "m"}
    lock: dict[str, Any] = {
        "train": {"deps": [{"path": "stages/train.py", "md5": "a"}]},
        "evaluate": {"deps": [{"path": "stages/evaluate.py", "md5": "b"}, model]},
    }
    name = spread.recipe(parameters, lock)
    same = deepcopy((parameters, lock))
    same[0]["train"] = {"seed": 2, "epochs": 2}
    same[1]["evaluate"]["deps"] = [{**model, "md5": "n"}, lock["evaluate"]["deps"][0]]
    assert spread.recipe(*same) == name
    for place, section, key, value in (
        (0, "train", "epochs", 3),
        (0, "evaluate", "bins", 10),
        (1, "train", "deps", [{"path": "stages/train.py", "md5": "c"}]),
        (1, "evaluate", "deps", [{"path": "stages/evaluate.py", "md5": "c"}, model]),
    ):
        other = deepcopy((parameters, lock))
        other[place][section][key] = value
        assert spread.recipe(*other) != name
    del lock["evaluate"]
    with pytest.raises(InputError, match=r"^params.yaml or dvc.lock has no 'evaluate'$"):
        spread.recipe(parameters, lock)


@pytest.mark.parametrize(
    ("after", "verdict"), [((0.9449, 0.945, 0.9451), "better"), ((0.941, 0.9411, 0.9412), "worse")]
)
def test_recipes_that_differ(repository: Path, after: tuple[float, ...], verdict: str) -> None:
    git(repository, "switch", "--quiet", "main")
    record(repository, 0.943, 0.9431, 0.9432)
    git(repository, "switch", "--quiet", "--create", "seeds")
    predict(repository, lambda table: mend(table, 5))
    record(repository, *after)
    found = answer(repository, "main")
    assert found["recipes"]["verdict"] == verdict
    assert found["verdict"] == "no evidence of a difference"


def test_spreads_of_other_recipes_are_told(repository: Path) -> None:
    git(repository, "switch", "--quiet", "main")
    record(repository, 0.942, 0.945)
    path = repository / "metrics/spread.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"recipe": "another"}))
    git(repository, "commit", "--quiet", "--all", "--message", "stale")
    git(repository, "switch", "--quiet", "--create", "newer")
    predict(repository, lambda table: mend(table, 5))
    found = answer(repository, "main")
    assert found["recipes"] is None
    assert len(found["notes"]) == 2
    for note in found["notes"]:
        assert note.endswith("is of another recipe and not used: run `python -m review spread`")
        assert note.startswith("metrics/spread.json of ")


def test_a_damaged_spread(repository: Path) -> None:
    record(repository, 0.942, 0.945)
    path = repository / "metrics/spread.json"
    text = path.read_text()
    path.write_text(re.sub(r'"mean":[^,]*', '"mean": "high"', text, count=1))
    refuses(repository, words=("metrics/spread.json: spread.accuracy.mean: got 'high', expected",))
    path.write_text(text.replace('"recipe"', '"receipt"'))
    refuses(repository, words=("metrics/spread.json", "spread.receipt: unknown key"))
    path.write_text("{}")
    refuses(repository, words=("metrics/spread.json", "spread.recipe: missing", "spread.accuracy"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--seeds", "1"), ("--seeds: got 1", "2 or more")), (("--jobs", "0"), ("--jobs: got 0",))],
)
def test_spread_of_too_few(
    repository: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = review(repository, "spread", *arguments)
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr
