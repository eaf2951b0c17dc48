"""Compares two revisions, and judges the newer one by the rules of its params.yaml."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fashion_mnist.dataset import KEYS
from review import changes, rules, spread, statistics
from review.evidence import Evidence, recalls, same_test_set
from review.rules import Rules
from review.statistics import Interval

Verdict = Literal["better", "worse", "no evidence of a difference"]

ACCURACY = "evaluate.accuracy"
COSTS = {"parameters": "train.parameters.total", "flops": "train.flops_per_image"}


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Side(_Result):
    """A revision that was compared."""

    revision: str
    commit: str | None
    """Null for the working tree."""


class McNemar(_Result):
    """McNemar's exact test of equal accuracy."""

    fixed: int
    """Images that only the new model gets right."""
    broken: int
    """Images that only the old model gets right."""
    p: float


class Metric(_Result):
    """A number in metrics/*.json; null on the side that has none."""

    before: int | float | None
    after: int | float | None
    difference: int | float | None
    low: float | None
    """Of the paired interval of the difference, for scores that have one."""
    high: float | None


class Class(_Result):
    """Recall of a class with McNemar's exact test, p corrected for all classes by Holm."""

    before: float
    after: float
    difference: float
    fixed: int
    broken: int
    p: float


class Refusal(_Result):
    """A rule that the newer revision breaks."""

    rule: str
    """Its path in params.yaml."""
    subject: str
    """Metric or class that breaks it."""
    value: float
    limit: float


class Parameter(_Result):
    """A value in params.yaml; null on the side that has none."""

    before: Any
    after: Any


class Stage(_Result):
    """Dependencies of a stage that differ."""

    code: list[str]
    data: list[str]
    libraries: bool


class Recipes(_Result):
    """Mean accuracy of both recipes over seeds, by Welch's t-test."""

    before: float
    after: float
    difference: float
    low: float
    high: float
    p: float
    verdict: Verdict


class Comparison(_Result):
    """What `python -m review compare --json` prints."""

    base: Side
    head: Side
    verdict: Verdict
    """Of the accuracy of these two models."""
    accepted: bool
    """No rule is broken."""
    refusals: list[Refusal]
    images: int
    """In the test set."""
    alpha: float
    """Significance level; intervals have the level 1 - alpha."""
    mcnemar: McNemar
    smallest_difference: float
    """Least change in accuracy that would have been significant."""
    recipes: Recipes | None
    """Null unless both revisions have a metrics/spread.json of their recipe."""
    metrics: dict[str, Metric]
    """By file and keys, such as `evaluate.macro_f1`."""
    classes: dict[str, Class]
    parameters: dict[str, Parameter]
    """Those that differ, by path."""
    stages: dict[str, Stage]
    """Those whose dependencies differ."""
    notes: list[str]
    """What the reader should know besides."""


def compare(base: Evidence, head: Evidence) -> Comparison:
    """Compare two revisions by the rules of the newer one.

    Raises:
        InputError: The test sets are not the same, or the rules are missing or wrong.
    """
    ruled = rules.read(head.parameters, head.revision.name)
    same_test_set(base, head)
    before, after = base.answers, head.answers
    level, images = 1 - ruled.alpha, len(before.labels)
    test = statistics.mcnemar(before.right, after.right)
    intervals = {
        ACCURACY: statistics.accuracy_interval(test.fixed, test.broken, images, level),
        **_bootstrap(base, head, level),
    }
    metrics = _metrics(base.metrics, head.metrics, intervals)
    tests = statistics.by_class(before, after, len(KEYS))
    classes = {
        key: Class(before=old, after=new, difference=new - old, **found._asdict())
        for key, old, new, found in zip(KEYS, recalls(before), recalls(after), tests, strict=True)
    }
    notes: list[str] = []
    recipes = _recipes(base, head, ruled.alpha, notes)
    refusals = judge(ruled, metrics, classes, recipes)
    return Comparison(
        base=Side(revision=base.revision.name, commit=base.revision.commit),
        head=Side(revision=head.revision.name, commit=head.revision.commit),
        verdict=_verdict(test.p, test.fixed - test.broken, ruled.alpha),
        accepted=not refusals,
        refusals=refusals,
        images=images,
        alpha=ruled.alpha,
        mcnemar=McNemar(**test._asdict()),
        smallest_difference=statistics.smallest_difference(
            test.fixed + test.broken, images, ruled.alpha
        ),
        recipes=recipes,
        metrics=metrics,
        classes=classes,
        parameters={
            item.name: Parameter(before=item.before, after=item.after)
            for item in changes.parameters(base.parameters, head.parameters)
        },
        stages={
            item.name: Stage(code=item.code, data=item.data, libraries=item.libraries)
            for item in changes.stages(base.lock, head.lock)
        },
        notes=notes,
    )


def judge(
    ruled: Rules, metrics: dict[str, Metric], classes: dict[str, Class], recipes: Recipes | None
) -> list[Refusal]:
    """Return the rules that are broken.

    The margin is that of the recipes where they are known: of two recipes that are alike one model
    can be better than the other by more than the margin.
    """
    accuracy = metrics[ACCURACY]
    checks = [("floors.accuracy", "accuracy", accuracy.after, ruled.floors.accuracy)]
    checks += [
        ("floors.class_recall", f"recall of {key}", recall.after, ruled.floors.class_recall)
        for key, recall in classes.items()
    ]
    if recipes:
        checks += [("margin", "low end of the change of recipes", recipes.low, -ruled.margin)]
    else:
        checks += [("margin", "low end of the change in accuracy", accuracy.low, -ruled.margin)]
    broken = [check for check in checks if check[2] is not None and check[2] < check[3]]
    for rule, limit in ruled.growth.model_dump().items():
        name = COSTS[rule]
        cost = metrics.get(name)
        if cost and cost.before and cost.after and cost.after / cost.before > limit:
            broken.append((f"growth.{rule}", f"growth of {name}", cost.after / cost.before, limit))
    return [
        Refusal(rule=f"review.{rule}", subject=subject, value=value, limit=limit)
        for rule, subject, value, limit in broken
        if value is not None
    ]


def _bootstrap(base: Evidence, head: Evidence, level: float) -> dict[str, Interval]:
    bins = base.bins, head.bins
    found = statistics.bootstrap(base.answers, head.answers, bins, len(KEYS), level)
    return {f"evaluate.{name}": interval for name, interval in found.items()}


def _metrics(
    before: dict[str, float], after: dict[str, float], intervals: dict[str, Interval]
) -> dict[str, Metric]:
    found = {}
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        # Evidence without a score that has an interval is refused, so both sides have it.
        low, high = intervals.get(name, (None, None))
        difference = new - old if old is not None and new is not None else None
        found[name] = Metric(before=old, after=new, difference=difference, low=low, high=high)
    return found


def _recipes(base: Evidence, head: Evidence, alpha: float, notes: list[str]) -> Recipes | None:
    spreads = []
    for side in (base, head):
        found = spread.find(side)
        if found is None:
            continue
        if found.recipe != spread.recipe(side.parameters, side.lock):
            notes.append(
                f"metrics/spread.json of {side.revision.name} is of another recipe and not used: "
                "run `python -m review spread`"
            )
            continue
        spreads.append(found.accuracy)
    if len(spreads) < 2:
        return None
    old, new = spreads
    test = spread.welch(old, new, 1 - alpha)
    return Recipes(
        before=old.mean,
        after=new.mean,
        verdict=_verdict(test["p"], test["difference"], alpha),
        **test,
    )


def _verdict(p: float, difference: float, alpha: float) -> Verdict:
    if p >= alpha:
        return "no evidence of a difference"
    return "better" if difference > 0 else "worse"
