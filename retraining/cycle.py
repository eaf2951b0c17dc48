"""Trains on batches that wait in the inbox, and proposes the result if it is no worse.

All of it happens in a clone, on a branch of its own: neither the user's checkout nor main is
touched. What becomes of a batch is written into the ledger last, so that a run that is killed is
simply begun again.
"""

import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zc.lockfile
from pydantic import BaseModel, ConfigDict

import recipes
from fashion_mnist import determinism
from fashion_mnist.data import prepared
from fashion_mnist.data.idx import Uint8
from fashion_mnist.errors import InputError
from fashion_mnist.files import sha256
from repository import clones, dvc_lock, revisions
from repository.commands import dvc, output, run
from repository.revisions import Revision
from retraining import inbox, inspection, ledger
from retraining.inbox import Batch
from retraining.inspection import Inspection
from retraining.ledger import Entry
from review import card, comparison, comparison_text, evidence, rules, spread
from review.comparison import Comparison
from stages import evaluate, preprocess

PLACE = Path(".dvc/tmp/retrain")
REMOTE = "origin"
ROUNDS = 3  # of training, as often as main moves meanwhile


class Opinion(BaseModel):
    """What the champion says to a batch: share of labels that it agrees with, mean confidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agreement: float
    confidence: float


class Judged(NamedTuple):
    """A batch, what was found in it, and why it is refused, if it is."""

    batch: Batch
    inspection: Inspection | None
    opinion: Opinion | None
    reasons: list[str]


class Outcome(NamedTuple):
    """What came of a run.

    branch:
        That was proposed.
    commands:
        Left to the user.
    """

    judged: list[Judged]
    comparison: Comparison | None
    branch: str | None
    commands: list[str]


class Change(NamedTuple):
    """A named recipe to try instead of batches, over so many seeds."""

    recipe: str
    seeds: int


def retrain(
    root: Path, place: str | None, change: Change | None, push: bool, dry_run: bool
) -> Outcome:
    """Try the batches that are neither accepted, nor proposed, nor refused before; or a recipe.

    Args:
        root: Top folder of the repository.
        place: The inbox; None for the one in params.yaml.
        change: Of the recipe; the inbox waits then, since one change at a time tells what helped.
        push: Push data, branch and ledger, and open a pull request; else keep them here.
        dry_run: Stop before anything is trained or written.

    Raises:
        InputError: Another retraining is at work, the inbox cannot be read, or a command failed.
    """
    remote = REMOTE if push and REMOTE in output("git", "remote", cwd=root).split() else None
    with _alone(root):
        for _ in range(ROUNDS):
            main = _main(root, remote)
            outcome = _try(root, main, place, change, remote, dry_run)
            if outcome is not None:
                return outcome
            _say("main has moved meanwhile: once more, from there")
    raise InputError(f"main has moved {ROUNDS} times while this was training; try again later")


def _try(
    root: Path,
    main: Revision,
    place: str | None,
    change: Change | None,
    remote: str | None,
    dry_run: bool,
) -> Outcome | None:
    """Do it from one commit of main; None if main is another one when it comes to proposing."""
    champion = evidence.gather(main)
    settings = rules.read(champion.parameters, main.name)
    model = dvc_lock.outputs(champion.lock, "train")[dvc_lock.MODEL]
    if change:
        waiting = [_as_batch(change)]
    else:
        shutil.rmtree(root / PLACE / "inbox", ignore_errors=True)
        (root / PLACE / "inbox").mkdir(parents=True)
        where = place or settings.inbox
        waiting = inbox.collect(_absolute(root, where), root / PLACE / "inbox")
    new = _untried(waiting, champion.parameters, ledger.read(root, remote), model)
    _say(f"{len(new)} new of {len(waiting)} that wait")
    if not new:
        return Outcome([], None, None, [])
    folder = root / PLACE / "clone"
    with clones.clone(root, main.commit or "", folder):
        _configure(root, folder)
        dvc("repro", "--pull", "dvc.yaml", cwd=folder)
        if not revisions.clean(folder):
            raise InputError(f"{main.name} does not give what is committed: see `git status`")
        if change:
            judged = [Judged(batch, None, None, []) for batch in new]
        else:
            judged = _judge(folder, new, settings.agreement, champion.parameters)
        good = [one for one in judged if not one.reasons]
        if dry_run:
            return Outcome(judged, None, None, [])
        found, branch, commands = None, None, []
        if good and change:
            kept = root / ".dvc/tmp/spread"
            found = _challenge_by_recipe(folder, champion, change, kept)
        elif good:
            found = _challenge(folder, champion, [one.batch for one in good])
        if found:
            why = _objections(folder, found)
            if why:
                judged = [one if one.reasons else one._replace(reasons=why) for one in judged]
            elif _main(root, remote).commit != main.commit:
                return None
            else:
                branch = _commit(root, folder, good, found)
                commands = _propose(root, folder, branch, remote, _body(judged, found), found)
    outcome = Outcome(judged, found, branch, commands)
    ledger.append(root, remote, _entries(outcome, model))
    return outcome


def _as_batch(change: Change) -> Batch:
    """Return what stands for a recipe in the ledger: its name and hash."""
    digest = sha256(recipes.FOLDER / f"{change.recipe}.yaml")
    return Batch(f"recipe {change.recipe}", [{"sha256": digest}], None, None, None)


def _judge(
    folder: Path, new: list[Batch], floor: float, parameters: dict[str, Any]
) -> list[Judged]:
    """Look at each batch, then ask the champion, where there is nothing wrong yet."""
    train, test = (_load(folder / f"data/split/{name}.npz") for name in ("train", "test"))
    judged = []
    for batch in new:
        if batch.images is None or batch.labels is None:
            judged.append(Judged(batch, None, None, [batch.fault or "cannot be read"]))
            continue
        found = inspection.inspect(batch.images, batch.labels, train, test[0])
        opinion = None
        if not found.problems:
            mirrored = bool(parameters["evaluate"]["mirror_average"])
            opinion = ask(folder, batch.images, batch.labels, mirrored)
        reasons = list(found.problems)
        if opinion and opinion.agreement < floor:
            reasons.append(
                f"the champion agrees with {opinion.agreement:.1%} of the labels, "
                f"expected at least {floor:.1%}"
            )
        judged.append(Judged(batch, found, opinion, reasons))
    return judged


def ask(folder: Path, images: Uint8, labels: Uint8, mirrored: bool) -> Opinion:
    """Return what the model in a checkout says to images (n, 28, 28) with labels (n,).

    Args:
        folder: A checkout whose pipeline has run.
        images: Of the batch.
        labels: Of the batch.
        mirrored: Average over image and mirror image, as `evaluate` does.
    """
    # TensorFlow takes seconds to load.
    if "tensorflow" not in sys.modules:
        determinism.start(0)
    from fashion_mnist import model_file

    scale = json.loads((folder / "metrics/preprocess.json").read_text())["scale"]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        np.savez(scratch / "batch.npz", images=images, labels=labels)
        preprocess.prepare(
            scratch / "batch.npz", scratch / "prepared", scale["offset"], scale["divisor"]
        )
        # Keras tells its progress on standard output, where the answer goes.
        with redirect_stdout(sys.stderr):
            answers = evaluate.predict(
                model_file.load(folder / dvc_lock.MODEL),
                prepared.load(scratch / "prepared"),
                256,
                mirrored,
            )
    return Opinion(
        agreement=float((answers.argmax(axis=1) == labels).mean()),
        confidence=float(answers.max(axis=1).mean()),
    )


def _challenge(folder: Path, champion: evidence.Evidence, batches: list[Batch]) -> Comparison:
    """Train with batches in a checkout of main and compare with what main has."""
    day = datetime.now(UTC).date()
    listed = champion.parameters["download"].get("batches") or []
    listed = [*listed, *(batch.accepted(day) for batch in batches)]
    recipes.rewrite(folder / "params.yaml", {"download": {"batches": listed}})
    dvc("repro", "dvc.yaml", cwd=folder)
    return comparison.compare(champion, evidence.gather(Revision(folder, "challenger", None)))


def _challenge_by_recipe(
    folder: Path, champion: evidence.Evidence, change: Change, kept: Path
) -> Comparison:
    """Train another recipe in a checkout of main, both with several seeds, and compare them."""
    known = spread.find(champion)
    if not known or known.recipe != spread.recipe(champion.parameters, champion.lock):
        spread.measure(folder, change.seeds, None, kept)
        _record(folder, f"Spread over {change.seeds} seeds")
    name = champion.revision.name
    champion = evidence.gather(Revision(folder, name, revisions.resolve(folder, "HEAD").commit))
    recipes.rewrite(folder / "params.yaml", recipes.read(change.recipe))
    dvc("repro", "dvc.yaml", cwd=folder)
    # A spread is that of a commit.
    _record(folder, "challenger")
    spread.measure(folder, change.seeds, None, kept)
    run("git", "reset", "--quiet", "--soft", "HEAD~1", cwd=folder)
    return comparison.compare(champion, evidence.gather(Revision(folder, "challenger", None)))


def _record(folder: Path, message: str) -> None:
    run("git", "add", "--all", cwd=folder)
    run("git", *ledger.SIGNATURE, "commit", "--quiet", "--message", message, cwd=folder)


def _objections(folder: Path, found: Comparison) -> list[str]:
    """Return why a challenger is not proposed."""
    if not found.accepted:
        return [text for text in comparison_text.sentences(found) if text.startswith("Refused")]
    before = (folder / evidence.PREDICTIONS).read_bytes()
    dvc("repro", "--force", "--single-item", "--no-run-cache", "evaluate", cwd=folder)
    if (folder / evidence.PREDICTIONS).read_bytes() != before:
        return ["the saved model gives other answers when it is loaded again"]
    return []


def _commit(root: Path, folder: Path, good: list[Judged], found: Comparison) -> str:
    """Commit in the clone, and fetch the commit as a new branch of the user's repository."""
    hashes = sorted(digest for one in good for digest in one.batch.hashes)
    name = f"retrain/{datetime.now(UTC).date().isoformat()}-{hashes[0][:8]}"
    images = sum(one.inspection.images for one in good if one.inspection)
    what = f"{images:,} new images" if images else good[0].batch.name
    subject = f"Retrain with {what}: {comparison_text.headline(found)}"
    message = "\n\n".join([subject, *comparison_text.sentences(found)])
    side = evidence.gather(Revision(folder, "challenger", None))
    (folder / card.CARD).write_text(card.render(side), encoding="utf-8")
    _record(folder, message)
    run("git", "fetch", "--quiet", str(folder), f"+HEAD:refs/heads/{name}", cwd=root)
    return name


def _propose(
    root: Path, folder: Path, branch: str, remote: str | None, body: str, found: Comparison
) -> list[str]:
    """Push data, then the branch, and open a pull request; return commands that are left."""
    title = f"Retrained: {comparison_text.headline(found)}"
    text = root / PLACE / "proposal.md"
    text.write_text(body, encoding="utf-8")
    gh = ["gh", "pr", "create", "--base", "main", "--head", branch, "--title", title]
    gh += ["--body-file", str(text)]
    stores = output(sys.executable, "-m", "dvc", "remote", "list", cwd=folder).strip()
    if remote is None:
        first = ["dvc push dvc.yaml"] * bool(stores)
        return [*first, f"git push {REMOTE} {branch}", shlex.join(gh)]
    # Data first: a branch whose data are lost on the way would be worse than none.
    if stores:
        dvc("push", "dvc.yaml", cwd=folder)
    else:
        _say(
            "there is no DVC remote: whoever takes the branch has to run the pipeline for its data"
        )
    run("git", "push", "--quiet", remote, f"+{branch}:refs/heads/{branch}", cwd=root)
    if not shutil.which("gh"):
        return [shlex.join(gh)]
    opened = output("gh", "pr", "list", "--head", branch, "--json", "number", cwd=root)
    if opened.strip() == "[]":
        run(*gh, cwd=root)
    return []


def _body(judged: list[Judged], found: Comparison) -> str:
    parts = [comparison_text.markdown(found)]
    for one in judged:
        parts.append(f"### {one.batch.name}\n\n" + "".join(f"- {x}\n" for x in said(one)))
    return "\n".join(parts)


def said(one: Judged) -> Iterator[str]:
    """Yield what there is to say about a batch, a line each."""
    for reason in one.reasons:
        yield f"refused: {reason}"
    if one.inspection:
        drift = one.inspection.drift
        yield f"{one.inspection.images:,} images"
        yield from (f"noticed: {oddity}" for oddity in one.inspection.oddities)
        index = drift.population_stability_index
        shifted = ", a shift" if index > inspection.SHIFTED else ""
        yield (
            f"classes: population stability index {index:.3f}{shifted}, "
            f"chi-squared p = {drift.chi_squared_p:.3g}"
        )
        yield (
            "pixels against the training set, Kolmogorov-Smirnov: means p = "
            f"{drift.mean_p:.3g}, contrasts p = {drift.contrast_p:.3g}"
        )
    if one.opinion:
        yield (
            f"the champion agrees with {one.opinion.agreement:.1%} of the labels, "
            f"mean confidence {one.opinion.confidence:.3f}"
        )


def _entries(outcome: Outcome, champion: str) -> list[Entry]:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    found = outcome.comparison
    entries = []
    for one in outcome.judged:
        figures: dict[str, float] = one.opinion.model_dump() if one.opinion else {}
        why = one.reasons
        # Of one that was refused at sight nothing was trained.
        if found and (not one.inspection or one.opinion):
            accuracy = found.metrics[comparison.ACCURACY]
            figures["accuracy_before"] = float(accuracy.before or 0)
            figures["accuracy_after"] = float(accuracy.after or 0)
            figures["p"] = found.mcnemar.p
            why = why or comparison_text.sentences(found)[:1]
        entries.append(
            Entry(
                when=when,
                batch=one.batch.name,
                files=one.batch.hashes,
                champion=champion,
                decision="refused" if one.reasons else "proposed",
                why=why,
                figures=figures,
                branch=None if one.reasons else outcome.branch,
            )
        )
    return entries


def _untried(
    waiting: list[Batch], parameters: dict[str, Any], entries: list[Entry], champion: str
) -> list[Batch]:
    """Return the batches that are neither in main nor were tried against this champion."""
    listed = parameters["download"].get("batches") or []
    known = [sorted(file["sha256"] for file in batch["files"]) for batch in listed]
    known += [entry.files for entry in entries if entry.champion == champion]
    return [batch for batch in waiting if batch.hashes not in known]


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    (root / PLACE).mkdir(parents=True, exist_ok=True)
    try:
        lock = zc.lockfile.LockFile(str(root / PLACE / "lock"))
    except zc.lockfile.LockError as error:
        raise InputError("another retraining is at work here") from error
    try:
        yield
    finally:
        lock.close()


def _main(root: Path, remote: str | None) -> Revision:
    if remote:
        run("git", "fetch", "--quiet", remote, cwd=root)
        return revisions.resolve(root, f"{remote}/main")
    return revisions.resolve(root, "main")


def _configure(root: Path, folder: Path) -> None:
    """Let a clone use the remotes and the cache of the repository."""
    local = root / ".dvc/config.local"
    if local.exists():
        shutil.copy(local, folder / ".dvc/config.local")
    clones.restore(root, folder)


def _absolute(root: Path, place: str) -> str:
    return place if "://" in place else str((root / place).resolve())


def _load(path: Path) -> tuple[Uint8, Uint8]:
    with np.load(path, allow_pickle=False) as archive:
        return archive["images"], archive["labels"]


def _say(text: str) -> None:
    print(f"retrain: {text}", file=sys.stderr, flush=True)
