"""The data of a delivery is taken from wherever it can be reached, or it is named."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fashion_mnist.files import sha256
from repository import deliveries, revisions
from repository.deliveries import FOLDER, UnreachableError
from tests.conftest import commit, run

URL = "data/inbox/monday.npz"


class Case:
    """A repository that has a delivery in its checkout, DVC cache, DVC remote and inbox."""

    def __init__(self, folder: Path) -> None:
        self.root, self.fresh, self.store = folder / "root", folder / "fresh", folder / "store"
        self.root.mkdir()
        run("git", "init", "--quiet", "--initial-branch", "main", cwd=self.root)
        run("dvc", "init", "--quiet", cwd=self.root)
        run("dvc", "remote", "add", "--local", "--default", "s", self.store, cwd=self.root)
        inbox = self.root / URL
        inbox.parent.mkdir(parents=True)
        inbox.write_bytes(b"images")
        self.hash = sha256(inbox)
        (self.root / FOLDER).mkdir(parents=True)
        shutil.copy(inbox, self.root / FOLDER / self.hash)
        files = [{"url": URL, "bytes": 6, "sha256": self.hash}]
        listed = {"download": {"deliveries": [{"date": "2026-11-02", "files": files}]}}
        YAML().dump(listed, self.root / "params.yaml")
        run("dvc", "add", "--quiet", deliveries.RAW, cwd=self.root)
        run("dvc", "push", "--quiet", cwd=self.root)
        (self.root / ".gitignore").write_text("/data/inbox\n")
        commit(self.root, "first")
        run("git", "clone", "--quiet", self.root, self.fresh, cwd=folder)
        self.copies = {
            "checkout": self.root / FOLDER,
            "cache": self.root / ".dvc/cache",
            "remote": self.store,
            "inbox": inbox.parent,
        }

    def keep(self, *names: str) -> None:
        """Remove all copies but these."""
        for name, path in self.copies.items():
            if name not in names:
                shutil.rmtree(path)

    def fetch(self) -> None:
        deliveries.fetch(self.root, self.fresh, revisions.resolve(self.root, "HEAD").commit or "")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.mark.parametrize("kept", ["checkout", "cache", "remote", "inbox"])
def test_any_copy_is_enough(case: Case, kept: str) -> None:
    case.keep(kept)
    case.fetch()
    assert (case.fresh / FOLDER / case.hash).read_bytes() == b"images"
    assert run("git", "status", "--porcelain", cwd=case.fresh) == ""
    # It is there now.
    shutil.rmtree(case.root)
    deliveries.fetch(case.root, case.fresh, "HEAD")


@pytest.mark.parametrize("wrong", ["checkout", "inbox"])
def test_other_content_is_no_copy(
    case: Case, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case.keep(wrong)
    (file,) = case.copies[wrong].iterdir()
    file.unlink()
    file.write_bytes(b"other!")
    message = f"^not run: the data of delivery {URL} cannot be reached here$"
    with pytest.raises(UnreachableError, match=message):
        case.fetch()
    assert not (case.fresh / "data/raw").exists()
    assert capsys.readouterr().err.startswith(f"{URL}: ")


def test_without_deliveries_there_is_nothing_to_fetch(case: Case) -> None:
    (case.fresh / "params.yaml").write_text("download: {}\n")
    shutil.rmtree(case.root)
    deliveries.fetch(case.root, case.fresh, "HEAD")
    assert not (case.fresh / "data/raw").exists()
