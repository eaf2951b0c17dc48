"""What a run may propose: a delivery or a recipe, with all that the run found out about it."""

from collections.abc import Iterator
from typing import NamedTuple

import recipes
from fashion_mnist.files import sha256
from retraining import inspection
from retraining.champion import Opinion
from retraining.inbox import Delivery
from retraining.inspection import Inspection


class Recipe(NamedTuple):
    """A file in recipes/, to be tried over several seeds instead of deliveries."""

    stem: str
    seeds: int

    @property
    def name(self) -> str:
        """Return the name in the ledger."""
        return f"recipe {self.stem}"

    @property
    def hashes(self) -> list[str]:
        """Return the SHA-256 of the file, as a list like that of a delivery."""
        return [sha256(recipes.FOLDER / f"{self.stem}.yaml")]


class Candidate(NamedTuple):
    """A delivery or a recipe that no run has decided on yet.

    inspection, opinion:
        None for a recipe, and for a delivery that was refused before.
    trained:
        A challenger was trained with it.
    reasons:
        Why it is refused; empty if it is not.
    """

    subject: Delivery | Recipe
    inspection: Inspection | None = None
    opinion: Opinion | None = None
    trained: bool = False
    reasons: tuple[str, ...] = ()


def accepted(candidates: list[Candidate]) -> list[Candidate]:
    """Return the candidates that are not refused."""
    return [candidate for candidate in candidates if not candidate.reasons]


def describe(candidate: Candidate) -> Iterator[str]:
    """Yield what is known about a candidate, one line each."""
    for reason in candidate.reasons:
        yield f"refused: {reason}"
    found, opinion = candidate.inspection, candidate.opinion
    if found:
        yield f"{found.images:,} images"
        yield from (f"note: {oddity}" for oddity in found.oddities)
        index = found.drift.population_stability_index
        shifted = ", a shift" if index > inspection.SHIFTED else ""
        yield (
            f"classes: population stability index {index:.3f}{shifted}, "
            f"chi-squared p = {found.drift.chi_squared_p:.3g}"
        )
        yield (
            "pixels compared with the training set, Kolmogorov-Smirnov: "
            f"means p = {found.drift.mean_p:.3g}, contrasts p = {found.drift.contrast_p:.3g}"
        )
    if opinion:
        yield (
            f"the current model agrees with {opinion.agreement:.1%} of the labels, "
            f"mean confidence {opinion.confidence:.3f}"
        )
