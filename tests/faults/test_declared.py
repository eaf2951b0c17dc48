"""Each stage, traced by strace, opens exactly what dvc.yaml declares."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, Pipeline

STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
CHECKPOINT = "data/checkpoint/train.npz"

pytestmark = [
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("strace"), reason="no strace on this machine"),
]

CALL = re.compile(
    r"(?:open|openat|openat2|creat)\((?:AT_FDCWD<(?P<at>[^>]*)>, |\d+<(?P<folder>[^>]*)>, )?"
    r'"(?P<path>[^"]*)".*?(?P<flags>O_[A-Z|_]+).*= (?P<result>-?\d+)'
)


class Seen(NamedTuple):
    """Files opened in the folder of the pipeline, files written elsewhere, and connections."""

    read: set[str]
    written: set[str]
    elsewhere: set[str]
    connections: list[str]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Seen]]:
    """The five stages run with code and data in one folder, as in a clone."""
    folder = tmp_path_factory.mktemp("watched").resolve()
    pipeline = Pipeline(folder)
    for name in ("fashion_mnist", "stages"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder, {name: watch(pipeline, name) for name in STAGES}


def watch(pipeline: Pipeline, stage: str) -> Seen:
    """Run a stage under strace and return what it touched."""
    folder = pipeline.folder
    log = Path(tempfile.mkdtemp()) / "log"
    calls = "open,openat,openat2,creat,connect"
    done = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-y", "-qq", "-s", "4096",
         "-e", f"trace={calls}", "-o", log,
         sys.executable, *shlex.split(pipeline.commands[stage])[1:]],
        cwd=folder,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = Seen(set(), set(), set(), [])
    text = log.read_text(errors="replace")
    # The result of a call that another thread interrupts is on a line of its own.
    text = re.sub(r"(?m) <unfinished \.\.\.>$", ") = 0", text)
    for line in text.splitlines():
        if "connect(" in line and "AF_INET" in line:
            seen.connections.append(line)
        if not (found := CALL.search(line)) or found["result"].startswith("-"):
            continue
        path = Path(found["at"] or found["folder"] or folder, found["path"])
        writes = re.search("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", found["flags"])
        if not path.is_relative_to(folder):
            if writes:
                seen.elsewhere.add(str(path))
        elif path.is_file() or ".tmp-" in path.name or ".tmp-" in path.parent.name:
            (seen.written if writes else seen.read).add(str(path.relative_to(folder)))
    shutil.rmtree(log.parent)
    return seen


def declared(stage: str, *parts: str) -> set[str]:
    """Return the paths under some keys of a stage in dvc.yaml, with the architecture filled in."""
    found = set()
    for part in parts:
        for item in STAGES[stage].get(part, []):
            found.add(next(iter(item)) if isinstance(item, dict) else item)
    model = YAML(typ="safe").load(ROOT / "params.yaml")["train"]["model"]
    return {path.replace("${train.model}", model) for path in found}


def under(path: str, places: set[str]) -> bool:
    """Return whether a file is one of the places or in one, also under its temporary name."""
    final = re.sub(r"\.tmp-\d+-", "", path)
    return any(final == place or final.startswith(f"{place}/") for place in places)


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_reads_is_declared(watched: tuple[Path, dict[str, Seen]], stage: str) -> None:
    outs = declared(stage, "outs", "metrics")
    own = outs | {CHECKPOINT} if stage == "train" else outs
    allowed = declared(stage, "deps") | own | {"params.yaml"}
    seen = watched[1][stage].read
    assert {path for path in seen if not under(path, allowed)} == set()
    assert "params.yaml" in seen


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_what_is_declared(watched: tuple[Path, dict[str, Seen]], stage: str) -> None:
    # No stage reads the lock file: it is there for the versions of the libraries.
    needed = declared(stage, "deps") - {"requirements.lock"}
    seen = watched[1][stage].read
    assert {place for place in needed if not any(under(path, {place}) for path in seen)} == set()


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_writes_is_declared(watched: tuple[Path, dict[str, Seen]], stage: str) -> None:
    allowed = declared(stage, "outs", "metrics")
    # A killed training resumes from the checkpoint; nothing else reads it.
    state = {CHECKPOINT} if stage == "train" else set()
    seen = watched[1][stage]
    assert {path for path in seen.written if not under(path, allowed | state)} == set()
    scratch = (tempfile.gettempdir(), "/dev/", "/proc/self/")
    assert {path for path in seen.elsewhere if not path.startswith(scratch)} == set()
    folder = watched[0]
    assert {path for path in allowed if not (folder / path).exists()} == set()
    assert not list(folder.rglob(".tmp-*"))


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_uses_the_network(watched: tuple[Path, dict[str, Seen]], stage: str) -> None:
    # Nor does download here, whose source is a folder.
    assert watched[1][stage].connections == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_needs_its_own_section_only(stage: str, finished: Pipeline, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    pipeline = Pipeline(tmp_path)
    assert STAGES[stage]["params"] == [stage]
    for other in STAGES:
        if other != stage:
            del pipeline.params[other]
    YAML(typ="safe").dump(pipeline.params, tmp_path / "params.yaml")
    pipeline.run_all(stage)
    outputs = declared(stage, "outs", "metrics")
    for path in (
        path for out in outputs for path in sorted((tmp_path / out).rglob("*")) or [tmp_path / out]
    ):
        if path.is_file():
            assert path.read_bytes() == (finished.folder / path.relative_to(tmp_path)).read_bytes()
