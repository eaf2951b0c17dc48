"""A pipeline in a temporary folder, run stage by stage on a few real images."""

import fcntl
import gzip
import hashlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pandas as pd
import pytest
from playwright.sync_api import Browser, sync_playwright
from ruamel.yaml import YAML
from xdist.scheduler import LoadScopeScheduling

from fashion_mnist import dataset, determinism
from fashion_mnist.data.labelled import Uint8
from fashion_mnist.dataset import HALVES
from tests.forked import ROOT, THAT_FORKS, python_that_forks, run_module

FIXTURE = Path(__file__).parent / "fixture"
FILES = [name for names in HALVES.values() for name in names]  # of the release
CLASSES = YAML(typ="safe").load(ROOT / "params.yaml")["download"]["classes"]
FASHION = dataset.described((28, 28), dataset.by_key(CLASSES), "params.yaml")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
AUTHOR = ("-c", "user.name=Test", "-c", "user.email=test@example.org")

# A busy machine is not a fault.
hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")

# dvc, and the python of its stages, also where the virtual environment is not activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


# Kinds of slow tests, the longest first, so that no worker is left alone with one at the end.
KINDS = ("retraining", "pipeline", "faults", "slow")


def start_order(item: pytest.Function) -> tuple[int, bool]:
    """Return the sort key of a test: kinds of slow tests, then tests without `finished`."""
    marks = {mark.name for mark in item.iter_markers()}
    kind = next((place for place, name in enumerate(KINDS) if name in marks), len(KINDS))
    return kind, "finished" in item.fixturenames


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    items.sort(key=start_order)
    # One worker makes `finished` at once, and the others need not wait for it.
    using = [item for item in items if start_order(item) == (len(KINDS), True)]
    for item in using[:1]:
        items.remove(item)
        items.insert(0, item)


class Scheduling(LoadScopeScheduling):
    """Runs the tests of a file with a fixture of module scope in one worker, all others anywhere.

    That is `--dist loadgroup`, which xdist 3.8 does not do with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if 'scope="module"' in _text(file) else nodeid


@cache
def _text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed and return what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def pins() -> dict[str, dict[str, int | str]]:
    """Return length and SHA-256 of the uncompressed files of the fixture."""
    found = {}
    for name in FILES:
        content = gzip.decompress((FIXTURE / f"{name}.gz").read_bytes())
        found[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return found


def commit(folder: Path, message: str) -> None:
    """Commit every change in a repository."""
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", message, cwd=folder)


def clone(folder: Path) -> Path:
    """Clone this repository, with the changes of the working tree, and without any data."""
    run("git", "clone", "--quiet", ROOT, folder, cwd=ROOT)
    changed = run("git", "ls-files", "--modified", "--others", "--exclude-standard", cwd=ROOT)
    for name in changed.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    if run("git", "status", "--porcelain", cwd=folder):
        commit(folder, "working tree")
    return folder


def change(folder: Path, section: str, **settings: Any) -> None:
    """Change parameters in a section of a repository's params.yaml."""
    path = folder / "params.yaml"
    params = YAML().load(path)
    params[section] |= settings
    YAML().dump(params, path)


def repro(folder: Path, *targets: str) -> list[str]:
    """Run `dvc repro` and return the stages that it ran."""
    return re.findall(r"Running stage '([^']+)'", run("dvc", "repro", *targets, cwd=folder))


class Pipeline:
    """The stages of dvc.yaml, run in `folder` with its own params.yaml and without DVC."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands = {
            name: stage["cmd"]
            for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items()
        }
        self.params = YAML(typ="safe").load(ROOT / "params.yaml")
        self.params["download"] |= {"sources": [str(FIXTURE)], "files": deepcopy(pins())}
        self.params["download"]["deliveries"] = []
        self.params["split"]["size"] = 100
        self.params["train"] |= {"batch_size": 32, "epochs": 2}
        self._write()

    def set(self, key: str, value: Any) -> None:
        """Set `section.key` and write params.yaml."""
        section, _, name = key.partition(".")
        self.params[section][name] = value
        self._write()

    def _write(self) -> None:
        path, text = self.folder / "params.yaml", io.StringIO()
        YAML(typ="safe").dump(self.params, text)
        # Another worker may read it at this moment.
        if not path.exists() or path.read_text() != text.getvalue():
            path.write_text(text.getvalue())

    def run(self, stage: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command that dvc.yaml gives for a stage.

        With variables of the environment it is a new process, otherwise a forked one.
        """
        _, _, module, *arguments = shlex.split(self.commands[stage])
        if not environment:
            return run_module(module, *arguments, cwd=self.folder)
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
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


@pytest.fixture(scope="session", autouse=True)
def forked_stages(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Let DVC fork its stages, and return the PATH without that."""
    before = os.environ["PATH"]
    os.environ |= python_that_forks(tmp_path_factory.mktemp("bin"))
    return before


@pytest.fixture(scope="module")
def plain_stages(forked_stages: str) -> Iterator[None]:
    """Let DVC start its stages as it does for users."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", forked_stages)
        patch.delenv(THAT_FORKS)
        yield


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` fills, once for all workers of a run."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, whole = base / name, base / f"{name}-is-whole"
    with (base / f"{name}-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A pipeline whose five stages have run; tests read it and leave it alone."""
    if "MUTANT_UNDER_TEST" in os.environ:
        pytest.skip("a mutant is in this process only, and stages run as processes of their own")

    def make(folder: Path) -> None:
        pipeline = Pipeline(folder)
        for stage in ("download", "split", "preprocess", "train", "evaluate"):
            # New processes: what other tests compare with must not come of a forked one.
            done = pipeline.run(stage, PYTHONHASHSEED="0")
            assert done.returncode == 0, done.stderr

    return Pipeline(once(tmp_path_factory, "finished", make))


@pytest.fixture(scope="session")
def tracked(finished: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished pipeline as a repository of git and DVC with one commit; leave it alone."""

    def make(folder: Path) -> None:
        shutil.copytree(finished.folder, folder, dirs_exist_ok=True)
        for name in (
            ".gitignore",
            "data/.gitignore",
            ".dvcignore",
            "dvc.yaml",
            "requirements.lock",
        ):
            shutil.copy(ROOT / name, folder / name)
        for name in ("fashion_mnist", "stages"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        run("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
        run("dvc", "init", cwd=folder)
        shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
        run("dvc", "commit", "--force", "dvc.yaml", cwd=folder)
        run("git", "add", "--all", cwd=folder)
        run("git", *AUTHOR, "commit", "--quiet", "--message", "first", cwd=folder)

    return once(tmp_path_factory, "tracked", make)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that has trained a small model for an epoch, and committed that."""
    folder = clone(tmp_path_factory.mktemp("small") / "clone")
    pipeline = Pipeline(folder)
    pipeline.params["train"] |= {
        "model": "dense",
        "arguments": {},
        "optimizer": {"name": "adam"},
        "augmentation": None,
        "selection": None,
    }
    pipeline.set("train.epochs", 1)
    # No stage may be skipped because the committed lock file knows it.
    (folder / "dvc.lock").unlink()
    assert repro(folder) == ["download", "split", "preprocess", "train", "evaluate"]
    commit(folder, "small model")
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
