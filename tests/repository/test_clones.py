"""A commit is checked out beside the user's files, and shares DVC's cache."""

import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fashion_mnist.data import sources
from fashion_mnist.errors import InputError
from repository import clones, commands, revisions
from tests.conftest import ROOT, run
from tests.repository.conftest import commit


def test_a_clone_has_the_files_of_its_commit_and_goes_away(
    repository: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clones/one"
    folder.mkdir(parents=True)
    (folder / "left by a killed run").touch()
    first = revisions.resolve(repository, "HEAD~1").commit or ""
    with clones.clone(repository, first, folder) as project:
        assert project == folder
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


@pytest.mark.parametrize(
    "kind",
    [
        ("--depth=1",),
        ("--filter=blob:none",),
        ("--filter=tree:0",),
        ("--filter=blob:none", "--depth=1"),
    ],
    ids=" ".join,
)
def test_a_commit_of_a_repository_without_all_objects_is_checked_out_whole(
    repository: Path, tmp_path: Path, kind: tuple[str, ...]
) -> None:
    (repository / "team/ml").mkdir(parents=True)
    (repository / "team/ml/params.yaml").write_text("a: 1\n")
    head = commit(repository)
    run("git", "config", "uploadpack.allowFilter", "true", cwd=repository)
    part = tmp_path / "part"
    # Nothing is checked out, so that everything is missing.
    command = "clone", "--quiet", "--no-checkout", *kind, repository.as_uri(), str(part)
    run("git", *command, cwd=tmp_path)
    (part / "team/ml").mkdir(parents=True)
    with clones.clone(part / "team/ml", head, tmp_path / "clone") as folder:
        assert folder == tmp_path / "clone/team/ml"
        assert (folder / "params.yaml").read_text() == "a: 1\n"
        assert (tmp_path / "clone/value.txt").read_text() == "2"
        assert run("git", "status", "--porcelain", cwd=folder) == ""
        (folder / "params.yaml").write_text("a: 2\n")
        new = commit(folder)
        place = commands.git("rev-parse", "--absolute-git-dir", cwd=folder).strip()
        run("git", "fetch", "--quiet", place, "+HEAD:refs/heads/new", cwd=part)
    assert run("git", "rev-parse", "new", cwd=part).strip() == new


def test_a_partial_clone_that_cannot_fetch_says_so(repository: Path, tmp_path: Path) -> None:
    run("git", "config", "uploadpack.allowFilter", "true", cwd=repository)
    part = tmp_path / "part"
    command = "clone", "--quiet", "--no-checkout", "--filter=blob:none", repository.as_uri()
    run("git", *command, part, cwd=tmp_path)
    repository.rename(tmp_path / "away")
    head = revisions.resolve(part, "HEAD")
    with (
        pytest.raises(InputError, match=r"^this is a partial clone without all files of [0-9a-f]"),
        clones.clone(part, head.commit or "", tmp_path / "clone"),
    ):
        pass
    assert not (tmp_path / "clone").exists()
    with pytest.raises(InputError, match=r"^HEAD: value.txt cannot be read: "):
        head.read("value.txt")
    with pytest.raises(InputError, match=r"^HEAD has no other.txt$"):
        head.read("other.txt")


HOOK = """\
#!{python}
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from repository import clones, commands, revisions
assert "GIT_DIR" in os.environ
os.environ |= {{"GIT_INDEX_FILE": os.path.join(os.environ["GIT_DIR"], "index")}}
os.environ |= {{"GIT_WORK_TREE": os.getcwd(), "GIT_NAMESPACE": "x"}}
os.environ |= {{"GIT_OBJECT_DIRECTORY": {objects!r}}}
root = revisions.root(Path())
first = revisions.resolve(root, "main~1").commit
with clones.clone(root, first, Path({folder!r})) as folder:
    Path({found!r}).write_text((folder / "value.txt").read_text())
    (folder / "value.txt").write_text("8")
    commands.git(*commands.SIGNATURE, "commit", "-qam", "ours", cwd=folder)
    commands.run("git", "reset", "--quiet", "--hard", "HEAD~1", cwd=folder)
"""


@pytest.mark.parametrize("name", ["pre-commit", "pre-push", "post-checkout", "post-commit"])
def test_a_hook_in_a_linked_worktree_leaves_the_checkout_alone(
    repository: Path, tmp_path: Path, name: str
) -> None:
    linked, found = tmp_path / "linked", tmp_path / "found.txt"
    run("git", "worktree", "add", "--quiet", "-b", "side", linked, cwd=repository)
    run("git", "config", "user.name", "Test", cwd=repository)
    run("git", "config", "user.email", "test@example.org", cwd=repository)
    run("git", "clone", "--quiet", "--bare", repository, tmp_path / "origin", cwd=tmp_path)
    run("git", "remote", "add", "origin", tmp_path / "origin", cwd=repository)
    hook = repository / f".git/hooks/{name}"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        HOOK.format(
            python=sys.executable,
            root=str(ROOT),
            folder=str(tmp_path / "clone"),
            found=str(found),
            objects=str(repository / ".git/objects"),
        )
    )
    hook.chmod(0o755)
    (linked / "value.txt").write_text("3")
    commands_by_hook = {
        "pre-commit": [("commit", "--all", "--message", "3")],
        "post-commit": [("commit", "--all", "--message", "3")],
        "pre-push": [("push", "origin", "HEAD:refs/heads/pushed")],
        "post-checkout": [("checkout", "-b", "another")],
    }
    before = {place: state(place) for place in (repository, linked)}
    for command in commands_by_hook[name]:
        run("git", *command, cwd=linked)
    assert found.read_text() == "1"
    assert state(repository) == before[repository]
    assert (linked / "value.txt").read_text() == "3"
    expected = "" if name.endswith("commit") else " M value.txt\n"
    assert run("git", "status", "--porcelain", cwd=linked) == expected
    run("git", "symbolic-ref", "HEAD", cwd=linked)
    run("git", "fsck", cwd=repository)


def state(folder: Path) -> tuple[str, ...]:
    """Return what a command could have changed in a checkout."""
    commands = ("symbolic-ref", "HEAD"), ("rev-parse", "HEAD"), ("status", "--porcelain")
    return tuple(run("git", *command, cwd=folder) for command in commands)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["--project", "--local"])
def test_relative_paths_of_dvc_lead_to_the_same_places_in_a_clone(
    repository: Path, tmp_path: Path, level: str
) -> None:
    project = repository / "ml"
    (project / ".dvc").mkdir(parents=True)
    (project / ".dvc/config").touch()
    (project / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    stage = {"cmd": "echo a >a.txt", "outs": ["a.txt"]}
    YAML().dump({"stages": {"a": stage}}, project / "dvc.yaml")
    (project / "params.yaml").write_text("a: 1\n")
    commands.dvc("remote", "add", level, "--default", "store", "../../store", cwd=project)
    commands.dvc("config", level, "cache.dir", "../../cache", cwd=project)
    commands.dvc("repro", "--quiet", cwd=project)
    head = commit(repository)
    place = project / ".dvc/tmp/rerun"
    with clones.clone(project, head, place) as folder:
        clones.restore(project, folder)
        assert (folder / "a.txt").read_text() == "a\n"
        commands.dvc("push", "--quiet", cwd=folder)
        clones.own_cache(folder)
        assert commands.dvc_output("cache", "dir", cwd=folder).strip() == str(folder / ".dvc/cache")
    (stored,) = (path for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert stored.read_text() == "a\n"
    assert (tmp_path / "cache/files").exists()
    assert not (project / ".dvc/tmp/store").exists()
    assert run("git", "status", "--porcelain", cwd=repository) == ""


@pytest.mark.parametrize("inside", ["", "team/ml"])
def test_relative_sources_lead_to_the_same_places_in_a_clone(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    project = repository / inside
    project.mkdir(parents=True, exist_ok=True)
    (project / "value.txt").write_text("3")
    head = commit(repository)
    for name in ("my data/mnist/a.gz", "inbox/a.npz"):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text(name)
    with clones.clone(project, head, project / ".dvc/tmp/rerun") as folder:
        monkeypatch.chdir(folder)
        for name in ("my data/mnist/a.gz", "inbox/a.npz"):
            assert Path(sources.located(name)).read_text() == name
        assert sources.located("value.txt") == "value.txt"
        monkeypatch.chdir(tmp_path)
