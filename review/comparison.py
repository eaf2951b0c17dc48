"""Decides whether the newer of two revisions is better, and whether its rules accept it.

`statistics` and `spread` compute the p values, `comparison_text` and `report` show the result.
"""

from typing import Literal

from review import changes, rules, spread, statistics
from review.changes import ChangedParameter, ChangedStage
from review.evidence import Evidence, recalls, same_test_set
from review.json_result import JsonResult
from review.rules import Rules
from review.statistics import Interval, McNemarTest

Verdict = Literal["better", "worse", "no evidence of a difference"]

ACCURACY = "evaluate.accuracy"
COSTS = {"parameters": "train.parameters.total", "flops": "train.flops_per_image"}


class Side(JsonResult):
    """One of the two revisions."""

    revision: str
    commit: str | None
    """Null for the working tree."""


class Metric(JsonResult):
    """A number in metrics/*.json; null on the side without it."""

    before: int | float | None
    after: int | float | None
    difference: int | float | None
    low: float | None
    """Lower end of the paired interval of the difference; null for numbers that have none."""
    high: float | None
    """Upper end."""


class ClassRecall(JsonResult):
    """Recall of a class with McNemar's exact test; p is corrected for all classes (Holm)."""

    name: str
    """Name of the class, for people."""
    before: float
    after: float
    difference: float
    fixed: int
    broken: int
    p: float


class Refusal(JsonResult):
    """A rule that the newer revision breaks."""

    rule: str
    """Its path in params.yaml."""
    subject: str
    """What breaks it, in words."""
    value: float
    limit: float


class WelchTest(JsonResult):
    """Mean accuracy over several seeds, compared by Welch's t-test."""

    before: float
    after: float
    difference: float
    low: float
    high: float
    p: float
    verdict: Verdict


class Comparison(JsonResult):
    """Output of `python -m review compare --json`."""

    base: Side
    head: Side
    verdict: Verdict
    """On the accuracy of these two models."""
    accepted: bool
    """No rule is broken."""
    refusals: list[Refusal]
    images: int
    """Number of images in the test set."""
    alpha: float
    """Significance level; intervals have the level 1 - alpha."""
    mcnemar: McNemarTest
    smallest_difference: float
    """Smallest change in accuracy that McNemar's test could have detected."""
    recipes: WelchTest | None
    """Null unless both revisions have a metrics/spread.json that belongs to them."""
    metrics: dict[str, Metric]
    """Metrics by file and keys, such as `evaluate.macro_f1`."""
    classes: dict[str, ClassRecall]
    """Recall by key of the class."""
    parameters: dict[str, ChangedParameter]
    """Parameters that differ, by path."""
    stages: dict[str, ChangedStage]
    """Stages whose dependencies differ."""
    notes: list[str]
    """Remarks that do not affect the verdict."""


def compare(base: Evidence, head: Evidence) -> Comparison:
    """Compare two revisions by the rules of the newer one.

    Raises:
        InputError: The classes or the test sets differ, or the rules are missing or invalid.
    """
    limits = rules.read(head.parameters, head.revision.name)
    same_test_set(base, head)
    images, level = len(head.answers.labels), 1 - limits.alpha
    test = statistics.mcnemar(base.answers.right, head.answers.right)
    changed = test.fixed + test.broken
    intervals = {
        ACCURACY: statistics.accuracy_interval(test.fixed, test.broken, images, level),
        **_bootstrap(base, head, level),
    }
    metrics = _metrics(base.metrics, head.metrics, intervals)
    classes = _classes(base, head)
    recipes = _recipes(base, head, limits.alpha)
    refusals = judge(limits, metrics, classes, recipes)
    return Comparison(
        base=Side(revision=base.revision.name, commit=base.revision.commit),
        head=Side(revision=head.revision.name, commit=head.revision.commit),
        verdict=_verdict(test.p, test.fixed - test.broken, limits.alpha),
        accepted=not refusals,
        refusals=refusals,
        images=images,
        alpha=limits.alpha,
        mcnemar=test,
        smallest_difference=statistics.smallest_difference(changed, images, limits.alpha),
        recipes=recipes,
        metrics=metrics,
        classes=classes,
        parameters=changes.parameters(base.parameters, head.parameters),
        stages=changes.stages(base.lock, head.lock),
        notes=_notes(base, head),
    )


def judge(
    limits: Rules,
    metrics: dict[str, Metric],
    classes: dict[str, ClassRecall],
    recipes: WelchTest | None,
) -> list[Refusal]:
    """Return the rules that are broken.

    The margin applies to the recipes where both have a spread: two equal recipes can give models
    that differ by more than the margin.
    """
    accuracy = metrics[ACCURACY]
    checks = [("floors.accuracy", "accuracy", accuracy.after, limits.floors.accuracy)]
    checks += [
        ("floors.class_recall", f"recall of {key}", recall.after, limits.floors.class_recall)
        for key, recall in classes.items()
    ]
    subject = f"lower bound of the change in {'mean accuracy' if recipes else 'accuracy'}"
    checks += [("margin", subject, (recipes or accuracy).low, -limits.margin)]
    broken = [
        Refusal(rule=f"review.{rule}", subject=subject, value=value, limit=limit)
        for rule, subject, value, limit in checks
        if value is not None and value < limit
    ]
    for rule, limit in limits.growth.model_dump().items():
        cost = metrics.get(COSTS[rule])
        if cost and cost.before and cost.after and cost.after / cost.before > limit:
            broken.append(
                Refusal(
                    rule=f"review.growth.{rule}",
                    subject=f"growth of {COSTS[rule]}",
                    value=cost.after / cost.before,
                    limit=limit,
                )
            )
    return broken


def _bootstrap(base: Evidence, head: Evidence, level: float) -> dict[str, Interval]:
    bins = base.bins, head.bins
    found = statistics.bootstrap(base.answers, head.answers, bins, len(head.classes), level)
    return {f"evaluate.{name}": interval for name, interval in found.items()}


def _metrics(
    before: dict[str, float], after: dict[str, float], intervals: dict[str, Interval]
) -> dict[str, Metric]:
    """Return the numbers of both sides; those that only the old one has come last."""
    found = {}
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        # Both sides have the scores with an interval: evidence without one is rejected.
        low, high = intervals.get(name, (None, None))
        difference = new - old if old is not None and new is not None else None
        found[name] = Metric(before=old, after=new, difference=difference, low=low, high=high)
    return found


def _classes(base: Evidence, head: Evidence) -> dict[str, ClassRecall]:
    before, after = recalls(base.answers), recalls(head.answers)
    tests = statistics.by_class(base.answers, head.answers, len(head.classes))
    return {
        key: ClassRecall(
            name=name, before=old, after=new, difference=new - old, **test.model_dump()
        )
        for (key, name), old, new, test in zip(
            head.classes.items(), before, after, tests, strict=True
        )
    }


def _recipes(base: Evidence, head: Evidence, alpha: float) -> WelchTest | None:
    """Return the test of both recipes; None unless both have a spread that belongs to them."""
    old, new = spread.own(base), spread.own(head)
    if old is None or new is None:
        return None
    test = spread.welch(old.accuracy, new.accuracy, 1 - alpha)
    return WelchTest(
        before=old.accuracy.mean,
        after=new.accuracy.mean,
        verdict=_verdict(test["p"], test["difference"], alpha),
        **test,
    )


def _notes(base: Evidence, head: Evidence) -> list[str]:
    return [
        f"metrics/spread.json of {side.revision.name} belongs to a different recipe and is "
        "ignored: run `python -m review spread`"
        for side in (base, head)
        if spread.find(side) and not spread.own(side)
    ]


def _verdict(p: float, difference: float, alpha: float) -> Verdict:
    if p >= alpha:
        return "no evidence of a difference"
    return "better" if difference > 0 else "worse"
