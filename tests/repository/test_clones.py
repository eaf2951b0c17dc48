"""A commit is checked out beside the user's files, and shares DVC's cache."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fashion_mnist.errors import InputError
from repository import clones, commands, revisions
from tests.repository.conftest import commit


def test_a_clone_has_the_files_of_its_commit_and_goes_away(
    repository: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clones/one"
    folder.mkdir(parents=True)
    (folder / "left by a killed run").touch()
    first = revisions.resolve(repository, "HEAD~1").commit or ""
    with clones.clone(repository, first, folder):
        assert (folder / "value.txt").read_text() == "1"
        assert sorted(path.name for path in folder.iterdir()) == [".git", "value.txt"]
        (folder / "value.txt").write_text("5")
    assert not folder.exists()
    assert (repository / "value.txt").read_text() == "2"
    assert revisions.clean(repository)


def test_a_clone_goes_away_after_a_failure(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    with (
        pytest.raises(InputError, match=r"^`git checkout --quiet --detach nonsense` failed"),
        clones.clone(repository, "nonsense", folder),
    ):
        pass
    assert not folder.exists()


@pytest.mark.slow
def test_a_restored_clone_has_the_data_that_the_cache_has(repository: Path, tmp_path: Path) -> None:
    stages = {
        name: {"cmd": f"echo {name} >{name}.txt", "outs": [f"{name}.txt"]}
        for name in ("kept", "lost")
    }
    YAML().dump({"stages": stages}, repository / "dvc.yaml")
    (repository / ".dvc").mkdir()
    (repository / ".dvc/config").touch()
    commands.dvc("repro", "--quiet", cwd=repository)
    head = commit(repository)
    digest = revisions.working_tree(repository).yaml("dvc.lock")["stages"]["lost"]["outs"][0]["md5"]
    (repository / f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}").unlink()
    folder = tmp_path / "clone"
    with clones.clone(repository, head, folder):
        clones.restore(repository, folder)
        assert (folder / "kept.txt").read_text() == "kept\n"
        assert not (folder / "lost.txt").exists()
        assert f"dir = {repository / '.dvc/cache'}" in (folder / ".dvc/config.local").read_text()
