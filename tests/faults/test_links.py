"""Data on another disk, by links of the user's or of DVC's."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import repro, run
from tests.faults.conftest import same_bytes

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def test_a_link_for_the_raw_data(fresh: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "stale").touch()
    (fresh / "data/raw").symlink_to(elsewhere)
    run("git", "checkout", "--quiet", "dvc.lock", cwd=fresh)
    assert repro(fresh, "split") == ["download", "split"]
    assert (fresh / "data/raw").is_symlink()
    assert "train-images-idx3-ubyte" in {path.name for path in elsewhere.iterdir()}
    assert not (elsewhere / "stale").exists()
    assert same_bytes(fresh)


def test_a_link_for_all_data_is_refused_before_anything_runs(fresh: Path, tmp_path: Path) -> None:
    """DVC has no outputs outside of the repository, and would say so after the stage."""
    elsewhere = (fresh / "data").rename(tmp_path / "elsewhere")
    (elsewhere / "mine").touch()
    (fresh / "data").symlink_to(elsewhere)
    done = subprocess.run(["dvc", "repro"], cwd=fresh, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "download: error: data is a link out of the repository" in done.stderr
    assert {path.name for path in elsewhere.iterdir()} == {".gitignore", "mine"}


def test_outputs_that_are_links_into_the_cache(fresh: Path) -> None:
    run("git", "checkout", "--quiet", "dvc.lock", cwd=fresh)
    run("dvc", "config", "--local", "cache.type", "symlink", cwd=fresh)
    repro(fresh, "preprocess")
    assert (fresh / "data/split/train.npz").is_symlink()
    assert (fresh / "data/raw/t10k-labels-idx1-ubyte").is_symlink()
    # Stages write new files; what the cache has stays as it is.
    run("dvc", "repro", "--force", "preprocess", cwd=fresh)
    assert same_bytes(fresh)
    stages = ["download", "split", "preprocess"]
    run("dvc", "checkout", "--relink", *stages, cwd=fresh)
    assert run("dvc", "status", *stages, cwd=fresh) == "Data and pipelines are up to date.\n"
