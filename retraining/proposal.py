"""Proposes a challenger: a commit on a branch of its own, a push, a pull request."""

import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from repository import revisions
from repository.commands import DVC, dvc, git, output, run, succeeds
from repository.dvc_lock import PIPELINE
from retraining import challenger
from retraining.candidate import Candidate, describe
from retraining.inbox import Delivery
from review import card, comparison_text
from review.comparison import Comparison


def commit(root: Path, folder: Path, chosen: list[Candidate], found: Comparison) -> str:
    """Commit the challenger in its clone and fetch the commit as a new branch.

    Args:
        root: Top folder of the user's repository, which gets the branch.
        folder: The clone.
        chosen: What the challenger was trained with.
        found: Its comparison with main.

    Returns:
        The name of the branch.
    """
    hashes = sorted(digest for candidate in chosen for digest in candidate.subject.hashes)
    branch = f"retrain/{datetime.now(UTC).date().isoformat()}-{hashes[0][:8]}"
    images = sum(candidate.inspection.images for candidate in chosen if candidate.inspection)
    what = f"{images:,} new images" if images else chosen[0].subject.name
    subject = f"Retrain with {what}: {comparison_text.headline(found)}"
    text = card.render(challenger.read(folder))
    (folder / card.CARD).write_text(text, encoding="utf-8")
    challenger.commit(folder, "\n\n".join([subject, *comparison_text.sentences(found)]))
    clone = git("rev-parse", "--absolute-git-dir", cwd=folder).rstrip("\n")
    run("git", "fetch", "--quiet", clone, f"+HEAD:refs/heads/{branch}", cwd=root)
    return branch


def body(candidates: list[Candidate], found: Comparison, warning: str | None) -> str:
    """Return the text of the pull request: the comparison, then each candidate, in Markdown.

    Args:
        candidates: Everything new.
        found: The comparison with main.
        warning: What `unkept` returns.
    """
    comparison = comparison_text.markdown(found)
    listed: Any = found.parameters.get("download.deliveries")
    for entry in [file for item in (listed and listed.after) or [] for file in item["files"]]:
        # A path of this machine says nothing to those who read it elsewhere.
        if is_local(url := entry["url"]):
            comparison = comparison.replace(url, Path(url).name)
    parts = [comparison, *([f"**{warning}**\n"] if warning else [])]
    for candidate in candidates:
        lines = "".join(f"- {line}\n" for line in describe(candidate))
        parts.append(f"### {candidate.subject.name}\n\n{lines}")
    return "\n".join(parts)


def unkept(folder: Path, chosen: list[Candidate]) -> str | None:
    """Return a warning if another clone cannot get what the challenger was trained with.

    Args:
        folder: The challenger's clone.
        chosen: What it was trained with.
    """
    names = [
        candidate.subject.name
        for candidate in chosen
        if isinstance(candidate.subject, Delivery)
        and any(is_local(part.entry["url"]) for part in candidate.subject.parts)
    ]
    if not names or _has_store(folder):
        return None
    return (
        f"There is no default DVC remote: only the machine of this run has {', '.join(names)}, in "
        "its inbox and in DVC's cache, and no other clone can run the pipeline. docs/remote.md "
        "shows how to keep the data."
    )


def is_local(url: str) -> bool:
    """Return whether a URL is a path in the file system of this machine."""
    return "://" not in url or url.startswith(("file:", "local:"))


def pull_request(main: str, branch: str, found: Comparison, text: Path) -> list[str]:
    """Return the command that opens the pull request to `main` with the body in the file `text`."""
    title = f"Retrained: {comparison_text.headline(found)}"
    command = ["gh", "pr", "create", "--base", main, "--head", branch, "--title", title]
    return [*command, "--body-file", str(text)]


def by_hand(root: Path, folder: Path, branch: str, opening: list[str]) -> tuple[str, ...]:
    """Return the commands that publish a branch which stays here."""
    # The branch is not checked out.
    data = ["dvc push --all-branches"] if _has_store(folder) else []
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
    run("git", "push", "--quiet", remote, f"+{branch}:refs/heads/{branch}", cwd=root)
    if not shutil.which("gh"):
        return (shlex.join(opening),)
    opened = output("gh", "pr", "list", "--head", branch, "--json", "number", cwd=root)
    if opened.strip() == "[]":
        run(*opening, cwd=root)
    return ()


def _has_store(folder: Path) -> bool:
    """Return whether `dvc push` has a default remote to push to."""
    return succeeds(*DVC, "remote", "default", cwd=folder)
