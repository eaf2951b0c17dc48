"""A full or read-only disk ends every stage with one line, and leaves nothing half-written."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Pipeline, run
from tests.faults.conftest import same_bytes
from tests.forked import ROOT

pytestmark = [pytest.mark.faults, pytest.mark.slow]

STAGES = ["download", "split", "preprocess", "train", "evaluate"]


@pytest.fixture
def disk(finished: Pipeline, tmp_path: Path) -> Iterator[Pipeline]:
    """A copy of the finished pipeline on a small disk of its own."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"mounting a disk is not permitted here: {mounted.stderr.strip()}")
    try:
        shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
        yield Pipeline(tmp_path)
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk(disk: Pipeline, stage: str) -> None:
    free = shutil.disk_usage(disk.folder).free
    (disk.folder / "filler").write_bytes(bytes(free - 2 * 4096))
    disk.refuses(stage, "No space left on device")


@pytest.mark.parametrize("stage", STAGES)
def test_a_read_only_disk(disk: Pipeline, stage: str) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk.folder], check=True)
    disk.refuses(stage, "Read-only file system")


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace on this machine")
def test_a_file_system_that_cannot_sync_folders(copy: Pipeline, finished: Pipeline) -> None:
    """The calls for folders fail as on FUSE; a file's do not."""
    _, _, module, *arguments = shlex.split(copy.commands["split"])
    shutil.rmtree(copy.folder / "data/split")
    done = subprocess.run(
        ["strace", "-f", "-o", "trace", "-P", copy.folder / "data/split",
         "-e", "inject=fsync:error=EINVAL",
         sys.executable, "-m", module, *arguments],
        cwd=copy.folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "EINVAL (Invalid argument) (INJECTED)" in (copy.folder / "trace").read_text()
    (copy.folder / "trace").unlink()
    assert copy.files() == finished.files()


def test_a_full_disk_of_the_cache(fresh: Path, tmp_path: Path) -> None:
    # Keeps the entries of later stages; without data and cache it skips no stage.
    run("git", "checkout", "--quiet", "dvc.lock", cwd=fresh)
    command = ["dvc", "repro", "preprocess"]
    cache = tmp_path / "cache"
    cache.mkdir()
    # Too small for a file of the split. (Where a folder does not fit, DVC 3.67 exits with 0.)
    mount = ["mount", "-t", "tmpfs", "-o", "size=450k", "tmpfs", cache]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting a disk is not permitted here: {mounted.stderr.strip()}")
    try:
        run("dvc", "config", "--local", "cache.dir", cache, cwd=fresh)
        done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "failed to reproduce 'split'" in done.stderr
        assert "No space left on device" in done.stderr
        subprocess.run(["mount", "-o", "remount,size=100m", cache], check=True)
        run(*command, cwd=fresh)
        assert same_bytes(fresh)
    finally:
        subprocess.run(["umount", "--lazy", cache], check=True)
