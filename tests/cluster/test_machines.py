"""What several machines compute has the bytes of one, whatever dies meanwhile."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import Machines
from tests.conftest import change, commit, repro, run

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

SPREAD = Path("metrics/spread.json")
TRAIN = ("dvc", "repro", "train")


def started(
    project: Path,
    *command: str,
    until: str = "",
    times: int = 1,
    then: Callable[[], None] = lambda: None,
) -> str:
    """Run a command that must succeed, and return what it printed.

    Args:
        project: Where.
        command: The command.
        until: Do something once it has printed lines with this.
        times: How many of them.
        then: What to do.
    """
    printed = ""
    with subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            printed += line
            if times and until and until in line:
                times -= 1
                if not times:
                    then()
    assert process.returncode == 0, printed
    assert not (until and times), printed
    return printed


@pytest.fixture(scope="module")
def project(small: Path) -> Path:
    """The default network in five shards, which two machines do not share equally; committed."""
    network = {"model": "fast_cnn", "arguments": {"widths": [8, 8, 8]}, "shards": 5, "epochs": 6}
    change(small, "train", **network)
    assert repro(small) == ["train", "evaluate"]
    commit(small, "five shards")
    return small


@pytest.fixture
def clustered(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """The cluster, where RAY_ADDRESS leads."""
    for name, value in machines.variables.items():
        monkeypatch.setenv(name, value)
    return machines


@pytest.mark.parametrize(("loss", "left"), [("worker", "2 machines"), ("machine", "1 machine")])
def test_one_training(project: Path, clustered: Machines, loss: str, left: str) -> None:
    """`dvc repro` ends with the committed lock file, which holds the hashes."""
    (project / "data/model/model.keras").unlink()
    lose = clustered.remove if loss == "machine" else lambda: clustered.kill("ray::Worker")
    printed = started(project, *TRAIN, "--force", "--single-item", until="Epoch 2", then=lose)
    assert "train: starts workers on 2 machines" in printed
    assert f"died; the step resumes on {left}\n" in printed
    assert "images per second on a cluster" in printed
    assert run("git", "status", "--porcelain", cwd=project) == ""


def test_a_spread(project: Path, clustered: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    clustered.add()
    command = (sys.executable, "-m", "review", "spread", "--seeds", "2")
    # Both have a checkpoint then, in a folder that both machines see.
    printed = started(project, *command, until="Epoch 2", times=2, then=clustered.remove)
    assert "train: resuming after epoch" in printed
    found = (project / SPREAD).read_bytes()
    (project / SPREAD).unlink()
    run("rm", "-r", ".dvc/tmp/spread", cwd=project)
    monkeypatch.delenv("RAY_ADDRESS")
    started(project, *command)
    assert (project / SPREAD).read_bytes() == found
    (project / SPREAD).unlink()


def test_one_published_system(
    project: Path, clustered: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = started(project, sys.executable, "-m", "cluster", "published", "dense")
    assert "4 stages ran: " in printed
    monkeypatch.delenv("RAY_ADDRESS")
    assert repro(project / "published", "evaluate@dense") == []
    again = subprocess.run(
        [sys.executable, "-m", "cluster", "published"],
        cwd=project, env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 1
    assert "cluster: error: RAY_ADDRESS is not set: expected the address" in again.stderr
