"""Records what each run decided: JSON lines on a git branch of their own.

A branch outlives the clone of a scheduled job, and writing to it touches no working tree.
"""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from fashion_mnist.errors import InputError
from repository.commands import SIGNATURE, git, succeeds

BRANCH = "retrain-ledger"
FILE = "ledger.jsonl"
REF = f"refs/heads/{BRANCH}"
ATTEMPTS = 5


class Entry(BaseModel):
    """The decision on a delivery or a recipe.

    when:
        UTC, ISO 8601.
    delivery:
        Name of the delivery, or `recipe` and its name; `batch` in older lines.
    files:
        SHA-256 of each file, sorted.
    champion:
        MD5 of the model to be improved, as in dvc.lock.
    figures:
        The numbers behind the decision.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: str
    delivery: str = Field(validation_alias=AliasChoices("delivery", "batch"))
    files: list[str]
    champion: str
    decision: Literal["proposed", "refused"]
    why: list[str]
    figures: dict[str, float]
    branch: str | None = None


def read(root: Path, remote: str | None) -> list[Entry]:
    """Return the local entries and, if there is a remote, its entries; oldest first.

    Raises:
        InputError: A line is not an entry.
    """
    if remote:
        # The remote may have no ledger yet.
        succeeds("git", "fetch", remote, f"+{REF}:refs/remotes/{remote}/{BRANCH}", cwd=root)
    found: dict[str, Entry] = {}
    for ref in (f"refs/remotes/{remote}/{BRANCH}", REF) if remote else (REF,):
        content = git("cat-file", "blob", f"{ref}:{FILE}", cwd=root) if _tip(root, ref) else ""
        for number, line in enumerate(content.splitlines(), 1):
            entry = _parse(line, f"{ref}:{FILE}: line {number}")
            # The same entry may be an older line on one side.
            found[entry.model_dump_json()] = entry
    return sorted(found.values(), key=lambda entry: entry.when)


def append(root: Path, remote: str | None, entries: list[Entry]) -> None:
    """Add entries, and push them if there is a remote.

    Raises:
        InputError: The remote refuses them; they are kept here.
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
        message = f"{len(entries)} decisions" if len(entries) > 1 else entries[0].delivery
        commit = git(*SIGNATURE, "commit-tree", tree, *options, "-m", message, cwd=root).strip()
        git("update-ref", REF, commit, cwd=root)
        if not remote or succeeds("git", "push", remote, f"{REF}:{REF}", cwd=root):
            return
    raise InputError(f"{remote} does not accept branch {BRANCH}; it is kept here")


def _parse(line: str, where: str) -> Entry:
    try:
        return Entry.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {f'{key}: ' if key else ''}{first['msg']}") from error


def _tip(root: Path, ref: str) -> str | None:
    try:
        return git("rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}", cwd=root).strip()
    except InputError:
        return None
