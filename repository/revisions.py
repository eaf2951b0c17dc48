"""Reads the files of a commit or of the working tree, and finds the commit to compare with."""

import json
from pathlib import Path
from typing import Any, NoReturn

from fashion_mnist.errors import InputError
from fashion_mnist.params import parse
from repository.commands import git

# In a clone of one branch, only the remote's main exists.
MAIN = ("main", "origin/main")


class Revision:
    """A commit, or the working tree.

    Args:
        root: Folder that paths are relative to: the top of the repository, or one inside it.
        name: Its name in messages.
        commit: Its full hash; None for the working tree.
    """

    def __init__(self, root: Path, name: str, commit: str | None) -> None:
        self.root = root
        self.name = name
        self.commit = commit

    def read(self, path: str) -> str:
        """Return the text of a file.

        Raises:
            InputError: The revision has no such file, or it is not UTF-8.
        """
        try:
            if self.commit is None:
                return (self.root / path).read_text(encoding="utf-8")
            return git("show", f"{self.commit}:./{path}", cwd=self.root)
        except (OSError, InputError) as error:
            raise InputError(f"{self.name} has no {path}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{self.name}: {path} is not a text file") from error

    def json(self, path: str) -> dict[str, Any]:
        """Return the content of a JSON file whose top level is an object.

        Raises:
            InputError: The file is missing, is not JSON, is not an object, or contains a number
                that is not finite.
        """

        def reject(constant: str) -> NoReturn:
            raise InputError(f"{self.name}: {path} contains {constant}, expected finite numbers")

        try:
            content = json.loads(self.read(path), parse_constant=reject)
        except json.JSONDecodeError as error:
            raise InputError(f"{self.name}: {path} is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise InputError(f"{self.name}: {path} is not a JSON object")
        return content

    def yaml(self, path: str) -> dict[str, Any]:
        """Return the content of a YAML file whose top level is a mapping of sections.

        Raises:
            InputError: The file is missing, is not YAML, or has no sections.
        """
        content = parse(self.read(path), f"{self.name}: {path}")
        if not isinstance(content, dict):
            raise InputError(f"{self.name}: {path} has no sections")
        return content

    def files(self, folder: str) -> list[str]:
        """Return the paths of the files in a folder, sorted; empty if there is no such folder."""
        if self.commit is None:
            inside = (self.root / folder).glob("*")
            return sorted(f"{folder}/{path.name}" for path in inside if path.is_file())
        return git("ls-tree", "--name-only", self.commit, f"{folder}/", cwd=self.root).splitlines()


def root(folder: Path) -> Path:
    """Return the top folder of the git repository that contains `folder`.

    Raises:
        InputError: `folder` is in no repository.
    """
    return Path(git("rev-parse", "--show-toplevel", cwd=folder).rstrip("\n"))


def working_tree(root: Path, name: str = "working tree") -> Revision:
    """Return the files as they are now, committed or not."""
    return Revision(root, name, None)


def resolve(root: Path, name: str) -> Revision:
    """Return the commit that a branch, a tag, a hash or another expression names.

    Raises:
        InputError: git knows no such commit.
    """
    commit = _commit(root, name)
    if commit is None:
        raise InputError(f"unknown revision '{name}'{_shallow(root)}")
    return Revision(root, name, commit)


def clean(root: Path, ignore: str = "") -> bool:
    """Return whether the tracked files are as committed.

    Args:
        root: Top folder of the repository.
        ignore: Path of a file whose changes do not count.
    """
    where = [".", f":(exclude){ignore}"] if ignore else []
    return not git("status", "--porcelain", "--untracked-files=no", "--", *where, cwd=root)


def tracked(root: Path) -> set[str]:
    """Return the paths of the tracked files in a folder, relative to it."""
    return set(git("ls-files", "-z", cwd=root).split("\0")) - {""}


def head(root: Path) -> Revision:
    """Return the last commit, or the working tree if it differs."""
    return resolve(root, "HEAD") if clean(root) else working_tree(root)


def base(head: Revision) -> Revision:
    """Return the revision that `head` is compared with by default.

    On a branch, it is the commit where the branch left main.
    On main, it is the commit before; for a working tree on main, the last commit.

    Raises:
        InputError: There is no branch main, or no such commit in this clone.
    """
    tip = head.commit or resolve(head.root, "HEAD").commit or ""
    mains = [commit for name in MAIN if (commit := _commit(head.root, name))]
    if not mains:
        raise InputError(
            f"no branch {' or '.join(MAIN)} to compare with: name a revision{_shallow(head.root)}"
        )
    try:
        found = git("merge-base", tip, mains[0], cwd=head.root).strip()
    except InputError as error:
        raise InputError(f"no commit in common with main{_shallow(head.root)}") from error
    if found != tip:
        return Revision(head.root, f"main at {found[:7]}", found)
    if head.commit is None:
        return Revision(head.root, f"HEAD {tip[:7]}", tip)
    return resolve(head.root, f"{head.name}~1")


def _commit(root: Path, name: str) -> str | None:
    try:
        return git(
            "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}", cwd=root
        ).strip()
    except InputError:
        return None


def _shallow(root: Path) -> str:
    shallow = git("rev-parse", "--is-shallow-repository", cwd=root).strip() == "true"
    return ": this clone is shallow, run `git fetch --unshallow`" if shallow else ""
