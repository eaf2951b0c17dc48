"""A full or read-only disk ends every stage with one line, and leaves nothing half-written."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Pipeline, run
from tests.faults.conftest import same_bytes

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


def test_a_full_disk_of_the_cache(fresh: Path, tmp_path: Path) -> None:
    # Keeps the entries of later stages; without data and cache it skips no stage.
    run("git", "checkout", "--quiet", "dvc.lock", cwd=fresh)
    command = ["dvc", "repro", "preprocess"]
    cache = tmp_path / "cache"
    cache.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", cache]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting a disk is not permitted here: {mounted.stderr.strip()}")
    try:
        run("dvc", "config", "--local", "cache.dir", cache, cwd=fresh)
        done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "No space left on device" in done.stderr
        subprocess.run(["mount", "-o", "remount,size=100m", cache], check=True)
        run(*command, cwd=fresh)
        assert same_bytes(fresh)
    finally:
        subprocess.run(["umount", "--lazy", cache], check=True)
