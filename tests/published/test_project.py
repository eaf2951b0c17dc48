"""The published systems are a DVC project of their own, which the main one does not see."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import AUTHOR, ROOT, Pipeline, run

pytestmark = [pytest.mark.slow, pytest.mark.pipeline]

# Paths, stages and parameters of the published systems; the path of the checkout may be anything.
PUBLISHED = re.compile(r"published/(data|dvc|metrics|params)|train@|lenet")
STAGES = ["split@all", "preprocess@all", "train@dense", "evaluate@dense", "aggregate"]


@pytest.fixture(scope="module")
def fresh(finished: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A commit of everything after a run of the main pipeline, without published data."""
    folder = tmp_path_factory.mktemp("fresh")
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in run(*listed, cwd=ROOT).splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copytree(finished.folder, folder, dirs_exist_ok=True)
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
    run("dvc", "commit", "--force", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "first", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def tiny(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose published project has one system, trained for one epoch and committed."""
    folder = tmp_path_factory.mktemp("tiny")
    shutil.copytree(fresh, folder, dirs_exist_ok=True)
    project = folder / "published"
    (project / "dvc.lock").unlink()
    shutil.rmtree(project / "metrics")
    params = YAML(typ="safe").load(project / "params.yaml")
    params["sets"] = {"all": params["sets"]["all"]}
    params["systems"] = {"dense": params["systems"]["dense"]}
    params["systems"]["dense"]["train"]["epochs"] = 1
    YAML(typ="safe").dump(params, project / "params.yaml")
    assert re.findall(r"Running stage '([^']+)'", run("dvc", "repro", cwd=project)) == STAGES
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "tiny", cwd=folder)
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "data status --untracked-files",
        "dag",
        "exp show --csv",
        "metrics diff HEAD",
        "params diff HEAD",
        "plots show --json",
        "plots diff HEAD --json",
    ],
)
def test_a_command_in_the_root_is_about_the_main_pipeline(fresh: Path, command: str) -> None:
    assert not PUBLISHED.search(run("dvc", *command.split(), cwd=fresh))


def test_an_experiment_of_the_main_pipeline_is_applied(fresh: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(fresh, folder)
    run("dvc", "exp", "run", "--name", "bins", "--set-param", "evaluate.bins=10", cwd=folder)
    run("git", "checkout", "--quiet", ".", cwd=folder)
    run("dvc", "checkout", cwd=folder)
    run("dvc", "exp", "apply", "bins", cwd=folder)
    assert YAML(typ="safe").load(folder / "params.yaml")["evaluate"]["bins"] == 10
    assert "published" not in run("git", "status", "--porcelain", cwd=folder)


def test_the_published_project_runs_on_the_data_of_the_main_one(tiny: Path) -> None:
    project = tiny / "published"
    found = json.loads((project / "metrics/published.json").read_text())["systems"]
    assert found["dense"]["status"] == "run"
    assert (project / "data/systems/dense/model.keras").exists()
    assert run("git", "status", "--porcelain", cwd=tiny) == ""
    assert "No changes" in run("dvc", "data", "status", "--untracked-files", cwd=tiny)
    assert "up to date" in run("dvc", "status", cwd=project)
    assert run("dvc", "dag", cwd=project).count("train@") == 1


def test_the_cache_is_shared(tiny: Path) -> None:
    """So garbage collection in one project has to be told of the other."""
    lock = YAML(typ="safe").load(tiny / "published/dvc.lock")["stages"]["train@dense"]
    (model,) = [out["md5"] for out in lock["outs"] if out["path"].endswith("model.keras")]
    place = f"files/md5/{model[:2]}/{model[2:]}"
    assert (tiny / ".dvc/cache" / place).exists()
    collect = ("dvc", "gc", "--workspace", "--dry")
    assert place in run(*collect, cwd=tiny)
    assert place not in run(*collect, "--projects", "published", cwd=tiny)


@pytest.fixture
def untrained(tiny: Path, tmp_path: Path) -> tuple[Path, Callable[[int], None]]:
    """A copy of the published project, and what sets the number of epochs in it."""
    shutil.copytree(tiny, tmp_path / "copy")
    project = tmp_path / "copy/published"

    def set_epochs(epochs: int) -> None:
        params: dict[str, Any] = YAML(typ="safe").load(project / "params.yaml")
        params["systems"]["dense"]["train"]["epochs"] = epochs
        YAML(typ="safe").dump(params, project / "params.yaml")

    return project, set_epochs


def test_a_failing_stage_fails_dvc(untrained: tuple[Path, Callable[[int], None]]) -> None:
    project, set_epochs = untrained
    set_epochs(0)
    done = subprocess.run(
        ["dvc", "repro", "train@dense"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    expected = "published/params.yaml: systems.dense.train.epochs: got 0, expected greater than 0"
    assert f"train: error: {expected}" in done.stderr


@pytest.mark.usefixtures("plain_stages")
@pytest.mark.skipif(not Path("/proc").exists(), reason="there is no /proc on this machine")
def test_a_training_ends_with_the_dvc_that_runs_it(
    untrained: tuple[Path, Callable[[int], None]],
) -> None:
    project, set_epochs = untrained
    set_epochs(100_000)
    dvc = subprocess.Popen(
        ["dvc", "repro", "train@dense"],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not list(project.glob("data/*/dense.npz")):  # what a training resumes from
            assert dvc.poll() is None
            time.sleep(0.1)
        # No shell between them: the stage watches its parent.
        (stage,) = Path(f"/proc/{dvc.pid}/task/{dvc.pid}/children").read_text().split()
        command = Path(f"/proc/{stage}/cmdline")
        assert "stages.train" in command.read_text()
    finally:
        dvc.kill()
        dvc.wait()
    try:
        for _ in range(100):
            if not command.exists() or not command.read_text():
                return
            time.sleep(0.1)
        pytest.fail("the training outlives DVC")
    finally:
        if command.exists() and command.read_text():
            os.kill(int(stage), signal.SIGKILL)
