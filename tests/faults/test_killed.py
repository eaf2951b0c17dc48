"""Killed at any moment: no partial output looks whole, and the next run gives the same bytes."""

import re
import shlex
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Pipeline, run, run_module
from tests.faults.conftest import running, same_bytes, wait_for
from tests.faults.killer import killed_at

pytestmark = [pytest.mark.faults, pytest.mark.slow]

STAGES = ["download", "split", "preprocess", "train", "evaluate"]
CHECKPOINT = "data/checkpoint/train.npz"


def run_and_kill(pipeline: Pipeline, stage: str, moment: int, how: signal.Signals) -> str:
    """Run a stage with a signal at its n-th change of a file; 0 for none."""
    _, _, module, *arguments = shlex.split(pipeline.commands[stage])
    around = partial(killed_at, moment, how)
    done = run_module(module, *arguments, cwd=pipeline.folder, around=around)
    assert done.returncode == (-how if moment else 0), done.stderr
    return done.stdout


def without_outputs(copy: Pipeline, stage: str) -> None:
    """Remove what a stage wrote, as DVC does before it runs it."""
    options = shlex.split(copy.commands[stage])
    given = dict(zip(options[3::2], options[4::2], strict=True))
    read = {"--raw", "--download", "--split", "--train", "--validation", "--test", "--pictures"}
    read |= {"--dataset"} if stage != "download" else set()
    read |= {"--model"} if stage == "evaluate" else set()
    for option, path in given.items():
        if option not in read:
            target = copy.folder / path
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)


# When the signals arrive, between the first (0) and the last (1) change of a file.
MOMENTS = {
    signal.SIGKILL: (0, 0.2, 0.4, 0.6, 0.8, 1),
    signal.SIGTERM: (0.1, 0.3, 0.5, 0.7, 0.9, 1),
}
# Fewer moments where Keras takes seconds.
KERAS_MOMENTS = {signal.SIGKILL: (0, 1), signal.SIGTERM: (0.5,)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_killed(finished: Pipeline, copy: Pipeline, stage: str) -> None:
    without_outputs(copy, stage)
    whole, inputs = finished.files(), copy.files()
    output = run_and_kill(copy, stage, 0, signal.SIGKILL)
    changes = int(re.findall(r"changes: (\d+)", output)[-1])
    assert copy.files() == whole
    moments = KERAS_MOMENTS if stage in ("train", "evaluate") else MOMENTS
    for how, share in ((how, share) for how, shares in moments.items() for share in shares):
        moment = 1 + round(share * (changes - 1))
        without_outputs(copy, stage)
        assert copy.files() == inputs
        run_and_kill(copy, stage, moment, how)
        left = {path: content for path, content in copy.files().items() if ".tmp-" not in path}
        left.pop(CHECKPOINT, None)
        wrong = [path for path, content in left.items() if whole.get(path) != content]
        assert wrong == [], f"at change {moment} of {changes}"
        copy.run_all(stage)
        assert copy.files() == whole


def kill_dvc_in(stage: str, folder: Path, how: signal.Signals) -> list[str]:
    """Send DVC a signal while it runs a stage, and return the stages it had started."""
    log = folder.parent / "log"
    with log.open("w") as output:
        process = subprocess.Popen(["dvc", "repro"], cwd=folder, stdout=output, stderr=output)
    wait_for(lambda: f"-m stages.{stage}" in log.read_text() and running(folder), stage)
    if stage == "train":
        wait_for((folder / CHECKPOINT).exists, "a finished epoch")
    assert process.poll() is None, log.read_text()
    process.send_signal(how)
    assert process.wait() != 0
    wait_for(lambda: not running(folder), "the end of the stage")
    return re.findall(r"Running stage '(\w+)'", log.read_text())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_dvc_that_is_killed(fresh: Path, how: signal.Signals) -> None:
    """Once in every stage: finished stages are not run again, and the training resumes."""
    before = None
    for stage in STAGES:
        assert kill_dvc_in(stage, fresh, how) == ([before, stage] if before else [stage])
        before = stage
    # The stage notices up to half a second later that DVC is gone.
    assert re.search("train: resuming after epoch [12],", (fresh.parent / "log").read_text())
    output = run("dvc", "repro", cwd=fresh)
    assert re.findall(r"Running stage '(\w+)'", output) == ["evaluate"]
    assert same_bytes(fresh)
    assert not list(fresh.rglob(".tmp-*"))
    assert not (fresh / CHECKPOINT).exists()
