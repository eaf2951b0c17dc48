"""One run: gather what is new, look at it, train with it, judge, propose, record.

All of it happens in a clone: neither the user's checkout nor main is touched. Decisions are
recorded last, so a killed run has decided nothing and the next one starts over.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import zc.lockfile

from fashion_mnist.dataset import Dataset
from fashion_mnist.errors import InputError
from repository import clones, deliveries, dvc_lock, revisions
from repository.commands import DVC, dvc, run, succeeds
from repository.revisions import Revision
from retraining import challenger, champion, inbox, inspection, ledger, proposal, settings
from retraining.candidate import Candidate, Recipe, accepted
from retraining.inbox import Delivery
from retraining.inspection import Reference
from retraining.ledger import Entry
from retraining.settings import Settings
from review import comparison, comparison_text, evidence, rules, spread
from review.comparison import Comparison
from review.evidence import Evidence

SCRATCH = Path(".dvc/tmp/retrain")
ATTEMPTS = 3  # main may move during a training


class Request(NamedTuple):
    """What a run is asked to do.

    root:
        Top folder of the repository.
    remote:
        Git remote for branch, ledger and pull request; None keeps them here.
    inbox:
        Folder or URL of the deliveries; None for `retraining.inbox`.
    recipe:
        What to try instead. Deliveries wait, since one change at a time shows what helped.
    dry_run:
        Stop before anything is trained or recorded.
    """

    root: Path
    remote: str | None = None
    inbox: str | None = None
    recipe: Recipe | None = None
    dry_run: bool = False


class Start(NamedTuple):
    """The commit of main that a run starts from.

    champion:
        Its parameters, metrics and answers.
    settings:
        Its section `retraining`.
    model:
        MD5 of its model.
    """

    revision: Revision
    champion: Evidence
    settings: Settings
    model: str


class Outcome(NamedTuple):
    """What a run decided.

    candidates:
        Everything new.
    comparison:
        Challenger against champion; None if nothing was trained.
    branch:
        The proposal; None if there is none.
    commands:
        Commands that the user must still run.
    """

    candidates: list[Candidate]
    comparison: Comparison | None = None
    branch: str | None = None
    commands: tuple[str, ...] = ()


class MainMovedError(Exception):
    """Main got another commit during the run."""


def retrain(request: Request) -> Outcome:
    """Try what waits, unless main has it or a run has decided on it against the same model.

    Raises:
        InputError: Another run is active, the inbox cannot be read, or a command failed.
    """
    with _alone(request.root / SCRATCH):
        for _ in range(ATTEMPTS):
            try:
                return _run(request, _start(request))
            except MainMovedError:
                _say("main has moved: starting over from there")
    raise InputError(f"main moved {ATTEMPTS} times during the training; try again later")


def _run(request: Request, start: Start) -> Outcome:
    new = _gather(request, start)
    if not new:
        return Outcome([])
    place = request.root / SCRATCH / "clone"
    with clones.clone(request.root, start.revision.commit or "", place) as folder:
        _restore(request.root, folder, start)
        looked = _look(folder, start, new)
        if request.dry_run:
            return Outcome(looked)
        outcome = _try(request, start, folder, looked)
    _record(request, start, outcome)
    return outcome


def _start(request: Request) -> Start:
    revision = _tip_of_main(request)
    champion = evidence.gather(revision)
    # The comparison comes after the training; report wrong rules before.
    rules.read(champion.parameters, revision.name)
    section = settings.read(champion.parameters, revision.name)
    return Start(revision, champion, section, dvc_lock.model(revision))


def _gather(request: Request, start: Start) -> list[Candidate]:
    """Return what is neither in main nor decided on against its model."""
    entries = ledger.read(request.root, request.remote)
    known = [entry.files for entry in entries if entry.champion == start.model]
    listed = start.champion.parameters["download"].get("deliveries") or []
    known += [sorted(file["sha256"] for file in delivery["files"]) for delivery in listed]
    waiting = [request.recipe] if request.recipe else _deliveries(request, start)
    new = [Candidate(subject) for subject in waiting if subject.hashes not in known]
    _say(f"{len(waiting)} waiting, {len(new)} new")
    return new


def _deliveries(request: Request, start: Start) -> list[Delivery]:
    _dataset(start)  # needed later, but a clone takes long
    place = start.settings.inbox if request.inbox is None else request.inbox
    copies = request.root / SCRATCH / "inbox"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir(parents=True)
    found = inbox.collect(place, request.root, copies)
    _say(f"inbox {place}")
    for line in found.rest:
        _say(f"not read: {line}")
    return found.deliveries


def _dataset(start: Start) -> Dataset:
    """Return what the images of main are, as those of a delivery must be.

    Raises:
        InputError: Main is older than the file that says so, or it is damaged.
    """
    found = evidence.described(start.revision)
    if found is None:
        raise InputError(
            f"{start.revision.name} has no {evidence.DATASET}, which describes the images: "
            "run `dvc repro` there and commit the file"
        )
    return found


def _restore(root: Path, folder: Path, start: Start) -> None:
    """Give a clone the remotes and the cache of the repository, and the data of its commit.

    Raises:
        InputError: Data of a delivery in main cannot be reached, or main is not reproduced.
    """
    clones.restore(root, folder)
    if start.champion.parameters["download"].get("deliveries"):
        # Without a remote, or one that has them, there are other places to look.
        succeeds(*DVC, "pull", "--quiet", deliveries.RAW, cwd=folder)
        deliveries.fetch(root, folder, start.revision.commit or "")
    dvc("repro", "--pull", dvc_lock.PIPELINE, cwd=folder)
    if not revisions.clean(folder):
        name = start.revision.name
        raise InputError(f"{name} does not reproduce what is committed: run `dvc repro` there")


def _look(folder: Path, start: Start, new: list[Candidate]) -> list[Candidate]:
    """Inspect deliveries, and ask the champion about those without a problem.

    One at a time, since each may fill the memory.
    """
    if not any(isinstance(candidate.subject, Delivery) for candidate in new):
        return new
    data = _dataset(start)
    reference = inspection.read(folder / "data/split", data)
    return [_look_at(candidate, folder, start, data, reference) for candidate in new]


def _look_at(
    candidate: Candidate, folder: Path, start: Start, data: Dataset, reference: Reference
) -> Candidate:
    """Return a candidate with what was found; the images of a good one are known from then on."""
    delivery = candidate.subject
    if isinstance(delivery, Recipe):
        return candidate
    try:
        images, labels = delivery.read(data)
        found = inspection.inspect(images, labels, reference)
    except InputError as error:
        return Candidate(delivery, reasons=(str(error),))
    except MemoryError:
        return Candidate(delivery, reasons=("its images do not fit into the memory",))
    if found.problems:
        return Candidate(delivery, found, reasons=tuple(found.problems))
    mirror_average = bool(start.champion.parameters["evaluate"]["mirror_average"])
    opinion = champion.ask(folder, images, labels, data, mirror_average)
    objections = champion.objections(opinion, start.settings.agreement)
    if not objections:
        reference.known[delivery.name] = inspection.sorted_digests([images])
    return Candidate(delivery, found, opinion, reasons=tuple(objections))


def _try(request: Request, start: Start, folder: Path, looked: list[Candidate]) -> Outcome:
    """Train a challenger with all that is not refused yet, judge it, and propose it."""
    good = accepted(looked)
    if not good:
        return Outcome(looked)
    found = _train(request, start, folder, good)
    why = tuple(challenger.objections(folder, found))
    judged = [
        candidate if candidate.reasons else candidate._replace(trained=True, reasons=why)
        for candidate in looked
    ]
    if why:
        return Outcome(judged, found)
    if _tip_of_main(request).commit != start.revision.commit:
        raise MainMovedError
    branch, commands = _propose(request, folder, judged, found)
    return Outcome(judged, found, branch, commands)


def _train(request: Request, start: Start, folder: Path, good: list[Candidate]) -> Comparison:
    if request.recipe:
        finished = request.root / spread.KEPT
        return challenger.train_with_recipe(folder, start.champion, request.recipe, finished)
    subjects = [one.subject for one in good if isinstance(one.subject, Delivery)]
    return challenger.train_with_deliveries(folder, start.champion, subjects)


def _propose(
    request: Request, folder: Path, judged: list[Candidate], found: Comparison
) -> tuple[str, tuple[str, ...]]:
    """Return the new branch, and the commands that the user must still run."""
    branch = proposal.commit(request.root, folder, accepted(judged), found)
    warning = proposal.unkept(folder, accepted(judged))
    if warning:
        _say(f"warning: {warning}")
    text = request.root / SCRATCH / "proposal.md"
    text.write_text(proposal.body(judged, found, warning), encoding="utf-8")
    main = revisions.main(request.root)
    opening = proposal.pull_request(main, branch, found, text)
    if request.remote is None:
        return branch, proposal.by_hand(request.root, folder, branch, opening)
    return branch, proposal.publish(request.root, folder, request.remote, branch, opening)


def _record(request: Request, start: Start, outcome: Outcome) -> None:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    entries = [_entry(one, outcome, start.model, when) for one in outcome.candidates]
    ledger.append(request.root, request.remote, entries)


def _entry(candidate: Candidate, outcome: Outcome, model: str, when: str) -> Entry:
    why = list(candidate.reasons)
    figures = candidate.opinion._asdict() if candidate.opinion else {}
    if outcome.comparison and candidate.trained:
        accuracy = outcome.comparison.metrics[comparison.ACCURACY]
        figures["accuracy_before"] = float(accuracy.before or 0)
        figures["accuracy_after"] = float(accuracy.after or 0)
        figures["p"] = outcome.comparison.mcnemar.p
        why = why or comparison_text.sentences(outcome.comparison)[:1]
    return Entry(
        when=when,
        delivery=candidate.subject.name,
        files=candidate.subject.hashes,
        champion=model,
        decision="refused" if candidate.reasons else "proposed",
        why=why,
        figures=figures,
        branch=None if candidate.reasons else outcome.branch,
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = zc.lockfile.LockFile(str(folder / "lock"))
    except zc.lockfile.LockError as error:
        raise InputError("another run is active") from error
    try:
        yield
    finally:
        lock.close()


def _tip_of_main(request: Request) -> Revision:
    if request.remote is None:
        return revisions.resolve(request.root, revisions.main(request.root))
    run("git", "fetch", "--quiet", request.remote, cwd=request.root)
    return revisions.resolve(request.root, f"{request.remote}/{revisions.main(request.root)}")


def _say(text: str) -> None:
    print(f"retraining: {text}", file=sys.stderr, flush=True)
