"""Whether a change is better, worse or neither, and which rules refuse it."""

import json
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML
from scipy import stats

from review import comparison
from review.comparison import ClassRecall, Metric, WelchTest
from review.rules import Rules
from tests.conftest import ROOT
from tests.review.conftest import KEYS, Branch, right_rows, set_right, set_wrong, wrong_rows

NO_EVIDENCE = "no evidence of a difference"


def test_sixty_fixed_answers_are_better(branch: Branch) -> None:
    branch.fix(60)
    found = branch.compare()
    assert found["verdict"] == "better"
    assert found["accepted"]
    assert found["refusals"] == []
    assert found["mcnemar"] == {"fixed": 60, "broken": 0, "p": pytest.approx(2 * 0.5**60)}
    accuracy = found["metrics"]["evaluate.accuracy"]
    assert accuracy["difference"] == pytest.approx(0.006)
    assert 0 < accuracy["low"] < 0.006 <= accuracy["high"] + 1e-9
    assert found["smallest_difference"] == pytest.approx(0.0018)
    assert found["head"]["revision"] == "HEAD"
    assert found["base"]["commit"] == branch.git("rev-parse", "main")


def test_ten_changed_answers_are_no_evidence(branch: Branch) -> None:
    def change(table: pd.DataFrame) -> None:
        right = right_rows(table)
        set_right(table, wrong_rows(table)[:7])
        set_wrong(table, right[:3])

    branch.predict(change)
    found = branch.compare()
    assert found["verdict"] == NO_EVIDENCE
    assert found["accepted"]
    assert found["mcnemar"] == {"fixed": 7, "broken": 3, "p": pytest.approx(0.34375)}
    accuracy = found["metrics"]["evaluate.accuracy"]
    assert accuracy["low"] < 0 < accuracy["high"]
    # Nine to one would have been significant.
    assert found["smallest_difference"] == pytest.approx(0.0008)


def test_p_must_be_below_alpha(branch: Branch) -> None:
    branch.fix(5)
    for alpha, verdict in ((0.0625, NO_EVIDENCE), (0.0626, "better")):
        branch.set_rules(alpha=alpha)
        found = branch.compare()
        assert (found["mcnemar"]["p"], found["verdict"]) == (0.0625, verdict)


def test_a_class_that_collapses_is_refused_although_accuracy_rises(branch: Branch) -> None:
    def change(table: pd.DataFrame) -> None:
        wrong = wrong_rows(table)
        set_right(table, wrong[(table["label"] != "shirt")[wrong]])
        shirts = right_rows(table)[(table["label"] == "shirt")[right_rows(table)]]
        set_wrong(table, shirts[:200])

    branch.predict(change)
    found = branch.compare()
    assert found["verdict"] == "better"
    assert not found["accepted"]
    limit = YAML(typ="safe").load(ROOT / "params.yaml")["review"]["floors"]["class_recall"]
    shirt = found["classes"]["shirt"]
    assert shirt["broken"] == 200
    assert shirt["difference"] == pytest.approx(shirt["after"] - shirt["before"])
    assert shirt["p"] < 1e-50
    assert found["refusals"] == [
        {
            "rule": "review.floors.class_recall",
            "subject": "recall of shirt",
            "value": shirt["after"],
            "limit": limit,
        }
    ]


@pytest.mark.parametrize(
    ("rules", "refusals"),
    [
        ({"floors": {"accuracy": 0.99, "class_recall": 0}}, ["review.floors.accuracy"]),
        ({"margin": 0.0}, ["review.margin"]),
        ({"growth": {"parameters": 0.5, "flops": 2.0}}, ["review.growth.parameters"]),
        ({"growth": {"parameters": 1.0, "flops": 1.0}}, []),
    ],
)
def test_each_rule_refuses_by_name(
    branch: Branch, rules: dict[str, Any], refusals: list[str]
) -> None:
    branch.predict(lambda table: set_wrong(table, right_rows(table)[:1]))
    branch.set_rules(**rules)
    assert [refusal["rule"] for refusal in branch.compare()["refusals"]] == refusals


def test_each_rule_refuses_just_beyond_its_limit() -> None:
    limits = Rules(
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
        recipes: WelchTest | None = None,
    ) -> list[Any]:
        metrics = {
            comparison.ACCURACY: Metric(before=0.9, after=accuracy, low=low, **same),
            "train.parameters.total": Metric(before=100, after=100 * grown, low=None, **same),
            "train.flops_per_image": Metric(before=10, after=10 * grown, low=None, **same),
        }
        test = {"before": 0.9, "difference": 0.0, "fixed": 0, "broken": 0, "p": 1.0}
        classes = {
            key: ClassRecall(name=key, after=recall if key == "bag" else 0.9, **test)
            for key in KEYS
        }
        found = comparison.judge(limits, metrics, classes, recipes)
        return [(one.rule, one.subject, one.value, one.limit) for one in found]

    assert judge(0.9, -0.01, 0.8, 2) == []
    # Without a base there is no interval.
    assert judge(0.9, None, 0.8, 2) == []
    assert judge(0.89, -0.02, 0.7, 4) == [
        ("review.floors.accuracy", "accuracy", 0.89, 0.9),
        ("review.floors.class_recall", "recall of bag", 0.7, 0.8),
        ("review.margin", "lower bound of the change in accuracy", -0.02, -0.01),
        ("review.growth.parameters", "growth of train.parameters.total", 4, 2),
        ("review.growth.flops", "growth of train.flops_per_image", 4, 3),
    ]
    # With a spread of both recipes, the margin applies to them.
    recipes = WelchTest(
        before=0.9, after=0.87, difference=-0.03, low=-0.04, high=0.0, p=0.02, verdict="worse"
    )
    assert judge(0.89, -0.02, 0.7, 4, recipes)[:3] == [
        ("review.floors.accuracy", "accuracy", 0.89, 0.9),
        ("review.floors.class_recall", "recall of bag", 0.7, 0.8),
        ("review.margin", "lower bound of the change in mean accuracy", -0.04, -0.01),
    ]
    assert judge(0.9, -0.02, 0.8, 2, recipes.model_copy(update={"low": -0.01})) == []


def test_a_metric_that_only_one_side_has(branch: Branch) -> None:
    path = branch.folder / "metrics/train.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({"old": 0.25, **found}))
    branch.commit()
    branch.leave_main()
    path.write_text(json.dumps({"new": 0.25, **found}))
    metrics = branch.compare()["metrics"]
    blank = {"difference": None, "low": None, "high": None}
    assert metrics["train.old"] == {"before": 0.25, "after": None, **blank}
    assert metrics["train.new"] == {"before": None, "after": 0.25, **blank}
    assert list(metrics)[-1] == "train.old"


def test_models_can_differ_although_their_recipes_do_not(branch: Branch) -> None:
    branch.record_spread(0.942, 0.945, 0.948)
    branch.leave_main()
    branch.fix(60)
    branch.record_spread(0.943, 0.944, 0.949)
    found = branch.compare()
    assert found["verdict"] == "better"
    assert found["recipes"]["verdict"] == NO_EVIDENCE
    assert found["recipes"]["before"] == pytest.approx(0.945)
    assert found["recipes"]["p"] == pytest.approx(
        stats.ttest_ind([0.943, 0.944, 0.949], [0.942, 0.945, 0.948], equal_var=False).pvalue
    )
    printed = branch.review("compare").stdout
    assert f"on the two models is 'better', on their recipes '{NO_EVIDENCE}'." in printed


@pytest.mark.parametrize(
    ("after", "verdict"), [((0.9449, 0.945, 0.9451), "better"), ((0.941, 0.9411, 0.9412), "worse")]
)
def test_recipes_can_differ_although_their_models_do_not(
    branch: Branch, after: tuple[float, ...], verdict: str
) -> None:
    branch.record_spread(0.943, 0.9431, 0.9432)
    branch.leave_main()
    branch.fix(5)
    branch.record_spread(*after)
    found = branch.compare()
    assert found["recipes"]["verdict"] == verdict
    assert found["verdict"] == NO_EVIDENCE


@pytest.mark.parametrize(
    ("after", "refused"),
    [((0.9451, 0.945, 0.9452), []), ((0.935, 0.9351, 0.9352), ["review.margin"])],
)
def test_the_margin_applies_to_the_recipes_if_both_have_a_spread(
    branch: Branch, after: tuple[float, ...], refused: list[str]
) -> None:
    branch.record_spread(0.945, 0.9451, 0.9452)
    branch.leave_main()
    (branch.folder / "metrics/spread.json").unlink()
    branch.predict(lambda table: set_wrong(table, right_rows(table)[:60]))
    (refusal,) = branch.compare()["refusals"]
    assert refusal["subject"] == "lower bound of the change in accuracy"
    branch.record_spread(*after)
    found = branch.compare()
    assert [refusal["rule"] for refusal in found["refusals"]] == refused
    for refusal in found["refusals"]:
        assert refusal["subject"] == "lower bound of the change in mean accuracy"
        assert refusal["value"] == pytest.approx(found["recipes"]["low"])


def test_a_spread_of_a_different_recipe_is_ignored_with_a_note(branch: Branch) -> None:
    branch.record_spread(0.942, 0.945)
    path = branch.folder / "metrics/spread.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "different"}))
    branch.commit()
    branch.leave_main()
    branch.fix(5)
    found = branch.compare()
    assert found["recipes"] is None
    assert len(found["notes"]) == 2
    for note in found["notes"]:
        assert note.startswith("metrics/spread.json of ")
        assert note.endswith(
            "belongs to a different recipe and is ignored: run `python -m review spread`"
        )


def test_changes_of_parameters_and_stages_are_listed(branch: Branch) -> None:
    branch.edit("params.yaml", lambda params: params["train"].update(batch_size=250))

    def change(lock: Any) -> None:
        train = lock["stages"]["train"]
        train["params"]["params.yaml"]["train"]["batch_size"] = 250
        for entry in train["deps"]:
            if entry["path"] in ("stages/train.py", "data/prepared/train", "requirements.lock"):
                entry["md5"] = "0" * 32

    branch.edit("dvc.lock", change)
    found = branch.compare()
    assert found["parameters"] == {"train.batch_size": {"before": 256, "after": 250}}
    assert found["stages"] == {
        "train": {"code": ["stages/train.py"], "data": ["data/prepared/train"], "libraries": True}
    }
    done = branch.review("compare", "--md")
    assert "| train.batch_size | 256 | 250 |" in done.stdout
    assert "code: stages/train.py; data: data/prepared/train; libraries" in done.stdout
