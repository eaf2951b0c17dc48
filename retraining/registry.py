"""Gives versions to models: tags by the convention of GTO, such as `model@v1.2.0`.

https://dvc.org/doc/gto
"""

from pathlib import Path

import gto.api
from gto.exceptions import ArtifactNotFound, GTOException

from fashion_mnist.errors import InputError
from repository import dvc_lock, revisions

NAME = "model"  # under `artifacts` in dvc.yaml
FIRST = "v1.0.0"


def register(root: Path) -> str:
    """Tag the commit that is checked out, unless its model is that of the last tag.

    Later versions raise the middle number.

    Returns:
        What was done, in one line.

    Raises:
        InputError: Tracked files have changes, or the tag cannot be made.
    """
    if not revisions.clean(root):
        raise InputError(
            "the working tree has changes; commit them first: a version is a tag on a commit"
        )
    head = revisions.resolve(root, "HEAD")
    model = dvc_lock.model(head)
    try:
        latest = _latest(root)
        if latest and dvc_lock.model(revisions.resolve(root, latest)) == model:
            return f"the model is that of {latest}: nothing to do"
        made = gto.api.register(
            root,
            NAME,
            "HEAD",
            version=None if latest else FIRST,
            bump_minor=bool(latest),
            message=f"Model {model}",
        )
    except GTOException as error:
        raise InputError(f"gto: {error}") from error
    return f"{made.tag}: push it with `git push origin {made.tag}`"


def _latest(root: Path) -> str | None:
    """Return the tag of the highest version, None if there is none yet."""
    try:
        versions = gto.api.show(root, f"{NAME}@greatest")
    except ArtifactNotFound:
        return None
    return str(versions[0]["ref"]) if versions else None
