"""Clusters whose machines are groups of processes on this one, and a project to train."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import cluster
from cluster import stage_job
from tests.conftest import ROOT


class Machines:
    """A cluster of two one-core machines; `variables` leads a process to it."""

    def __init__(self, folder: Path) -> None:
        own = cluster.ALONE | {"RAY_AUTH_TOKEN": secrets.token_hex()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.machines", folder],
            cwd=ROOT,
            env=os.environ | own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        address = self._answer()
        while not address.startswith(cluster.LOOPBACK):  # lines of Ray
            address = self._answer()
        scratch = {stage_job.SCRATCH: str(folder / "stages")}
        self.variables = own | scratch | {"RAY_ADDRESS": address}

    def add(self) -> None:
        """Add a machine."""
        self._ask("add")

    def remove(self) -> None:
        """Take a machine away without notice."""
        self._ask("remove")

    def kill(self, name: str) -> None:
        """Kill a process of these machines whose name begins so, once there is one."""
        kill(self.process.pid, name)

    def end(self) -> None:
        """End all machines."""
        self.process.communicate(timeout=60)

    def _ask(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        while self._answer() != "done":
            pass

    def _answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the cluster has ended"
        return line.strip()


def kill(parent: int, name: str) -> None:
    """Kill a process below another one, once there is one whose name begins so."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        for found in psutil.Process(parent).children(recursive=True):
            try:
                if found.name().startswith(name):
                    found.send_signal(signal.SIGKILL)
                    return
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.1)
    raise AssertionError(f"no process {name}")


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    # The path must be short, for Ray's sockets.
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        found = Machines(Path(folder))
        yield found
        found.end()
