"""Reads from git what a revision says about itself, and finds the revision to compare with."""

import subprocess
from pathlib import Path

from fashion_mnist.errors import InputError

MAIN = ("main", "origin/main")  # the second where only the branch under review is checked out


class Revision:
    """A commit, or the working tree.

    Args:
        root: Top folder of the repository.
        name: What to call it in messages.
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
            return _git(self.root, "show", f"{self.commit}:{path}")
        except (OSError, InputError) as error:
            raise InputError(f"{self.name} has no {path}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{self.name}: {path} is not a text file") from error

    def files(self, folder: str) -> list[str]:
        """Return the paths of the files in a folder, sorted; none where there is no such folder."""
        if self.commit is None:
            inside = (self.root / folder).glob("*")
            return sorted(f"{folder}/{path.name}" for path in inside if path.is_file())
        return _git(self.root, "ls-tree", "--name-only", self.commit, f"{folder}/").splitlines()


def root(folder: Path) -> Path:
    """Return the top folder of the git repository that `folder` is in.

    Raises:
        InputError: It is in none.
    """
    return Path(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))


def resolve(root: Path, name: str) -> Revision:
    """Return the commit that git knows by that name.

    Raises:
        InputError: There is none.
    """
    commit = _commit(root, name)
    if commit is None:
        raise InputError(f"unknown revision '{name}'{_shallow(root)}")
    return Revision(root, name, commit)


def clean(root: Path, besides: str = "") -> bool:
    """Return whether the files that git tracks, besides one, are as they were committed."""
    where = [".", f":(exclude){besides}"] if besides else []
    return not _git(root, "status", "--porcelain", "--untracked-files=no", "--", *where)


def tracked(root: Path) -> set[str]:
    """Return the paths of the files that git tracks."""
    return set(_git(root, "ls-files").splitlines())


def head(root: Path) -> Revision:
    """Return the working tree, or the commit that it is, where nothing was changed."""
    commit = resolve(root, "HEAD")
    return commit if clean(root) else Revision(root, "working tree", None)


def base(head: Revision) -> Revision:
    """Return what `head` is to be compared with.

    That is the commit where its branch left main. On main it is the commit before, or the last
    commit where `head` is the working tree.

    Raises:
        InputError: There is no branch main, or no such commit in this clone.
    """
    tip = head.commit or resolve(head.root, "HEAD").commit or ""
    trunks = [commit for name in MAIN if (commit := _commit(head.root, name))]
    if not trunks:
        raise InputError(
            f"no branch {' or '.join(MAIN)} to compare with, name a revision{_shallow(head.root)}"
        )
    try:
        found = _git(head.root, "merge-base", tip, trunks[0]).strip()
    except InputError as error:
        raise InputError(f"no commit in common with main{_shallow(head.root)}") from error
    if found != tip:
        return Revision(head.root, f"main at {found[:7]}", found)
    if head.commit is None:
        return Revision(head.root, f"HEAD {tip[:7]}", tip)
    return resolve(head.root, f"{head.name}~1")


def _commit(root: Path, name: str) -> str | None:
    try:
        found = _git(root, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
    except InputError:
        return None
    return found.strip()


def _shallow(root: Path) -> str:
    shallow = _git(root, "rev-parse", "--is-shallow-repository").strip() == "true"
    return ": this clone is shallow, run `git fetch --unshallow`" if shallow else ""


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    if done.returncode:
        raise InputError(" ".join(done.stderr.decode(errors="replace").split()))
    return done.stdout.decode()
