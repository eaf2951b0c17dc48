"""Reads the files of a commit or of the working tree, and finds the commit to compare with."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from fashion_mnist.errors import InputError
from fashion_mnist.params import parse
from repository.commands import git, succeeds

# Branches that changes are proposed to; the second only in a repository without the first.
MAIN = ("main", "master")
PARAMETERS = "params.yaml"
PUBLISHED = "published"  # a DVC project inside the main one


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
            return git("cat-file", "blob", f"{self.commit}:./{path}", cwd=self.root)
        except (OSError, InputError) as error:
            if self.commit and git("ls-tree", self.commit, "--", path, cwd=self.root):
                # In a partial clone, it must be fetched.
                raise InputError(f"{self.name}: {path} cannot be read: {error}") from error
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
        found = git("ls-tree", "-z", "--name-only", self.commit, f"{folder}/", cwd=self.root)
        return found.split("\0")[:-1]


def root(folder: Path) -> Path:
    """Return the top folder of the project that contains `folder`.

    It is the nearest one with a params.yaml, since the project may be a folder of a larger
    repository; the top folder of the repository if there is none.

    Raises:
        InputError: `folder` is in no repository.
    """
    top = Path(git("rev-parse", "--show-toplevel", cwd=folder).rstrip("\n"))
    for place in (top / prefix(folder), *(top / prefix(folder)).parents):
        if not place.is_relative_to(top):
            break
        if (place / PARAMETERS).is_file():
            # The published systems have parameters too.
            inner = place.name == PUBLISHED and (place.parent / PARAMETERS).is_file()
            return place.parent if inner else place
    return top


def prefix(folder: Path) -> str:
    """Return the path of a folder inside its repository; empty for the top folder.

    Raises:
        InputError: `folder` is in no repository.
    """
    return git("rev-parse", "--show-prefix", cwd=folder).rstrip("\n")


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
        root: Top folder of the project; changes elsewhere in its repository do not count.
        ignore: Path of a file whose changes do not count.
    """
    where = [".", f":(exclude){ignore}"] if ignore else ["."]
    return not git("status", "--porcelain", "--untracked-files=no", "--", *where, cwd=root)


def tracked(root: Path) -> set[str]:
    """Return the paths of the tracked files in a folder, relative to it."""
    return set(git("ls-files", "-z", cwd=root).split("\0")) - {""}


def head(root: Path) -> Revision:
    """Return the last commit, or the working tree if it differs."""
    return resolve(root, "HEAD") if clean(root) else working_tree(root)


def base(head: Revision) -> Revision:
    """Return the revision that `head` is compared with by default.

    On a branch, it is the commit where the branch left main: the local branch or that of a remote,
    whichever is newer, since the local one may not have been updated.
    On main, it is the commit before; for a working tree on main, the last commit.

    Raises:
        InputError: There is no branch main, or no such commit in this clone.
    """
    tip = head.commit or resolve(head.root, "HEAD").commit or ""
    name = main(head.root)
    found = _newest_common(head.root, tip, _branches(head.root, name))
    if found is None:
        raise InputError(f"no commit in common with {name}{_shallow(head.root)}")
    if found != tip:
        return Revision(head.root, f"{name} at {found[:7]}", found)
    if head.commit is None:
        return Revision(head.root, f"HEAD {tip[:7]}", tip)
    return resolve(head.root, f"{head.name}~1")


def main(root: Path) -> str:
    """Return the name of the branch that changes are proposed to.

    It is `main`, `master`, or the branch that a remote calls its default.

    Raises:
        InputError: There is none, neither here nor in a remote.
    """
    defaults = git(
        "for-each-ref", "--format=%(symref:lstrip=3)", "refs/remotes/*/HEAD", cwd=root
    ).split()
    for name in (*MAIN, *defaults):
        if _branches(root, name):
            return name
    raise InputError(
        f"no branch {' or '.join(MAIN)} to compare with: name a revision{_shallow(root)}"
    )


def remote(root: Path) -> str | None:
    """Return the git remote that changes are proposed to; None if there is none.

    It is `origin`, or the one that main is pulled from, or the only one.
    """
    names = git("remote", cwd=root).split()
    for name in ("origin", *_upstreams(root)):
        if name in names:
            return name
    return names[0] if len(names) == 1 else None


def _upstreams(root: Path) -> Iterator[str]:
    """Yield the remotes that the local main is pulled from."""
    for name in MAIN:
        try:
            yield git("config", f"branch.{name}.remote", cwd=root).strip()
        except InputError:
            continue


def _branches(root: Path, name: str) -> list[str]:
    """Return the commits of the branches of this name: the local one first, then of remotes."""
    patterns = f"refs/heads/{name}", f"refs/remotes/*/{name}"
    return git("for-each-ref", "--format=%(objectname)", *patterns, cwd=root).split()


def _newest_common(root: Path, tip: str, others: list[str]) -> str | None:
    """Return the newest commit that `tip` shares with one of others; None if there is none."""
    newest = None
    for other in others:
        try:
            found = git("merge-base", tip, other, cwd=root).strip()
        except InputError:
            continue
        if newest is None or succeeds(
            "git", "merge-base", "--is-ancestor", newest, found, cwd=root
        ):
            newest = found
    return newest


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
