"""Remembers what became of each batch: JSON lines on a git branch of their own.

A branch outlives the clone of a scheduled job, and no working tree is touched to write to it.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fashion_mnist.errors import InputError
from repository.commands import git, succeeds

BRANCH = "retrain-ledger"
FILE = "ledger.jsonl"
REF = f"refs/heads/{BRANCH}"
# Who signs its commits; the account that pushes them is another matter.
SIGNATURE = ("-c", "user.name=retrain", "-c", "user.email=retrain@localhost")
ATTEMPTS = 5


class Entry(BaseModel):
    """A batch that was tried.

    when:
        UTC, ISO 8601.
    files:
        SHA-256 of each of its files, sorted.
    champion:
        MD5 of the model that it was to improve, as dvc.lock names it.
    figures:
        What the decision rests on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: str
    batch: str
    files: list[str]
    champion: str
    decision: Literal["proposed", "refused"]
    why: list[str]
    figures: dict[str, float]
    branch: str | None = None


def read(root: Path, remote: str | None) -> list[Entry]:
    """Return the entries, oldest first; those of the remote too.

    Raises:
        InputError: A line is none of ours.
    """
    if remote:
        # The remote may have no ledger yet.
        succeeds("git", "fetch", remote, f"+{REF}:refs/remotes/{remote}/{BRANCH}", cwd=root)
    found: dict[str, Entry] = {}
    for ref in (f"refs/remotes/{remote}/{BRANCH}", REF) if remote else (REF,):
        content = git("cat-file", "blob", f"{ref}:{FILE}", cwd=root) if _tip(root, ref) else ""
        for number, line in enumerate(content.splitlines(), 1):
            try:
                found[line] = Entry.model_validate_json(line)
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                raise InputError(f"{ref}:{FILE}: line {number}: {reason}") from error
    return sorted(found.values(), key=lambda entry: entry.when)


def append(root: Path, remote: str | None, entries: list[Entry]) -> None:
    """Add entries, and push them where there is a remote.

    Raises:
        InputError: git refused.
    """
    for _ in range(ATTEMPTS):
        known = read(root, remote)
        lines = [entry.model_dump_json() for entry in [*known, *entries]]
        content = "".join(f"{line}\n" for line in dict.fromkeys(lines))
        blob = git("hash-object", "-w", "--stdin", cwd=root, text=content).strip()
        tree = git("mktree", cwd=root, text=f"100644 blob {blob}\t{FILE}\n").strip()
        tips = [f"refs/remotes/{remote}/{BRANCH}"] * bool(remote) + [REF]
        parents = dict.fromkeys(tip for ref in tips if (tip := _tip(root, ref)))
        options = [word for parent in parents for word in ("-p", parent)]
        message = f"{len(entries)} more" if len(entries) > 1 else entries[0].batch
        commit = git(*SIGNATURE, "commit-tree", tree, *options, "-m", message, cwd=root).strip()
        git("update-ref", REF, commit, cwd=root)
        if not remote or succeeds("git", "push", remote, f"{REF}:{REF}", cwd=root):
            return
    raise InputError(f"{remote} does not take branch {BRANCH}; it is kept here")


def _tip(root: Path, ref: str) -> str | None:
    try:
        return git("rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}", cwd=root).strip()
    except InputError:
        return None
