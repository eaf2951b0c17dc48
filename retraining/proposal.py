"""Proposes a challenger: a commit on a branch of its own, a push, a pull request."""

import shlex
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from repository import revisions
from repository.commands import dvc, dvc_output, git, output, run
from repository.dvc_lock import PIPELINE
from retraining import challenger
from retraining.candidate import Candidate, describe
from review import card, comparison_text
from review.comparison import Comparison


def commit(root: Path, folder: Path, accepted: list[Candidate], found: Comparison) -> str:
    """Commit the challenger in its clone and fetch the commit as a new branch.

    Args:
        root: Top folder of the user's repository, which gets the branch.
        folder: The clone.
        accepted: What the challenger was trained with.
        found: Its comparison with main.

    Returns:
        The name of the branch.
    """
    hashes = sorted(digest for candidate in accepted for digest in candidate.subject.hashes)
    branch = f"retrain/{datetime.now(UTC).date().isoformat()}-{hashes[0][:8]}"
    images = sum(candidate.inspection.images for candidate in accepted if candidate.inspection)
    what = f"{images:,} new images" if images else accepted[0].subject.name
    subject = f"Retrain with {what}: {comparison_text.headline(found)}"
    text = card.render(challenger.read(folder))
    (folder / card.CARD).write_text(text, encoding="utf-8")
    challenger.commit(folder, "\n\n".join([subject, *comparison_text.sentences(found)]))
    clone = git("rev-parse", "--absolute-git-dir", cwd=folder).rstrip("\n")
    run("git", "fetch", "--quiet", clone, f"+HEAD:refs/heads/{branch}", cwd=root)
    return branch


def body(candidates: list[Candidate], found: Comparison) -> str:
    """Return the text of the pull request: the comparison, then each candidate, in Markdown."""
    parts = [comparison_text.markdown(found)]
    for candidate in candidates:
        lines = "".join(f"- {line}\n" for line in describe(candidate))
        parts.append(f"### {candidate.subject.name}\n\n{lines}")
    return "\n".join(parts)


def pull_request(main: str, branch: str, found: Comparison, text: Path) -> list[str]:
    """Return the command that opens the pull request to `main` with the body in the file `text`."""
    title = f"Retrained: {comparison_text.headline(found)}"
    command = ["gh", "pr", "create", "--base", main, "--head", branch, "--title", title]
    return [*command, "--body-file", str(text)]


def by_hand(root: Path, folder: Path, branch: str, opening: list[str]) -> tuple[str, ...]:
    """Return the commands that publish a branch which stays here."""
    data = [f"dvc push {PIPELINE}"] if _has_store(folder) else []
    return (*data, f"git push {revisions.remote(root) or 'origin'} {branch}", shlex.join(opening))


def publish(
    root: Path, folder: Path, remote: str, branch: str, opening: list[str]
) -> tuple[str, ...]:
    """Push data and branch, and open a pull request unless there is one.

    Args:
        root: Top folder of the user's repository.
        folder: The clone that has the data.
        remote: Name of the git remote.
        branch: What to push.
        opening: The command that opens the pull request.

    Returns:
        The commands that the user must still run: `opening`, if `gh` is not installed.

    Raises:
        InputError: A command failed.
    """
    # Data first: a branch without its data would be worse than no branch.
    if _has_store(folder):
        dvc("push", PIPELINE, cwd=folder)
    else:
        print("retraining: no DVC remote, so the branch comes without its data", file=sys.stderr)
    run("git", "push", "--quiet", remote, f"+{branch}:refs/heads/{branch}", cwd=root)
    if not shutil.which("gh"):
        return (shlex.join(opening),)
    opened = output("gh", "pr", "list", "--head", branch, "--json", "number", cwd=root)
    if opened.strip() == "[]":
        run(*opening, cwd=root)
    return ()


def _has_store(folder: Path) -> bool:
    return bool(dvc_output("remote", "list", cwd=folder).strip())
