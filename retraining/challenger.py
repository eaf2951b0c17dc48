"""Trains the challenger in a clone, with deliveries or by a recipe, and compares it with main."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import recipes
from repository import revisions
from repository.commands import SIGNATURE, dvc, run
from repository.deliveries import FOLDER
from repository.dvc_lock import PIPELINE
from repository.revisions import Revision
from retraining import listing
from retraining.candidate import Recipe
from retraining.inbox import Delivery
from review import comparison, evidence, spread
from review.comparison import Comparison
from review.evidence import Evidence


def train_with_deliveries(
    folder: Path, champion: Evidence, deliveries: list[Delivery]
) -> Comparison:
    """Add deliveries to a checkout of main, run its pipeline, and compare.

    Raises:
        InputError: The pipeline failed; its output was printed.
    """
    today = datetime.now(UTC).date()
    listing.add(folder / "params.yaml", [delivery.accepted(today) for delivery in deliveries])
    # `download` takes these, so the inbox may change meanwhile, or be relative to the repository.
    present = folder / FOLDER
    present.mkdir(parents=True, exist_ok=True)
    for part in [part for delivery in deliveries for part in delivery.parts]:
        # What is there may be a link to DVC's cache.
        (present / part.entry["sha256"]).unlink(missing_ok=True)
        shutil.copyfile(part.copy, present / part.entry["sha256"])
    dvc("repro", PIPELINE, cwd=folder)
    return comparison.compare(champion, read(folder))


def train_with_recipe(
    folder: Path, champion: Evidence, recipe: Recipe, finished: Path
) -> Comparison:
    """Train both main and a recipe in a checkout of main, each with several seeds, and compare.

    Args:
        folder: The checkout. Main's spread is committed in it if main lacks it.
        champion: Evidence of main.
        recipe: What to train.
        finished: Folder for the scores of finished seeds, kept between runs.

    Raises:
        InputError: The pipeline failed; its output was printed.
    """
    if not spread.own(champion):
        spread.measure(folder, recipe.seeds, None, finished)
        commit(folder, f"Spread over {recipe.seeds} seeds")
    base = Revision(folder, champion.revision.name, revisions.resolve(folder, "HEAD").commit)
    recipes.rewrite(folder / "params.yaml", recipes.read(recipe.stem))
    dvc("repro", PIPELINE, cwd=folder)
    # A spread is measured from a commit; this one is undone, its files stay.
    commit(folder, "challenger")
    spread.measure(folder, recipe.seeds, None, finished)
    run("git", "reset", "--quiet", "--soft", "HEAD~1", cwd=folder)
    return comparison.compare(evidence.gather(base), read(folder))


def objections(folder: Path, found: Comparison) -> list[str]:
    """Return why the challenger in a clone is not proposed: rules, or a model that does not reload.

    Raises:
        InputError: The evaluation failed; its output was printed.
    """
    broken = [
        f"{refusal.rule}: {refusal.subject} is {refusal.value:.4g}, "
        f"the limit is {refusal.limit:.4g}"
        for refusal in found.refusals
    ]
    if broken:
        return broken
    before = (folder / evidence.PREDICTIONS).read_bytes()
    dvc("repro", "--force", "--single-item", "--no-run-cache", "evaluate", cwd=folder)
    if (folder / evidence.PREDICTIONS).read_bytes() != before:
        return ["the saved model gives different answers when it is loaded again"]
    return []


def read(folder: Path) -> Evidence:
    """Return what the clone's working tree says about its model."""
    return evidence.gather(revisions.working_tree(folder, "challenger"))


def commit(folder: Path, message: str) -> None:
    """Commit all changes in a clone."""
    run("git", "add", "--all", cwd=folder)
    run("git", *SIGNATURE, "commit", "--quiet", "--message", message, cwd=folder)
