"""Gives versions to models: tags by the convention of GTO, such as `model@v1.2.0`.

https://dvc.org/doc/gto
"""

from pathlib import Path

import gto.api
from gto.exceptions import ArtifactNotFound, GTOException

from fashion_mnist.errors import InputError
from repository import dvc_lock, revisions

NAME = "model"  # under `artifacts` in dvc.yaml


def register(root: Path) -> str:
    """Tag the commit that is checked out, unless its model is that of the last tag.

    The first version is v1.0.0; later ones count the middle number up.

    Returns:
        What was done.

    Raises:
        InputError: Files that git tracks were changed, or the tag cannot be made.
    """
    if not revisions.clean(root):
        raise InputError("the working tree has changes, and a version is that of a commit: commit")
    head = revisions.resolve(root, "HEAD")
    try:
        latest = _latest(root)
        if latest and dvc_lock.model(revisions.resolve(root, latest)) == dvc_lock.model(head):
            return f"the model is that of {latest}"
        made = gto.api.register(
            root,
            NAME,
            "HEAD",
            version=None if latest else "v1.0.0",
            bump_minor=bool(latest),
            message=f"Model {dvc_lock.model(head)}",
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
