"""Reads section `search` of params.yaml: which values of section `train` to try, and how."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, PositiveInt

from fashion_mnist import params
from fashion_mnist.errors import InputError

# Optional, and slow to load.
if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# Types of the two bounds, low and high, of a number.
BOUNDS = {"float": (int, float), "log": (int, float), "int": (int,)}
KINDS = (*BOUNDS, "choice")
DIGITS = 4  # of a suggested number: enough to search, and to be read


class Params(params.Section):
    """Section `search` of params.yaml."""

    trials: PositiveInt
    at_once: PositiveInt
    rule: Literal["none", "asha"]
    seed: int = Field(ge=0, lt=2**32)
    space: dict[str, Any]


class Range(NamedTuple):
    """What a key may be: a number between two bounds, or one of several values.

    kind: float, log (a float whose logarithm is uniform), int or choice.
    values: [low, high], or the values of a choice.
    """

    kind: str
    values: list[Any]

    def distribution(self) -> "BaseDistribution":
        """Return what Optuna takes for it."""
        from optuna import distributions

        if self.kind == "choice":  # of values of any type, while Optuna takes scalars
            return distributions.CategoricalDistribution([json.dumps(one) for one in self.values])
        if self.kind == "int":
            return distributions.IntDistribution(*self.values)
        return distributions.FloatDistribution(*self.values, log=self.kind == "log")

    def value(self, suggested: Any) -> Any:
        """Return the value of the key for one that Optuna suggests."""
        if self.kind == "choice":
            return json.loads(suggested)
        if self.kind == "int":
            return suggested
        low, high = self.values
        return min(max(float(f"{suggested:.{DIGITS}g}"), low), high)

    def position(self, value: Any) -> float:
        """Return where a value lies between the bounds, or among the values: 0 to 1."""
        if self.kind == "choice":
            return self.values.index(value) / max(1, len(self.values) - 1)
        scale = math.log if self.kind == "log" else float
        low, high, here = map(scale, (*self.values, value))
        return (here - low) / (high - low)


def read(section: Mapping[str, Any], train: Mapping[str, Any]) -> dict[str, Range]:
    """Return what each key may be, by its path, joined by dots.

    Args:
        section: Key `search.space`, nested like section `train`.
        train: Section `train`.

    Raises:
        InputError: A key is not in `train`, or is not followed by one kind with its values.
    """
    found = dict(_ranges(section, train, ""))
    if not found:
        raise InputError("search.space: no keys, expected keys of train and what they may be")
    return found


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by path as nested mappings."""
    found: dict[str, Any] = {}
    for path, value in values.items():
        *parents, key = path.split(".")
        inner = found
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = value
    return found


def _ranges(section: Any, train: Any, prefix: str) -> Iterator[tuple[str, Range]]:
    for key, inside in section.items():
        where = f"search.space.{prefix}{key}"
        present = train if isinstance(train, Mapping) else {}
        if key not in present:
            known = [*present, *(KINDS if prefix else ())]
            raise InputError(f"{where}: unknown key, expected one of {', '.join(known)}")
        if not isinstance(inside, Mapping) or not inside:
            raise InputError(f"{where}: got {inside!r}, expected one of {', '.join(KINDS)}")
        kind = next(iter(inside))
        if kind in KINDS:
            yield f"{prefix}{key}", _range(inside, where)
        else:
            yield from _ranges(inside, present[key], f"{prefix}{key}.")


def _range(section: Mapping[str, Any], where: str) -> Range:
    if len(section) > 1:
        raise InputError(f"{where}: got {', '.join(section)}, expected only one of them")
    ((kind, values),) = section.items()
    if kind == "choice":
        if not isinstance(values, list) or not values or _repeats(values):
            raise InputError(f"{where}.choice: got {values!r}, expected a list of different values")
        return Range(kind, values)
    numbers = isinstance(values, list) and all(
        type(one) in BOUNDS[kind] and math.isfinite(one) for one in values
    )
    if not numbers or len(values) != 2 or not values[0] < values[1]:
        what = "integers" if kind == "int" else "numbers"
        raise InputError(f"{where}.{kind}: got {values!r}, expected {what} [low, high], low first")
    if kind == "log" and values[0] <= 0:
        raise InputError(f"{where}.log: got {values!r}, expected numbers above 0")
    return Range(kind, values)


def _repeats(values: list[Any]) -> bool:
    return any(value in values[:place] for place, value in enumerate(values))
