"""Checks a commit out into a clone, where the pipeline runs without touching the user's files."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repository.commands import dvc, dvc_output, run
from repository.dvc_lock import PIPELINE


@contextmanager
def clone(root: Path, commit: str, folder: Path) -> Iterator[None]:
    """Check a commit out into a new clone at `folder`; remove the clone when the block ends.

    Raises:
        InputError: git failed; its output was printed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        run(
            "git", "clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder), cwd=root
        )
        run("git", "checkout", "--quiet", "--detach", commit, cwd=folder)
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def restore(root: Path, folder: Path) -> None:
    """Let a clone share the DVC cache of the repository at `root`, and check out its data.

    Data missing from the cache is skipped.

    Raises:
        InputError: DVC failed.
    """
    cache = dvc_output("cache", "dir", cwd=root).strip()
    dvc("config", "--local", "cache.dir", cache, cwd=folder)
    # `dvc repro` reruns a stage whose output has `persist: true` instead of restoring it.
    dvc("checkout", "--quiet", "--allow-missing", PIPELINE, cwd=folder)
