"""A stage does not outlive the DVC that runs it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Starts the stage and waits for it, as DVC does.
RUNNER = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()"
STAGE = """
import os, time
from fashion_mnist import orphan
orphan.watch()
open(os.environ["NUMBER"], "w").write(str(os.getpid()))
time.sleep(60)
"""


def alive(number: int) -> bool:
    """Return whether there is such a process that is not just a record of its end."""
    try:
        status = Path(f"/proc/{number}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc").exists(), reason="there is no /proc on this machine")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("by_dvc", [True, False])
def test_a_stage_ends_with_dvc(tmp_path: Path, how: signal.Signals, by_dvc: bool) -> None:
    file = tmp_path / "number"
    environment = {"PYTHONPATH": str(ROOT), "NUMBER": str(file)}
    environment |= {"DVC_STAGE": "train"} if by_dvc else {}
    heard = tmp_path / "heard"
    with heard.open("wb") as complaints:
        runner = subprocess.Popen(
            [sys.executable, "-c", RUNNER, STAGE], env=os.environ | environment, stderr=complaints
        )
    while not (file.exists() and file.read_text()):
        assert runner.poll() is None
        time.sleep(0.05)
    number = int(file.read_text())
    assert alive(number)
    runner.send_signal(how)
    runner.wait()
    try:
        for _ in range(100):
            if not alive(number):
                break
            time.sleep(0.05)
        assert alive(number) == (not by_dvc)
    finally:
        if alive(number):
            os.kill(number, signal.SIGKILL)
    assert ("the DVC that ran this stage is gone" in heard.read_text()) == by_dvc
