"""What several machines compute has the bytes of one, whatever dies meanwhile."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cluster.conftest import Machines
from tests.conftest import change, commit, repro, run
from tests.forked import run_module

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

SPREAD = Path("metrics/spread.json")


class Event(NamedTuple):
    """What happens once a command has printed a line so many times."""

    line: str
    then: Callable[[], None]
    times: int = 1


def started(project: Path, *command: str, events: Sequence[Event] = ()) -> str:
    """Run a command that must succeed, and return what it printed.

    Args:
        project: Where.
        command: The command.
        events: What to do meanwhile, one after the other.
    """
    printed = ""
    waiting = list(events)
    with subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            printed += line
            if waiting and printed.count(waiting[0].line) == waiting[0].times:
                waiting.pop(0).then()
    assert process.returncode == 0, printed
    assert not waiting, printed
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


def test_one_training(project: Path, clustered: Machines) -> None:
    """`dvc repro` ends with the committed lock file, which holds the hashes."""
    (project / "data/model/model.keras").unlink()
    losses = (
        Event("Epoch 2", lambda: clustered.kill("ray::Worker")),
        Event("Epoch 4", clustered.remove),
    )
    training = ("dvc", "repro", "train", "--force", "--single-item")
    printed = started(project, *training, events=losses)
    assert "train: starts workers on 2 machines" in printed
    assert "died; the step resumes on 2 machines\n" in printed
    assert "died; the step resumes on 1 machine\n" in printed
    assert "images per second on a cluster" in printed
    assert run("git", "status", "--porcelain", cwd=project) == ""


def test_a_spread(project: Path, clustered: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    clustered.add()
    command = ("review", "spread", "--seeds", "2")
    # Both have a checkpoint then, in a folder that both machines see.
    loss = Event("Epoch 2", clustered.remove, times=2)
    printed = started(project, sys.executable, "-m", *command, events=[loss])
    assert "train: resuming after epoch" in printed
    found = (project / SPREAD).read_bytes()
    (project / SPREAD).unlink()
    run("rm", "-r", ".dvc/tmp/spread", cwd=project)
    monkeypatch.delenv("RAY_ADDRESS")
    done = run_module(*command, cwd=project)
    assert done.returncode == 0, done.stderr
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
