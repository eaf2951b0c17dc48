"""Checks a commit out into a clone, where the pipeline runs without touching the user's files."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fashion_mnist.errors import InputError
from repository import revisions
from repository.commands import dvc, dvc_output, git, run, succeeds
from repository.dvc_lock import PIPELINE

# The user's own settings must neither change the bytes of a file nor leave one out of a commit.
SETTINGS = """
[core]
	autocrlf = false
	attributesFile =
	excludesFile =
	fsmonitor = false
"""


@contextmanager
def clone(root: Path, commit: str, folder: Path) -> Iterator[Path]:
    """Check a commit out into a new clone; remove the clone when the block ends.

    Args:
        root: Top folder of the project, which may be one inside the repository.
        commit: Hash of the commit.
        folder: Where to put the clone.

    Yields:
        The top folder of the project in the clone.

    Raises:
        InputError: git failed, or the repository is a partial clone and cannot fetch the commit's
            files.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        _fetch_missing(root, commit)
        _share(root, folder)
        run("git", "checkout", "--quiet", "--detach", commit, cwd=folder)
        yield folder / revisions.prefix(root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def restore(root: Path, folder: Path) -> None:
    """Let a clone share DVC's settings and cache of a project, and check out its data.

    Data missing from the cache is skipped.

    Args:
        root: Top folder of the project.
        folder: The same folder in a clone.

    Raises:
        InputError: DVC failed.
    """
    _share_settings(root, folder)
    cache = dvc_output("cache", "dir", cwd=root).strip()
    dvc("config", "--local", "cache.dir", cache, cwd=folder)
    # `dvc repro` reruns a stage whose output has `persist: true` instead of restoring it.
    dvc("checkout", "--quiet", "--allow-missing", PIPELINE, cwd=folder)


def own_cache(folder: Path) -> None:
    """Give a clone an empty DVC cache of its own, whatever the project's settings are.

    Raises:
        InputError: DVC failed.
    """
    dvc("config", "--local", "cache.dir", str(folder / ".dvc/cache"), cwd=folder)


def _share_settings(root: Path, folder: Path) -> None:
    """Give a clone the DVC settings of a project, those that git ignores too.

    Paths in them are relative to their file; they lead to the same places as in the project.
    """
    # `python -m review compare` needs no DVC.
    from dvc.config import Config, merge

    config = Config(str(root / ".dvc"), validate=False)
    with Config(str(folder / ".dvc"), validate=False).edit("local") as settings:
        for level in ("repo", "local"):
            merge(settings, config.load_one(level))


def _share(root: Path, folder: Path) -> None:
    """Make a repository at `folder` that reads the objects of another one.

    `git clone --shared` copies what it should share if the repository is shallow, and fails if
    it also lacks objects.
    """
    paths = [
        Path(git("rev-parse", "--path-format=absolute", "--git-path", name, cwd=root).rstrip("\n"))
        for name in ("objects", "shallow")
    ]
    kind = git("rev-parse", "--show-object-format", cwd=root).strip()
    # Without a template there are no hooks.
    run("git", "init", "--quiet", "--template=", f"--object-format={kind}", str(folder), cwd=root)
    objects, shallow = paths
    inside = folder / ".git"
    (inside / "objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8")
    if shallow.exists():
        shutil.copyfile(shallow, inside / "shallow")
    with (inside / "config").open("a", encoding="utf-8") as config:
        config.write(SETTINGS)


def _fetch_missing(root: Path, commit: str) -> None:
    """Fetch the files of a commit that a partial clone has left out.

    Raises:
        InputError: They cannot be fetched.
    """
    if not succeeds("git", "config", "--get-regexp", r"^remote\..*\.promisor$", cwd=root):
        return
    nothing = git("hash-object", "-t", "tree", "--stdin", cwd=root).strip()
    try:
        # Statistics need the content of every file; git fetches what is missing at once.
        git("diff", "--shortstat", "--no-ext-diff", "--no-textconv", nothing, commit, cwd=root)
    except InputError as error:
        raise InputError(
            f"this is a partial clone without all files of {commit[:7]}, "
            f"and they cannot be fetched: {error}"
        ) from error
