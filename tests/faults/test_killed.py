"""Killed at any moment: nothing half-written looks whole, and a second run gives the same bytes."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, Pipeline, run
from tests.faults.conftest import same_bytes

pytestmark = pytest.mark.slow

STAGES = ["download", "split", "preprocess", "train", "evaluate"]

# Runs a module and sends the process a signal as it is about to open a file of the current folder
# for writing, or to rename, make or remove one, for the n-th time. Tells how often it did.
KILLER = """
import atexit, os, runpy, sys
moment, how, module, *sys.argv[1:] = sys.argv[1:]
count, here = 0, os.getcwd()
def hook(event, args):
    global count
    if event == "open":
        changes = args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    else:
        changes = event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")
    if changes and os.path.abspath(os.fsdecode(args[0])).startswith(here):
        count += 1
        if count == int(moment):
            os.kill(os.getpid(), int(how))
sys.addaudithook(hook)
atexit.register(lambda: print("changes:", count))
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def run_and_kill(pipeline: Pipeline, stage: str, moment: int, how: signal.Signals) -> str:
    """Run a stage with a signal at its n-th change of a file; 0 for none."""
    _, _, module, *arguments = shlex.split(pipeline.commands[stage])
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(moment), str(how.value), module, *arguments],
        cwd=pipeline.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (-how if moment else 0), done.stderr
    return done.stdout


def without_outputs(copy: Pipeline, stage: str) -> None:
    """Remove what a stage wrote, as DVC does before it runs it."""
    options = shlex.split(copy.commands[stage])
    given = dict(zip(options[3::2], options[4::2], strict=True))
    read = {"--raw", "--download", "--split", "--train", "--validation", "--test", "--pictures"}
    read |= {"--model"} if stage == "evaluate" else set()
    for option, path in given.items():
        if option not in read:
            target = copy.folder / path
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_killed(
    finished: Pipeline, copy: Pipeline, stage: str, how: signal.Signals
) -> None:
    without_outputs(copy, stage)
    whole, inputs = finished.files(), copy.files()
    changes = int(re.findall(r"changes: (\d+)", run_and_kill(copy, stage, 0, how))[-1])
    assert copy.files() == whole
    # TensorFlow takes long to load. One signal gets the first and the last change.
    moments = 2 if stage in ("train", "evaluate") else 6
    offset = 0.5 if how == signal.SIGTERM else 0
    for number in range(moments):
        moment = 1 + round(min((number + offset) / (moments - 1), 1) * (changes - 1))
        without_outputs(copy, stage)
        assert copy.files() == inputs
        run_and_kill(copy, stage, moment, how)
        left = {path: content for path, content in copy.files().items() if ".tmp-" not in path}
        left.pop("data/state/train.npz", None)
        wrong = [path for path, content in left.items() if whole.get(path) != content]
        assert wrong == [], f"at change {moment} of {changes}"
        copy.run_all(stage)
        assert copy.files() == whole


def running(folder: Path) -> list[psutil.Process]:
    """Return the stages that run in a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = " ".join(process.info["cmdline"] or [])
        if process.info["cwd"] == str(folder) and re.search(r"-m stages\.\w+", words):
            found.append(process)
    return found


def wait_for(condition: Callable[[], object], what: str) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"a minute has gone by without {what}")


def kill_dvc_in(stage: str, folder: Path, how: signal.Signals) -> list[str]:
    """Send DVC a signal while it runs a stage, and return the stages that it ran."""
    log = folder.parent / "log"
    with log.open("w") as output:
        process = subprocess.Popen(["dvc", "repro"], cwd=folder, stdout=output, stderr=output)
    wait_for(lambda: f"-m stages.{stage}" in log.read_text() and running(folder), stage)
    if stage == "train":
        wait_for((folder / "data/state/train.npz").exists, "a finished epoch")
    assert process.poll() is None, log.read_text()
    process.send_signal(how)
    assert process.wait() != 0
    wait_for(lambda: not running(folder), "the end of the stage")
    return re.findall(r"Running stage '(\w+)'", log.read_text())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_dvc_that_is_killed(fresh: Path, how: signal.Signals) -> None:
    """Once in every stage; what the stages before have done is not done again."""
    before = None
    for stage in STAGES:
        assert kill_dvc_in(stage, fresh, how) == ([before, stage] if before else [stage])
        before = stage
    output = run("dvc", "repro", cwd=fresh)
    assert re.findall(r"Running stage '(\w+)'", output) == ["evaluate"]
    assert same_bytes(fresh)
    assert not list(fresh.rglob(".tmp-*"))
