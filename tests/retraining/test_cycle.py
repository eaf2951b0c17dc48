"""The story of a few batches: proposed, refused, or left alone, and main is never touched."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from fashion_mnist.data import idx, sources
from fashion_mnist.data.idx import Uint8
from fashion_mnist.files import sha256
from stages.download import FILES, HALVES
from tests.conftest import run
from tests.pipeline.test_pipeline import clone, commit

pytestmark = pytest.mark.slow

Pair = tuple[Uint8, Uint8]
FIRST, MORE = 6000, 12_000  # images that the champion has seen a part of; of a batch

# Writes down what it is asked for. There is no GitHub here.
GH = """#!/bin/sh
[ "$2" = list ] && { echo '[]'; exit; }
printf '%s\\n' "$@" > {log}
"""

# A recipe that is clearly better than the champion's.
LARGER = """\
train:
  arguments:
    convolutions:
      - {channels: 32, pool: 2}
      - {channels: 32, pool: 2}
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder = tmp_path_factory.mktemp("release")
    with sources.opened("debian:dataset-fashion-mnist") as place:
        for name in FILES:
            (folder / name).write_bytes(gzip.decompress(Path(place, f"{name}.gz").read_bytes()))
    return {
        half: idx.read_pair(*(folder / name for name in names)) for half, names in HALVES.items()
    }


class Story:
    """A repository with a champion, its origin, a remote of DVC, and an inbox."""

    def __init__(self, folder: Path, release: dict[str, Pair]) -> None:
        self.release = release
        self.folder = clone(folder / "repository")
        self.origin = folder / "origin.git"
        self.inbox = folder / "inbox"
        self.store = folder / "store"
        self.tools = folder / "tools"
        self.asked = folder / "asked"
        for place in (self.inbox, self.tools):
            place.mkdir()
        (self.tools / "gh").write_text(GH.replace("{log}", str(self.asked)))
        (self.tools / "gh").chmod(0o755)
        self._write_release(folder / "source")
        (self.folder / "recipes/larger.yaml").write_text(LARGER)
        run("dvc", "remote", "add", "--local", "--default", "store", self.store, cwd=self.folder)
        # What is committed for the whole release says nothing about this one.
        shutil.rmtree(self.folder / "published")
        (self.folder / "dvc.lock").unlink()
        run("dvc", "repro", "dvc.yaml", cwd=self.folder)
        commit(self.folder, "champion")
        run("git", "branch", "--move", "--force", "main", cwd=self.folder)
        run("git", "clone", "--quiet", "--bare", self.folder, self.origin, cwd=folder)
        run("git", "remote", "remove", "origin", cwd=self.folder)
        run("git", "remote", "add", "origin", self.origin, cwd=self.folder)

    def _write_release(self, source: Path) -> None:
        """Let the pipeline take a tenth of the training file for all of it, and a small model."""
        source.mkdir()
        pins = {}
        for half, names in HALVES.items():
            images, labels = self.release[half]
            count = FIRST if half == "train" else len(labels)
            for name, array in zip(names, (images[:count], labels[:count]), strict=True):
                idx.write(source / name, array)
                path = source / name
                pins[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        yaml = YAML()
        path = self.folder / "params.yaml"
        params = yaml.load(path)
        params["download"] |= {"sources": [str(source)], "files": pins}
        params["split"] |= {"size": 1000, "role": "validation"}
        params["train"] |= {
            "model": "fashion_cnn",
            "arguments": {
                "convolutions": [{"channels": 16, "stride": 2, "pool": 2}],
                "dense": [{"units": 10, "activation": "softmax"}],
            },
            "optimizer": {"name": "adam", "learning_rate": 0.003},
            "augmentation": None,
            "selection": None,
            "batch_size": 32,
            "epochs": 4,
        }
        params["review"] |= {"floors": {"accuracy": 0.6, "class_recall": 0.1}}
        params["review"] |= {"growth": {"parameters": 10, "flops": 100}}
        params["review"]["inbox"] = str(self.inbox)
        yaml.dump(params, path)

    def part(self, start: int, count: int) -> Pair:
        """Return images of the training file that the champion has not seen."""
        images, labels = self.release["train"]
        return images[FIRST + start :][:count], labels[FIRST + start :][:count]

    def offer(self, name: str, images: Uint8, labels: Uint8) -> None:
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = self.inbox / f"{name}-{kind}-ubyte"
            idx.write(path, array)
            (self.inbox / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            path.unlink()

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}"}

    def retrain(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "review", "retrain", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        with log.open("w") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "review", "retrain"],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def refs(self) -> dict[str, str]:
        """Return the branches of the origin."""
        lines = run("git", "show-ref", "--heads", cwd=self.origin).splitlines()
        return {name.removeprefix("refs/heads/"): tip for tip, name in map(str.split, lines)}

    def ledger(self) -> list[dict[str, Any]]:
        text = run("git", "show", "retrain-ledger:ledger.jsonl", cwd=self.origin)
        return [json.loads(line) for line in text.splitlines()]

    def untouched(self) -> bool:
        """Return whether the user's checkout is as it was."""
        status = run("git", "status", "--porcelain", cwd=self.folder)
        return status == "" and not list((self.folder / ".dvc/tmp/retrain").glob("clone/*"))


@pytest.fixture(scope="module")
def story(release: dict[str, Pair], tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("story"), release)


@pytest.fixture(autouse=True)
def main_stays(story: Story) -> Iterator[None]:
    before = story.refs()["main"]
    yield
    after = story.refs()["main"]
    assert run("git", "merge-base", before, after, cwd=story.origin).strip() == before
    assert story.untouched()


def test_an_empty_inbox(story: Story) -> None:
    before = story.refs()
    done = story.retrain()
    assert (done.returncode, done.stdout) == (0, "nothing new\n")
    assert story.refs() == before


def test_a_good_batch_is_proposed(story: Story, tmp_path: Path) -> None:
    story.offer("monday", *story.part(0, MORE))
    done = story.retrain("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "12,000 images" in done.stdout
    assert "the champion agrees with" in done.stdout
    assert set(story.refs()) == {"main"}

    done = story.retrain()
    assert done.returncode == 0, done.stderr
    assert "better, accepted" in done.stdout
    (branch,) = set(story.refs()) - {"main", "retrain-ledger"}
    assert re.fullmatch(r"retrain/\d{4}-\d\d-\d\d-[0-9a-f]{8}", branch)
    words = f"pr create --base main --head {branch} --title Retrained: better"
    assert " ".join(story.asked.read_text().split()).startswith(words)
    (entry,) = story.ledger()
    assert (entry["batch"], entry["decision"]) == ("monday", "proposed")
    figures = entry["figures"]
    # Not only significant: three times the images are worth some points.
    assert figures["accuracy_after"] > figures["accuracy_before"] + 0.01

    # Whoever takes the branch finds its data, and nothing left to do.
    taken = tmp_path / "taken"
    run("git", "clone", "--quiet", "--branch", branch, story.origin, taken, cwd=tmp_path)
    run("dvc", "remote", "add", "--local", "--default", "store", story.store, cwd=taken)
    run("dvc", "pull", "dvc.yaml", cwd=taken)
    assert "Running stage" not in run("dvc", "repro", "dvc.yaml", cwd=taken)
    assert run("git", "status", "--porcelain", cwd=taken) == ""
    found = json.loads(
        run(sys.executable, "-m", "review", "compare", "origin/main", "--json", cwd=taken)
    )
    assert (found["verdict"], found["accepted"]) == ("better", True)
    with np.load(taken / "data/split/train.npz", allow_pickle=False) as train:
        assert len(train["labels"]) == FIRST - 1000 + MORE


def test_the_same_batch_again(story: Story) -> None:
    before = story.refs()
    # Its name does not make another one of it.
    for path in list(story.inbox.iterdir()):
        path.rename(path.with_name(path.name.replace("monday", "tuesday")))
    done = story.retrain()
    assert (done.returncode, done.stdout) == (0, "nothing new\n")
    assert story.refs() == before


def test_shuffled_labels_are_refused(story: Story) -> None:
    images, labels = story.part(MORE, 3000)
    story.offer("shuffled", images, np.random.default_rng(0).permutation(labels))
    assert story.retrain("--dry-run").returncode == 1
    done = story.retrain()
    assert done.returncode == 1, done.stderr
    assert "refused: the champion agrees with" in done.stdout
    assert "Running stage 'train'" not in done.stderr
    assert story.ledger()[-1]["decision"] == "refused"
    assert len(story.refs()) == 3


def test_some_wrong_labels_are_refused_by_the_test_set(story: Story) -> None:
    """Enough of them are right for the champion to agree; the challenger is the worse for it."""
    images, labels = story.part(MORE + 3000, MORE)
    labels = labels.copy()
    # As if somebody had taken T-shirts and pullovers for shirts.
    labels[np.isin(labels, (0, 2))] = 6
    story.offer("confused", images, labels)
    done = story.retrain()
    assert done.returncode == 1, done.stderr
    assert "worse, refused" in done.stdout
    assert "Refused by" in " ".join(story.ledger()[-1]["why"])
    assert len(story.refs()) == 3


def test_images_of_the_test_set_are_refused(story: Story) -> None:
    images, labels = story.part(MORE, 500)
    test_images, test_labels = story.release["t10k"]
    mixed = np.concatenate([images, test_images[:20]]), np.concatenate([labels, test_labels[:20]])
    story.offer("leaking", *mixed)
    (story.inbox / "broken.csv").write_text("no,header\n")
    (story.inbox / "notes.txt").write_text("not a batch")
    done = story.retrain()
    assert done.returncode == 1, done.stderr
    assert "20 images are in the test set too: a leak (index 500, 501" in done.stdout
    assert "broken.csv: line 1: column 1 is 'no', expected 'label'" in done.stdout
    assert "Running stage 'train'" not in done.stderr
    assert {entry["batch"] for entry in story.ledger()[-2:]} == {"leaking", "broken.csv"}
    assert (story.retrain().stdout) == "nothing new\n"


def wait_for(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)


def test_killed_in_the_middle(story: Story, tmp_path: Path) -> None:
    story.offer("wednesday", *story.part(20_000, MORE))
    before, log = story.refs(), tmp_path / "log"
    process = story.start(log)
    wait_for("> python -m stages.train", log, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert story.refs() == before
    done = story.retrain("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "wednesday" in done.stdout


def test_main_moves_meanwhile_and_nobody_else_is_at_work(story: Story, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = story.start(log)
    wait_for("> python -m stages.train", log, process)
    second = story.retrain()
    assert second.returncode == 2
    assert "another retraining is at work here" in second.stderr
    other = tmp_path / "other"
    run("git", "clone", "--quiet", story.origin, other, cwd=tmp_path)
    (other / "README.md").write_text("Something else.\n")
    commit(other, "meanwhile")
    run("git", "push", "--quiet", "origin", "HEAD:main", cwd=other)
    assert process.wait() == 0, log.read_text()
    assert "main has moved meanwhile: once more, from there" in log.read_text()
    branch = story.ledger()[-1]["branch"]
    assert run("git", "rev-parse", f"{branch}~1", cwd=story.origin).strip() == story.refs()["main"]


def test_without_pushing(story: Story) -> None:
    before = story.refs()
    story.offer("thursday", *story.part(33_000, 9000))
    done = story.retrain("--no-push")
    assert done.returncode == 0, done.stderr
    (branch,) = re.findall(r"proposed: branch (\S+)", done.stdout)
    assert story.refs() == before
    assert run("git", "rev-parse", branch, cwd=story.folder)
    for command in ("dvc push", f"git push origin {branch}", "gh pr create --base main"):
        assert f"next: {command}" in done.stdout
    # The ledger is kept here for the next time.
    assert story.retrain("--no-push").stdout == "nothing new\n"


def test_a_recipe_is_judged_over_seeds(story: Story, tmp_path: Path) -> None:
    done = story.retrain("--recipe", "larger", "--seeds", "2")
    assert done.returncode == 0, done.stderr
    (branch,) = re.findall(r"proposed: branch (\S+)", done.stdout)
    entry = story.ledger()[-1]
    assert (entry["batch"], entry["decision"]) == ("recipe larger", "proposed")
    taken = tmp_path / "taken"
    run("git", "clone", "--quiet", "--branch", branch, story.origin, taken, cwd=tmp_path)
    # The spread of main, then the proposal.
    before, after = (
        json.loads(run("git", "show", f"{commit}:metrics/spread.json", cwd=taken))
        for commit in ("HEAD~1", "HEAD")
    )
    assert run("git", "rev-parse", "HEAD~2", cwd=taken).strip() == story.refs()["main"]
    assert before["accuracy"]["high"] < after["accuracy"]["mean"]
    found = json.loads(
        run(sys.executable, "-m", "review", "compare", "HEAD~1", "--json", cwd=taken)
    )
    assert found["recipes"]["verdict"] == "better"
    assert all(name.startswith("train.arguments") for name in found["parameters"])
    assert story.retrain("--recipe", "larger", "--seeds", "2").stdout == "nothing new\n"
