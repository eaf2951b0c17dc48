"""Two runs of `dvc repro` at the same time in one folder."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import run
from tests.faults.conftest import running, same_bytes, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def test_the_second_names_the_process_of_the_first(fresh: Path) -> None:
    # Keeps the entries of later stages; without data and cache it skips no stage.
    run("git", "checkout", "--quiet", "dvc.lock", cwd=fresh)
    command = ["dvc", "repro", "preprocess"]
    log = fresh.parent / "log"
    with log.open("w") as output:
        first = subprocess.Popen(command, cwd=fresh, stdout=output, stderr=output)
    wait_for(lambda: running(fresh), "a stage")
    second = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=False)
    assert second.returncode != 0
    # `--wait-for-lock` does not help: it waits for a different lock, which is held for moments.
    assert f"is busy, it is being blocked by:\n  (PID {first.pid})" in second.stderr
    assert "Running stage" not in second.stdout
    assert first.wait() == 0, log.read_text()
    assert "Running stage 'preprocess'" in log.read_text()
    assert same_bytes(fresh)
