"""Clock, time zone, locale, path, umask, hash seed and home do not change a byte."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import run
from tests.faults.conftest import same_bytes

pytestmark = [pytest.mark.faults, pytest.mark.slow]

SOURCES = Path("/usr/share/i18n/locales")
PRELOADED = "libfaketime.so.1"


@pytest.fixture
def turkish(tmp_path: Path) -> dict[str, str]:
    """Variables for a Turkish locale, where the capital of i is İ and 1.5 is written 1,5."""
    if not (shutil.which("localedef") and (SOURCES / "tr_TR").exists()):
        pytest.skip("no sources of locales on this machine")
    folder = tmp_path / "locales"
    folder.mkdir()
    run("localedef", "-i", "tr_TR", "-f", "UTF-8", folder / "tr_TR.UTF-8", cwd=tmp_path)
    return {"LOCPATH": str(folder), "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}


@pytest.fixture
def in_2051() -> dict[str, str]:
    """Variables that set the clock of a process to 2051."""
    found = sorted(Path("/usr/lib").glob(f"*/faketime/{PRELOADED}"))
    if not found:
        pytest.skip("no faketime on this machine")
    # Locks and timeouts need a real clock.
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME": "@2051-02-03 04:05:06",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TZ": "Pacific/Kiritimati",
    }


def repro(folder: Path, environment: dict[str, str], umask: int) -> None:
    done = subprocess.run(
        ["dvc", "repro"],
        cwd=folder,
        env=environment,
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Running stage 'evaluate'" in done.stdout
    assert same_bytes(folder)


def test_a_different_clock_locale_path_and_umask(
    fresh: Path, turkish: dict[str, str], in_2051: dict[str, str]
) -> None:
    folder = fresh.rename(fresh.with_name("ein Ordner für Größe 服 $x;"))
    varied = {"PYTHONHASHSEED": "1"}
    said = subprocess.run(
        ["date", "+%Y %Z"], env=os.environ | in_2051, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["2051", "+14"]
    repro(folder, dict(os.environ) | turkish | in_2051 | varied, 0o077)


def test_locale_c_without_a_home(fresh: Path) -> None:
    """As under cron, or for a user without a home."""
    least = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "4242", "LC_ALL": "C"}
    repro(fresh, least | {"HOME": "/nonexistent"}, 0o022)
