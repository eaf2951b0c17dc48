"""The story of a few deliveries: proposed, refused, or left alone, and main is never touched.

The tests build on each other, in order: deliveries stay in the inbox, decisions in the ledger.
"""

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
from unittest import mock

import numpy as np
import pytest
from ruamel.yaml import YAML

from fashion_mnist.data import idx, sources
from fashion_mnist.data.labelled import Labels, Uint8
from fashion_mnist.dataset import HALVES
from fashion_mnist.files import sha256
from tests.conftest import ROOT, commit, run
from tests.forked import run_module

pytestmark = [pytest.mark.slow, pytest.mark.retraining]

Pair = tuple[Uint8, Labels]
# Images of the training file that the champion is trained with, of t10k that it is scored on, and
# in a delivery. Each training is short, and three times the images are clearly better.
FIRST, SCORED, MORE = 3000, 3000, 7000

# Writes down its arguments; there is no GitHub here.
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
    dense:
      - {units: 10, activation: softmax}
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder = tmp_path_factory.mktemp("release")
    with sources.opened("debian:dataset-fashion-mnist") as place:
        for name in [name for names in HALVES.values() for name in names]:
            (folder / name).write_bytes(gzip.decompress(Path(place, f"{name}.gz").read_bytes()))
    return {
        half: idx.read_pair(*(folder / name for name in names)) for half, names in HALVES.items()
    }


class Story:
    """A repository with a champion, its git origin, its DVC remote, and an inbox."""

    def __init__(self, folder: Path, release: dict[str, Pair]) -> None:
        self.release = release
        self.folder = folder / "repository"
        self.origin = folder / "origin.git"
        self.inbox = folder / "inbox"
        self.store = folder / "store"
        self.tools = folder / "tools"
        self.asked = folder / "asked"
        for place in (self.inbox, self.tools):
            place.mkdir()
        (self.tools / "gh").write_text(GH.replace("{log}", str(self.asked)))
        (self.tools / "gh").chmod(0o755)
        self._copy_code()
        self._write_release(folder / "source")
        run("git", "init", "--quiet", "--initial-branch", "main", cwd=self.folder)
        run("dvc", "remote", "add", "--local", "--default", "store", self.store, cwd=self.folder)
        run("dvc", "repro", "dvc.yaml", cwd=self.folder)
        commit(self.folder, "champion")
        run("git", "clone", "--quiet", "--bare", self.folder, self.origin, cwd=folder)
        run("git", "remote", "add", "origin", self.origin, cwd=self.folder)

    def _copy_code(self) -> None:
        """Copy the working tree without what is committed about the whole release."""
        listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
        for name in listed.splitlines():
            if (ROOT / name).is_file() and not name.startswith(
                ("dvc.lock", "metrics", "published")
            ):
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.folder / name)
        (self.folder / "metrics").mkdir()
        (self.folder / "recipes/larger.yaml").write_text(LARGER)

    def _write_release(self, source: Path) -> None:
        """Let the pipeline take the first images for the whole release, and a small model."""
        source.mkdir()
        pins = {}
        for half, names in HALVES.items():
            images, labels = self.release[half]
            count = FIRST if half == "train" else SCORED
            for name, array in zip(names, (images[:count], labels[:count]), strict=True):
                path = source / name
                idx.write(path, array)
                pins[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        yaml = YAML()
        path = self.folder / "params.yaml"
        params = yaml.load(path)
        params["download"] |= {"sources": [str(source)], "files": pins, "deliveries": []}
        params["split"] |= {"size": 500, "role": "validation"}
        params["train"] |= {
            "model": "fashion_cnn",
            "arguments": {
                "convolutions": [{"channels": 16, "stride": 2, "pool": 2}],
                "dense": [{"units": 10, "activation": "softmax"}],
            },
            "optimizer": {"name": "adam", "learning_rate": 0.003},
            "augmentation": None,
            "selection": None,
            "batch_size": 16,
            "epochs": 4,
        }
        params["evaluate"]["mirror_average"] = False
        # A few seeds leave a wide interval.
        params["review"] |= {"margin": 0.03, "floors": {"accuracy": 0.5, "class_recall": 0.1}}
        params["review"] |= {"growth": {"parameters": 10, "flops": 100}}
        params["retraining"]["inbox"] = str(self.inbox)
        yaml.dump(params, path)

    def part(self, start: int, count: int) -> Pair:
        """Return images of the training file that the champion has not seen."""
        images, labels = self.release["train"]
        return images[FIRST + start :][:count], labels[FIRST + start :][:count]

    def offer(self, name: str, images: Uint8, labels: Labels) -> None:
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = self.inbox / f"{name}-{kind}-ubyte"
            idx.write(path, array)
            compressed = gzip.compress(path.read_bytes(), compresslevel=1, mtime=0)
            (self.inbox / f"{path.name}.gz").write_bytes(compressed)
            path.unlink()

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment with `gh` in front of PATH."""
        return {**os.environ, "PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}"}

    def retrain(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with mock.patch.dict(os.environ, self.environment):
            done = run_module("retraining", *arguments, cwd=self.folder)
        if done.returncode != 2:
            assert not (self.folder / ".dvc/tmp/retrain/clone").exists()
        return done

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        with log.open("w") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "retraining"],
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


@pytest.fixture(scope="module")
def story(release: dict[str, Pair], tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("story"), release)


@pytest.fixture(autouse=True)
def main_stays(story: Story) -> Iterator[None]:
    before = story.refs()["main"]
    yield
    after = story.refs()["main"]
    assert run("git", "merge-base", before, after, cwd=story.origin).strip() == before
    # Neither is the user's checkout.
    assert run("git", "status", "--porcelain", cwd=story.folder) == ""


def take(origin: Path, branch: str, folder: Path) -> Path:
    """Clone a branch."""
    run("git", "clone", "--quiet", "--branch", branch, origin, folder, cwd=folder.parent)
    return folder


def run_job(folder: Path, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the workflows, where `make` finds everything installed."""
    tools = folder / ".venv"
    (tools / "bin").mkdir(parents=True, exist_ok=True)
    for program in ("python", "dvc"):
        path = tools / "bin" / program
        path.write_text(f'#!/bin/sh\nexec {Path(sys.executable).with_name(program)} "$@"\n')
        path.chmod(0o755)
    for target in ("installed", "installed-review", "installed-s3"):
        (tools / target).touch()
    return subprocess.run(
        [folder / ".github" / name],
        cwd=folder,
        env=os.environ | {"DVC_REMOTE_URL": ""} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def compare(folder: Path, base: str) -> dict[str, Any]:
    done = run_module("review", "compare", base, "--json", cwd=folder)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_an_empty_inbox_is_nothing_new(story: Story) -> None:
    before = story.refs()
    done = story.retrain()
    assert (done.returncode, done.stdout) == (0, "nothing new\n")
    assert story.refs() == before


def test_a_dry_run_reports_what_is_refused_and_records_nothing(story: Story) -> None:
    images, labels = story.part(MORE, 3000)
    story.offer("shuffled", images, np.random.default_rng(0).permutation(labels))
    images, labels = story.part(MORE, 500)
    test_images, test_labels = story.release["t10k"]
    mixed = np.concatenate([images, test_images[:20]]), np.concatenate([labels, test_labels[:20]])
    story.offer("leaking", *mixed)
    # The sample of the training file validates.
    with np.load(story.folder / "data/split/validation.npz") as validation:
        mixed = tuple(
            np.concatenate([new[:400], validation[name][:20]])
            for new, name in ((images, "images"), (labels, "labels"))
        )
    story.offer("peeking", *mixed)
    (story.inbox / "empty.csv").touch()
    whole = gzip.compress((story.folder / "params.yaml").read_bytes())
    (story.inbox / "cut.npz.gz").write_bytes(whole[: len(whole) // 2])
    (story.inbox / "broken.csv").write_text("no,header\n")
    (story.inbox / "notes.txt").write_text("not a delivery")
    done = story.retrain("--dry-run")
    assert done.returncode == 1, done.stderr
    assert "Running stage" not in done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "broken.csv:",
        "cut.npz:",
        "empty.csv:",
        "leaking:",
        "peeking:",
        "shuffled:",
    ]
    broken, cut, empty, leaking, peeking, shuffled = (
        line for line in lines if line.startswith("  refused: ")
    )
    assert cut.startswith("  refused: cut.npz.gz: EOFError")
    assert empty == "  refused: empty.csv: empty"
    assert "images of the validation set, a leak: 20 (index 400, 401, " in peeking
    assert f"retraining: inbox {story.inbox}\n" in done.stderr
    assert "retraining: not read: notes.txt: neither IDX, .npz nor CSV\n" in done.stderr
    assert "broken.csv: line 1: column 1 is 'no', expected 'label'" in broken
    assert "images of the test set, a leak: 20 (index 500, 501, " in leaking
    assert "the current model agrees with" in shuffled
    assert set(story.refs()) == {"main"}


def test_a_good_delivery_is_proposed_and_the_bad_ones_beside_it_are_not(
    story: Story, tmp_path: Path
) -> None:
    images, labels = story.part(0, MORE)
    story.offer("monday", images, labels)
    # The same upload, and the same images in another format.
    for path in list(story.inbox.glob("monday-*")):
        shutil.copy(path, path.with_name(path.name.replace("monday", "monday (1)")))
    np.savez(story.inbox / "monday.npz", images=images, labels=labels)
    done = story.retrain()
    assert done.returncode == 0, done.stderr
    assert "better, accepted" in done.stdout
    again = "not read: monday (1)-images-idx3-ubyte.gz: the same as monday"
    assert again in done.stderr
    assert "all images are in monday already" in done.stdout
    (branch,) = set(story.refs()) - {"main", "retrain-ledger"}
    assert re.fullmatch(r"retrain/\d{4}-\d\d-\d\d-[0-9a-f]{8}", branch)
    words = f"pr create --base main --head {branch} --title Retrained: better"
    assert " ".join(story.asked.read_text().split()).startswith(words)
    entries = {entry["delivery"]: entry for entry in story.ledger()}
    assert {name: entry["decision"] for name, entry in entries.items()} == {
        "broken.csv": "refused",
        "cut.npz": "refused",
        "empty.csv": "refused",
        "leaking": "refused",
        "monday": "proposed",
        "monday.npz": "refused",
        "peeking": "refused",
        "shuffled": "refused",
    }
    # Nothing was trained with the bad ones.
    assert [name for name, entry in entries.items() if "p" in entry["figures"]] == ["monday"]
    figures = entries["monday"]["figures"]
    # Not only significant: three times the images are worth some points.
    assert figures["accuracy_after"] > figures["accuracy_before"] + 0.01

    # No other machine has this path.
    text = (story.folder / ".dvc/tmp/retrain/proposal.md").read_text()
    assert "monday-images-idx3-ubyte.gz" in text
    assert str(story.folder.parent) not in text

    # Whoever takes the branch finds its data, and nothing left to do.
    taken = take(story.origin, branch, tmp_path / "taken")
    run("dvc", "remote", "add", "--local", "--default", "store", story.store, cwd=taken)
    run("dvc", "pull", "dvc.yaml", cwd=taken)
    assert "Running stage" not in run("dvc", "repro", "dvc.yaml", cwd=taken)
    assert run("git", "status", "--porcelain", cwd=taken) == ""
    found = compare(taken, "origin/main")
    assert (found["verdict"], found["accepted"]) == ("better", True)
    with np.load(taken / "data/split/train.npz", allow_pickle=False) as train:
        assert len(train["labels"]) == FIRST - 500 + MORE


def test_without_the_data_of_a_delivery_only_what_needs_it_is_not_run(
    story: Story, tmp_path: Path
) -> None:
    (branch,) = set(story.refs()) - {"main", "retrain-ledger"}
    taken = take(story.origin, branch, tmp_path / "taken")
    hidden = story.inbox.rename(tmp_path / "hidden")
    line = f"review: not run: the data of delivery {story.inbox}/monday-images-idx3-ubyte.gz "
    line += "cannot be reached here"
    try:
        for words, code in ((["verify"], 0), (["verify", "--rerun"], 3), (["compare"], 0)):
            done = run_module("review", *words, cwd=taken)
            assert done.returncode == code, done.stdout + done.stderr
            assert (done.stderr.splitlines()[-1:] == [line]) == (code == 3)
        assert run_module("review", "verify", "--fetch", cwd=taken).returncode == 3
        for name in ("repro.sh", "rerun.sh"):
            done = run_job(taken, name)
            assert done.returncode == 0, done.stderr
            assert "Running stage" not in done.stdout + done.stderr
            assert f"::warning::{line}" in done.stdout
        assert run("git", "status", "--porcelain", cwd=taken) == ""

        # With the DVC remote everything runs.
        store = {"DVC_REMOTE_URL": str(story.store)}
        done = run_job(taken, "repro.sh", **store)
        assert done.returncode == 0, done.stderr
        assert "Running stage 'train'" in done.stdout
        assert run("git", "status", "--porcelain", cwd=taken) == ""
        shutil.rmtree(taken / "data/raw")
        done = run_module("review", "verify", "--rerun", "--stages", "split", cwd=taken)
        assert done.returncode == 0, done.stdout + done.stderr

        # A real difference is one whether the data can be reached or not.
        path = taken / "metrics/predictions.csv"
        head, _, *rows = path.read_text().splitlines(keepends=True)
        path.write_text("".join([head, *rows]))
        commit(taken, "forged")
        fresh = take(taken, branch, tmp_path / "fresh")
        for name in ("repro.sh", "rerun.sh"):
            done = run_job(fresh, name)
            assert done.returncode == 1, done.stdout + done.stderr
        assert run_module("review", "verify", "--rerun", cwd=fresh).returncode == 1
    finally:
        hidden.rename(story.inbox)


def test_the_same_files_under_other_names_are_nothing_new(story: Story) -> None:
    before = story.refs()
    for path in list(story.inbox.iterdir()):
        path.rename(path.with_name(f"renamed-{path.name}"))
    done = story.retrain()
    assert (done.returncode, done.stdout) == (0, "nothing new\n")
    assert story.refs() == before


def test_some_wrong_labels_are_refused_by_the_test_set(story: Story) -> None:
    """Enough of them are right for the champion to agree, yet the challenger is worse."""
    images, labels = story.part(27_000, 30_000)
    # As if somebody had taken T-shirts for shirts, more of them than the champion has learnt from.
    shirts, others = np.flatnonzero(labels == 0)[:3000], np.flatnonzero(labels)[:5500]
    rows = np.sort([*shirts, *others])
    story.offer("confused", images[rows], np.where(labels, labels, 6)[rows])
    done = story.retrain()
    assert done.returncode == 1, done.stderr
    assert "worse, refused" in done.stdout
    entry = story.ledger()[-1]
    assert (entry["delivery"], entry["decision"]) == ("confused", "refused")
    assert "review.margin: lower bound of the change in accuracy is" in " ".join(entry["why"])
    assert len(story.refs()) == 3


def wait_for(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)


def test_a_run_killed_in_a_training_has_decided_nothing(story: Story, tmp_path: Path) -> None:
    story.offer("wednesday", *story.part(20_000, MORE))
    before, log = story.refs(), tmp_path / "log"
    process = story.start(log)
    wait_for("> python -m stages.train", log, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert story.refs() == before


def test_the_next_run_takes_it_up_alone_and_starts_over_if_main_moves(
    story: Story, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    process = story.start(log)
    wait_for("> python -m stages.train", log, process)
    second = story.retrain()
    assert second.returncode == 2
    assert "retraining: error: another run is active" in second.stderr
    other = take(story.origin, "main", tmp_path / "other")
    (other / "README.md").write_text("Something else.\n")
    commit(other, "meanwhile")
    run("git", "push", "--quiet", "origin", "HEAD:main", cwd=other)
    assert process.wait() == 0, log.read_text()
    assert "main has moved: starting over from there" in log.read_text()
    entry = story.ledger()[-1]
    assert (entry["delivery"], entry["decision"]) == ("wednesday", "proposed")
    parent = run("git", "rev-parse", f"{entry['branch']}~1", cwd=story.origin)
    assert parent.strip() == story.refs()["main"]


def test_a_recipe_is_judged_over_seeds_and_without_pushing_stays_here(
    story: Story, tmp_path: Path
) -> None:
    before = story.refs()
    done = story.retrain("--no-push", "--recipe", "larger", "--seeds", "3")
    assert done.returncode == 0, done.stderr
    assert story.refs() == before
    (branch,) = re.findall(r"proposed: branch (\S+)", done.stdout)
    for command in ("dvc push", f"git push origin {branch}", "gh pr create --base main"):
        assert f"next: {command}" in done.stdout
    # The spread of main, then the proposal.
    taken = take(story.folder, branch, tmp_path / "taken")
    old, new = (
        json.loads(run("git", "show", f"{revision}:metrics/spread.json", cwd=taken))
        for revision in ("HEAD~1", "HEAD")
    )
    main = run("git", "rev-parse", "main", cwd=story.folder)
    assert run("git", "rev-parse", "HEAD~2", cwd=taken) == main
    found = compare(taken, "HEAD~1")
    means = [found["recipes"][side] for side in ("before", "after")]
    assert means == [old["accuracy"]["mean"], new["accuracy"]["mean"]]
    assert means[1] > means[0] + 0.01
    assert all(name.startswith("train.arguments") for name in found["parameters"])
    # The ledger is kept here for the next time.
    again = story.retrain("--no-push", "--recipe", "larger", "--seeds", "3")
    assert again.stdout == "nothing new\n"
