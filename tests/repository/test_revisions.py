"""Files of a commit or of the working tree, and the commit to compare with."""

from pathlib import Path

import pytest

from fashion_mnist.errors import InputError
from repository import revisions
from repository.revisions import Revision
from tests.conftest import AUTHOR, run
from tests.repository.conftest import commit


def test_a_commit_and_the_working_tree_have_their_own_files(repository: Path) -> None:
    (repository / "value.txt").write_text("3")
    first = revisions.resolve(repository, "HEAD~1")
    assert first.read("value.txt") == "1"
    assert revisions.resolve(repository, "main").read("value.txt") == "2"
    assert revisions.working_tree(repository).read("value.txt") == "3"


def test_the_root_is_found_from_a_folder_inside(repository: Path, tmp_path: Path) -> None:
    (repository / "a/b").mkdir(parents=True)
    assert revisions.root(repository / "a/b") == repository
    with pytest.raises(InputError, match="`git rev-parse --show-toplevel`: fatal: not a git"):
        revisions.root(tmp_path)


@pytest.mark.parametrize("committed", [True, False])
def test_paths_are_relative_to_a_folder_in_the_repository(
    repository: Path, committed: bool
) -> None:
    folder = repository / "project"
    (folder / "metrics").mkdir(parents=True)
    (folder / "metrics/a.json").write_text('{"a": 1}')
    (folder / "metrics/b.json").write_text("{}")
    name = commit(repository)
    side = Revision(folder, "project", name if committed else None)
    assert side.json("metrics/a.json") == {"a": 1}
    assert side.files("metrics") == ["metrics/a.json", "metrics/b.json"]
    assert side.files("absent") == []
    assert revisions.tracked(folder) == {"metrics/a.json", "metrics/b.json"}


def test_tracked_files_have_their_own_names(repository: Path) -> None:
    (repository / "Größe 1.txt").touch()
    commit(repository)
    (repository / "new.txt").touch()
    assert revisions.tracked(repository) == {"value.txt", "Größe 1.txt"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": NaN}', "here: file contains NaN, expected finite numbers"),
        (b"{", "here: file is not JSON: Expecting property name"),
        (b"[1]", "here: file is not a JSON object"),
        (b"\xff", "here: file is not a text file"),
        (None, "here has no file"),
    ],
)
@pytest.mark.parametrize("committed", [True, False])
def test_damaged_json_is_refused_with_its_name(
    repository: Path, content: bytes | None, message: str, committed: bool
) -> None:
    if content is not None:
        (repository / "file").write_bytes(content)
        commit(repository)
    head = revisions.resolve(repository, "HEAD").commit
    with pytest.raises(InputError, match=message):
        Revision(repository, "here", head if committed else None).json("file")


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [", "here: file: not valid YAML"), ("- 1", "here: file has no sections")],
)
def test_damaged_yaml_is_refused_with_its_name(
    repository: Path, content: str, message: str
) -> None:
    (repository / "file").write_text(content)
    with pytest.raises(InputError, match=message):
        Revision(repository, "here", None).yaml("file")


def test_an_unknown_revision_is_named(repository: Path) -> None:
    for name in ("nonsense", "--all", "main:value.txt"):
        with pytest.raises(InputError, match=f"^unknown revision '{name}'$"):
            revisions.resolve(repository, name)


def test_a_shallow_clone_says_how_to_get_the_rest(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", "--depth", "1", repository.as_uri(), clone, cwd=tmp_path)
    hint = ": this clone is shallow, run `git fetch --unshallow`$"
    with pytest.raises(InputError, match=f"unknown revision 'HEAD~1'{hint}"):
        revisions.resolve(clone, "HEAD~1")
    with pytest.raises(InputError, match=hint):
        revisions.base(revisions.resolve(clone, "HEAD"))
    run("git", "fetch", "--quiet", "--unshallow", cwd=clone)
    assert revisions.base(revisions.resolve(clone, "HEAD")).read("value.txt") == "1"


def test_only_tracked_files_count_as_changes(repository: Path) -> None:
    (repository / "new.txt").touch()
    assert revisions.clean(repository)
    assert revisions.head(repository).name == "HEAD"
    (repository / "value.txt").write_text("3")
    assert not revisions.clean(repository)
    assert revisions.clean(repository, ignore="value.txt")
    assert revisions.head(repository).commit is None


def test_on_main_the_base_is_the_commit_before(repository: Path) -> None:
    assert revisions.base(revisions.head(repository)).read("value.txt") == "1"
    (repository / "value.txt").write_text("3")
    assert revisions.base(revisions.head(repository)).read("value.txt") == "2"


def test_on_a_branch_the_base_is_where_it_left_main(repository: Path) -> None:
    run("git", "switch", "--quiet", "--create", "branch", "HEAD~1", cwd=repository)
    (repository / "other.txt").touch()
    commit(repository)
    found = revisions.base(revisions.head(repository))
    assert found.read("value.txt") == "1"
    assert found.name == f"main at {(found.commit or '')[:7]}"


def test_without_main_or_a_common_commit_a_revision_must_be_named(repository: Path) -> None:
    run("git", "switch", "--quiet", "--orphan", "other", cwd=repository)
    run("git", *AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "a", cwd=repository)
    with pytest.raises(InputError, match=r"^no commit in common with main$"):
        revisions.base(revisions.head(repository))
    run("git", "branch", "--quiet", "--delete", "--force", "main", cwd=repository)
    with pytest.raises(InputError, match=r"^no branch main or master to compare with: name"):
        revisions.base(revisions.head(repository))


def test_a_stale_local_main_is_not_the_base(repository: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    run("git", "clone", "--quiet", repository, mine, cwd=tmp_path)
    (repository / "value.txt").write_text("3")
    theirs = commit(repository, "theirs")
    run("git", "fetch", "--quiet", cwd=mine)
    run("git", "switch", "--quiet", "--create", "change", "origin/main", cwd=mine)
    (mine / "value.txt").write_text("4")
    assert revisions.base(revisions.head(mine)).name == f"HEAD {theirs[:7]}"
    commit(mine)
    assert revisions.base(revisions.head(mine)).commit == theirs
    # The other way round: the local main is ahead.
    run("git", "branch", "--quiet", "--force", "main", "HEAD", cwd=mine)
    ahead = run("git", "rev-parse", "HEAD", cwd=mine).strip()
    (mine / "value.txt").write_text("5")
    commit(mine)
    assert revisions.base(revisions.head(mine)).commit == ahead


@pytest.mark.parametrize("name", ["main", "master", "trunk"])
@pytest.mark.parametrize("remote", ["origin", "upstream"])
def test_main_and_its_remote_may_have_other_names(
    repository: Path, tmp_path: Path, name: str, remote: str
) -> None:
    run("git", "branch", "--quiet", "--move", "main", name, cwd=repository)
    folder = tmp_path / "clone"
    run("git", "clone", "--quiet", "--origin", remote, repository, folder, cwd=tmp_path)
    run("git", "switch", "--quiet", "--create", "change", cwd=folder)
    run("git", "branch", "--quiet", "--delete", name, cwd=folder)
    (folder / "value.txt").write_text("3")
    commit(folder)
    found = revisions.base(revisions.head(folder))
    assert found.name == f"{name} at {(found.commit or '')[:7]}"
    assert found.read("value.txt") == "2"
    assert revisions.main(folder) == name
    assert revisions.remote(folder) == remote


def test_of_several_remotes_origin_counts_or_that_of_main(repository: Path) -> None:
    assert revisions.remote(repository) is None
    for name in ("fork", "upstream"):
        run("git", "remote", "add", name, repository, cwd=repository)
    assert revisions.remote(repository) is None
    run("git", "config", "branch.main.remote", "upstream", cwd=repository)
    assert revisions.remote(repository) == "upstream"
    run("git", "remote", "add", "origin", repository, cwd=repository)
    assert revisions.remote(repository) == "origin"


def test_a_project_may_be_a_folder_of_a_larger_repository(repository: Path) -> None:
    project = repository / "team/ml"
    for folder in (project, project / "published", repository / "other"):
        folder.mkdir(parents=True)
        (folder / "params.yaml").write_text("a: 1")
    (project / "stages").mkdir()
    for folder in (project, project / "published", project / "stages"):
        assert revisions.root(folder) == project
    assert revisions.root(repository / "team") == repository
    assert revisions.prefix(project) == "team/ml/"
    commit(repository)
    assert revisions.resolve(project, "HEAD").yaml("params.yaml") == {"a": 1}
    # Changes of other folders are another team's.
    (repository / "other/params.yaml").write_text("a: 2")
    assert revisions.clean(project)
    assert not revisions.clean(repository)


def test_a_file_is_read_as_it_is_committed(repository: Path) -> None:
    """`git show` would show what a user's filter makes of it."""
    (repository / ".gitattributes").write_text("*.txt diff=upper\n")
    run("git", "config", "diff.upper.textconv", "echo other", cwd=repository)
    commit(repository)
    assert revisions.resolve(repository, "HEAD").read("value.txt") == "2"
    folder = repository / "metrics"
    folder.mkdir()
    (folder / "größe.json").write_text("{}")
    commit(repository)
    assert revisions.resolve(repository, "HEAD").files("metrics") == ["metrics/größe.json"]
