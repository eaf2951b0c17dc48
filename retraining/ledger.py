"""Remembers what became of each batch: JSON lines on a git branch of their own.

A branch outlives the clone of a scheduled job, and no working tree is touched to write to it.
"""

import subprocess
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fashion_mnist.errors import InputError

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
        # There may be none yet.
        _git(root, "fetch", "--quiet", remote, f"+{REF}:refs/remotes/{remote}/{BRANCH}")
    found: dict[str, Entry] = {}
    for ref in (f"refs/remotes/{remote}/{BRANCH}", REF) if remote else (REF,):
        done = _git(root, "cat-file", "blob", f"{ref}:{FILE}")
        for number, line in enumerate(done.stdout.splitlines() if not done.returncode else [], 1):
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
        blob = _must(root, "hash-object", "-w", "--stdin", text=content)
        tree = _must(root, "mktree", text=f"100644 blob {blob}\t{FILE}\n")
        tips = [f"refs/remotes/{remote}/{BRANCH}"] * bool(remote) + [REF]
        parents = dict.fromkeys(tip for ref in tips if (tip := _tip(root, ref)))
        options = [word for parent in parents for word in ("-p", parent)]
        message = f"{len(entries)} more" if len(entries) > 1 else entries[0].batch
        commit = _must(root, *SIGNATURE, "commit-tree", tree, *options, "-m", message)
        _must(root, "update-ref", REF, commit)
        if not remote or not _git(root, "push", "--quiet", remote, f"{REF}:{REF}").returncode:
            return
    raise InputError(f"{remote} does not take branch {BRANCH}; it is kept here")


def _tip(root: Path, ref: str) -> str | None:
    done = _git(root, "rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}")
    return done.stdout.strip() or None


def _git(root: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments], cwd=root, input=text, capture_output=True, text=True, check=False
    )


def _must(root: Path, *arguments: str, text: str = "") -> str:
    done = _git(root, *arguments, text=text)
    if done.returncode:
        raise InputError(f"git {arguments[0]}: {' '.join(done.stderr.split())}")
    return done.stdout.strip()
