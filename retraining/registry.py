"""Gives versions to models: tags by the convention of GTO, such as `model@v1.2.0`.

https://dvc.org/doc/gto
"""

from pathlib import Path

import gto.api
from gto.constants import SEPARATOR_IN_NAME, VersionSort, name_to_tag
from gto.exceptions import ArtifactNotFound, GTOException
from gto.versions import SemVer

from fashion_mnist.errors import InputError
from repository import dvc_lock, revisions
from repository.commands import SIGNATURE, git, run, succeeds

NAME = "model"  # under `artifacts` in dvc.yaml
FIRST = "v1.0.0"


def register(root: Path) -> str:
    """Tag the commit that is checked out, unless its model is that of the last tag.

    Later versions raise the middle number.

    Returns:
        What was done, in one line.

    Raises:
        InputError: Tracked files have changes, the commit has a version, or the tag cannot be made.
    """
    if not revisions.clean(root):
        raise InputError(
            "the working tree has changes; commit them first: a version is a tag on a commit"
        )
    head = revisions.resolve(root, "HEAD")
    model = dvc_lock.model(head)
    name = artifact(root)
    try:
        versions = _versions(root, name)
        latest = versions[0] if versions else None
        if latest and dvc_lock.model(revisions.resolve(root, latest["ref"])) == model:
            return f"the model is that of {latest['ref']}: nothing to do"
        for known in versions:
            if known["commit_hexsha"] == head.commit:
                raise InputError(f"this commit has version {known['version']} already")
        version = SemVer(latest["version"]).bump(bump_minor=True).version if latest else FIRST
        tag = f"{name_to_tag(name)}@{version}"
    except GTOException as error:
        raise InputError(f"gto: {error}") from error
    # An annotated tag has an author. GTO itself would sign it if the user signs tags.
    author = () if succeeds("git", "var", "GIT_COMMITTER_IDENT", cwd=root) else SIGNATURE
    run("git", *author, "tag", "--annotate", f"--message=Model {model}", tag, "HEAD", cwd=root)
    return f"{tag}: push it with `git push {revisions.remote(root) or 'origin'} {tag}`"


def artifact(root: Path) -> str:
    """Return the name of the model for DVC and GTO: with the folder of a project inside one."""
    folder = revisions.prefix(root).rstrip("/")
    return f"{folder}{SEPARATOR_IN_NAME}{NAME}" if folder else NAME


def _versions(root: Path, name: str) -> list[dict[str, str]]:
    """Return the registered versions, the highest first; none if there is none yet."""
    top = git("rev-parse", "--show-toplevel", cwd=root).rstrip("\n")
    try:
        return list(gto.api.show(top, name, registered_only=True, sort=VersionSort.SemVer))
    except ArtifactNotFound:
        return []
