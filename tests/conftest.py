"""A pipeline in a temporary folder, run stage by stage on a few real images."""

import gzip
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser, sync_playwright
from ruamel.yaml import YAML

from fashion_mnist import determinism
from fashion_mnist.data.idx import Uint8
from stages.download import FILES

ROOT = Path(__file__).parent.parent
FIXTURE = Path(__file__).parent / "fixture"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
AUTHOR = ("-c", "user.name=Test", "-c", "user.email=test@example.org")

# dvc, and the python of its stages, also where the virtual environment is not activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What takes longest goes first, so that no worker is left alone with it at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed and return what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Pipeline:
    """The stages of dvc.yaml, run in `folder` with its own params.yaml and without DVC."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands = {
            name: stage["cmd"]
            for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items()
        }
        self.params = YAML(typ="safe").load(ROOT / "params.yaml")
        self.set("download.sources", [str(FIXTURE)])
        for name in FILES:
            content = gzip.decompress((FIXTURE / f"{name}.gz").read_bytes())
            pin = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            self.params["download"]["files"][name] = pin
        self.set("split.size", 100)
        self.set("train.batch_size", 32)
        self.set("train.epochs", 2)

    def set(self, key: str, value: Any) -> None:
        """Set `section.key` and write params.yaml."""
        section, _, name = key.partition(".")
        self.params[section][name] = value
        YAML(typ="safe").dump(self.params, self.folder / "params.yaml")

    def run(self, stage: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command that dvc.yaml gives for a stage."""
        command = shlex.split(self.commands[stage])
        return subprocess.run(
            [sys.executable, *command[1:]],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run_all(self, *stages: str) -> None:
        """Run stages that must succeed."""
        for stage in stages:
            done = self.run(stage)
            assert done.returncode == 0, done.stderr

    def refuses(self, stage: str, *words: str) -> None:
        """Check that a stage ends with one line that has all `words`, and leaves no trace."""
        before = self.files()
        done = self.run(stage)
        complaints = [line for line in done.stderr.splitlines() if f"{stage}: error:" in line]
        assert done.returncode == 1, done.stderr
        assert len(complaints) == 1, done.stderr
        assert "Traceback" not in done.stderr
        for word in words:
            assert word in complaints[0]
        assert self.files() == before

    def files(self) -> dict[str, bytes]:
        """Return the content of every file by path."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


def kaggle_table(images: Uint8, labels: Uint8) -> pd.DataFrame:
    """Return images (n, 28, 28) and labels (n,) as the table that Kaggle distributes as CSV."""
    table = pd.DataFrame(images.reshape(len(images), -1))
    table.columns = [f"pixel{number}" for number in range(1, 785)]
    table.insert(0, "label", labels)
    return table


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A pipeline whose five stages have run; tests read it and leave it alone."""
    if "MUTANT_UNDER_TEST" in os.environ:
        pytest.skip("a mutant is in this process only, and stages run as processes of their own")
    pipeline = Pipeline(tmp_path_factory.mktemp("finished"))
    pipeline.run_all("download", "split", "preprocess", "train", "evaluate")
    return pipeline


@pytest.fixture(scope="session")
def tracked(finished: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished pipeline as a repository of git and DVC with one commit; leave it alone."""
    folder = tmp_path_factory.mktemp("tracked")
    shutil.copytree(finished.folder, folder, dirs_exist_ok=True)
    for name in (".gitignore", "data/.gitignore", ".dvcignore", "dvc.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("fashion_mnist", "published", "stages"):
        shutil.copytree(ROOT / name, folder / name)
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
    run("dvc", "init", cwd=folder)
    shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
    run("dvc", "commit", "--force", "dvc.yaml", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "first", cwd=folder)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def copy(finished: Pipeline, tmp_path: Path) -> Pipeline:
    """A copy of the finished pipeline, for tests that change something in it."""
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    return Pipeline(tmp_path)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """The fixture images as four uncompressed IDX files."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes(gzip.decompress((FIXTURE / f"{name}.gz").read_bytes()))
    return folder


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras, loaded once with the settings of the pipeline."""
    if "tensorflow" not in sys.modules:
        determinism.start(0)
    import keras

    return keras
