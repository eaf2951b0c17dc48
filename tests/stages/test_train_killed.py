"""A killed training resumes from its checkpoint and ends with the same bytes."""

import os
import pickle
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from fashion_mnist import determinism
from fashion_mnist.files import write_checksums
from tests.conftest import ROOT, Pipeline
from tests.stages.conftest import outputs, small

CHECKPOINT = "data/checkpoint/train.npz"

pytestmark = [pytest.mark.slow, pytest.mark.pipeline]


def start(pipeline: Pipeline, cores: int) -> subprocess.Popen[str]:
    command = shlex.split(pipeline.commands["train"])
    return subprocess.Popen(
        [sys.executable, *command[1:]],
        cwd=pipeline.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), determinism.CORES: str(cores)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished_epochs(path: Path) -> int:
    """Return the number of epochs in a checkpoint, 0 if there is none."""
    if not path.exists():
        return 0
    with np.load(path, allow_pickle=False) as archive:
        return archive["record"].tobytes().count(b"val_loss")


def kill_after(pipeline: Pipeline, epochs: int, delay: float = 0, cores: int = 2) -> None:
    """Start a training on some cores and kill it `delay` seconds after an epoch was saved."""
    path = pipeline.folder / CHECKPOINT
    process = start(pipeline, cores)
    while process.poll() is None and finished_epochs(path) < epochs:
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was too fast to be killed"


def everything(pipeline: Pipeline) -> Pipeline:
    """Let a pipeline train with everything that a checkpoint can hold: BatchNorm, dropout, two
    optimizers in one, schedule, augmentation, selection, and a best epoch before the last."""
    default = YAML(typ="safe").load(ROOT / "params.yaml")["train"]
    kept = {key: default[key] for key in ("optimizer", "schedule")}
    kept["augmentation"] = {"flip": True, "shift": 1}
    return small(pipeline, epochs=20, select="best", selection={"share": 0.6}, **kept)


@pytest.fixture(scope="module")
def expected(finished: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The outputs of a training that nobody kills."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(finished.folder, folder, dirs_exist_ok=True)
    pipeline = everything(Pipeline(folder))
    pipeline.run_all("train")
    assert not (folder / CHECKPOINT).exists()
    return outputs(pipeline)


@pytest.fixture(scope="module")
def killed(finished: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint of a training that was killed after two epochs."""
    folder = tmp_path_factory.mktemp("killed")
    shutil.copytree(finished.folder, folder, dirs_exist_ok=True)
    kill_after(everything(Pipeline(folder)), 2)
    return (folder / CHECKPOINT).read_bytes()


def leave(pipeline: Pipeline, checkpoint: bytes) -> None:
    (pipeline.folder / CHECKPOINT).parent.mkdir(exist_ok=True)
    (pipeline.folder / CHECKPOINT).write_bytes(checkpoint)


def resumed(pipeline: Pipeline) -> str:
    done = pipeline.run("train")
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_killed_training_ends_with_the_same_bytes(copy: Pipeline, expected: list[bytes]) -> None:
    """It resumes on more cores, and on fewer."""
    everything(copy)
    for epochs, delay, cores in ((1, 0.0, 1), (5, 0.02, 8), (12, 0.005, 1)):
        kill_after(copy, epochs, delay, cores)
    assert "train: resuming after epoch" in resumed(copy)
    assert outputs(copy) == expected
    assert not (copy.folder / CHECKPOINT).exists()


def test_training_killed_after_its_last_epoch(copy: Pipeline, expected: list[bytes]) -> None:
    """Its checkpoint is removed once the outputs are there, not before."""
    everything(copy)
    path = copy.folder / "metrics/train.json"
    path.unlink()
    path.mkdir()  # so that it cannot be written
    assert copy.run("train").returncode == 1
    assert finished_epochs(copy.folder / CHECKPOINT) == 20
    path.rmdir()
    printed = resumed(copy)
    assert "train: resuming after epoch 20" in printed
    assert "images per second" not in printed
    assert outputs(copy) == expected


def test_training_with_a_limit_of_steps_resumes(copy: Pipeline) -> None:
    everything(copy).set("train.steps", 30)  # in the eighth epoch
    copy.run_all("train")
    whole = outputs(copy)
    kill_after(copy, 4)
    assert "train: resuming after epoch" in resumed(copy)
    assert outputs(copy) == whole


def test_checkpoint_of_another_training_is_not_used(copy: Pipeline, killed: bytes) -> None:
    everything(copy).set("train.seed", 28)
    copy.run_all("train")
    whole = outputs(copy)
    leave(copy, killed)
    assert "has other parameters, data, code or libraries; starting from scratch" in resumed(copy)
    assert outputs(copy) == whole


def test_checkpoint_of_other_data_is_not_used(copy: Pipeline, killed: bytes) -> None:
    path = everything(copy).folder / "data/prepared/train/images.npy"
    images = np.load(path)
    images[0, 0, 0, 0] += 0.5
    np.save(path, images)
    write_checksums(path.parent)
    leave(copy, killed)
    assert "has other parameters, data, code or libraries; starting from scratch" in resumed(copy)


@pytest.mark.parametrize("module", ["models/fashion_cnn", "training/batches", "training/muon"])
def test_checkpoint_of_other_code_is_not_used(
    copy: Pipeline, killed: bytes, tmp_path_factory: pytest.TempPathFactory, module: str
) -> None:
    code = tmp_path_factory.mktemp("code")
    for name in ("fashion_mnist", "stages"):
        shutil.copytree(ROOT / name, code / name)
    with (code / f"fashion_mnist/{module}.py").open("a") as file:
        file.write("# changed\n")
    leave(everything(copy), killed)
    done = copy.run("train", PYTHONPATH=str(code))
    assert done.returncode == 0, done.stderr
    assert "has other parameters, data, code or libraries; starting from scratch" in done.stderr


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "pickle"])
def test_damaged_checkpoint_is_reported_and_not_used(
    copy: Pipeline, expected: list[bytes], killed: bytes, damage: str
) -> None:
    flipped = bytearray(killed)
    flipped[len(flipped) // 2] ^= 1
    checkpoints = {"flip": flipped, "cut": killed[:-100], "empty": b"", "pickle": pickle.dumps([1])}
    leave(everything(copy), checkpoints[damage])
    assert f"{CHECKPOINT} is damaged" in resumed(copy)
    assert outputs(copy) == expected
