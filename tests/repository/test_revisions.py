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
    with pytest.raises(InputError, match=r"^no branch main or origin/main to compare with: name"):
        revisions.base(revisions.head(repository))
