"""Outputs appear whole or not at all, and metrics are always comparable."""

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fashion_mnist.errors import InputError
from fashion_mnist.files import new_file, new_folder, sha256, write_metrics, write_table


class Interruption(Exception):
    """What stops a write in the middle."""


def interrupt(path: Path) -> None:
    """Write half of something to a file, or into a folder, and fail."""
    (path / "half" if path.is_dir() else path).write_text("half")
    raise Interruption


def test_file_appears_whole_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model.keras"
    with new_file(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".keras"
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")
    with pytest.raises(Interruption), new_file(path) as temporary:
        interrupt(temporary)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.mkdir()
    (path / "stale").touch()
    with new_folder(path) as temporary:
        (temporary / "fresh").write_text("new")
        assert (path / "stale").exists()
    assert [file.name for file in path.iterdir()] == ["fresh"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_a_folder_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    elsewhere, path = tmp_path / "elsewhere/raw", tmp_path / "project/raw"
    elsewhere.mkdir(parents=True)
    (elsewhere / "stale").touch()
    path.parent.mkdir()
    path.symlink_to(elsewhere)
    with new_folder(path) as temporary:
        (temporary / "fresh").touch()
    assert path.is_symlink()
    assert [file.name for file in elsewhere.iterdir()] == ["fresh"]
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_link_to_a_file_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    """With `cache.type symlink`, DVC's outputs are links into its cache."""
    cached, path = tmp_path / "cached", tmp_path / "model.keras"
    cached.write_text("old")
    path.symlink_to(cached)
    with new_file(path) as temporary:
        temporary.write_text("new")
    assert not path.is_symlink()
    assert (cached.read_text(), path.read_text()) == ("old", "new")


def failing_sync(code: int, folders: bool) -> Callable[[int], None]:
    """Return an fsync that fails for folders, or for files."""

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == folders:
            raise OSError(code, os.strerror(code))

    return fsync


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
@pytest.mark.parametrize("folders", [True, False])
def test_a_file_system_that_cannot_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, folders: bool
) -> None:
    monkeypatch.setattr(os, "fsync", failing_sync(code, folders))
    write_metrics(tmp_path / "a.json", {"a": 1})
    with new_folder(tmp_path / "raw") as temporary:
        (temporary / "file").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "raw"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("folders", [True, False])
def test_a_sync_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, folders: bool
) -> None:
    monkeypatch.setattr(os, "fsync", failing_sync(code, folders))
    with pytest.raises(OSError, match=os.strerror(code)):
        write_metrics(tmp_path / "a.json", {"a": 1})


def test_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(Interruption), new_folder(path) as temporary:
        interrupt(temporary)
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".tmp-1-model.keras").touch()
    (tmp_path / ".tmp-1-raw").mkdir()
    (tmp_path / ".tmp-1-raw" / "half").touch()
    (tmp_path / ".tmp-1-other").touch()
    with new_file(tmp_path / "model.keras") as temporary:
        temporary.touch()
    with new_folder(tmp_path / "raw"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".tmp-1-other",
        "model.keras",
        "raw",
    ]


def test_metrics_are_rounded_and_end_with_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_metrics(path, {"a": {"b": np.float64(1 / 3), "n": 7, "kind": "x"}, "c": 1e-9})
    assert json.loads(path.read_text()) == {"a": {"b": 0.333333, "n": 7, "kind": "x"}, "c": 0.0}
    assert path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("-inf")])
def test_metrics_refuse_what_json_cannot_hold(tmp_path: Path, value: float) -> None:
    with pytest.raises(InputError, match=r"metrics.json: a: b is -?(nan|inf), expected a finite"):
        write_metrics(tmp_path / "metrics.json", {"a": {"b": value}})
    assert list(tmp_path.iterdir()) == []


def test_table_has_no_index_and_unix_lines(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", pd.DataFrame({"class": ["a"], "f1": [1 / 3]}, index=[9]))
    assert (tmp_path / "t.csv").read_bytes() == b"class,f1\na,0.333333\n"


def test_table_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column 'f1'"):
        write_table(tmp_path / "t.csv", pd.DataFrame({"f1": [1.0, np.nan]}))
    assert list(tmp_path.iterdir()) == []


def test_hash_is_that_of_the_standard(tmp_path: Path) -> None:
    """The examples of FIPS 180-2, "abc" and a million times "a"."""
    (tmp_path / "abc").write_bytes(b"abc")
    (tmp_path / "million").write_bytes(b"a" * 1_000_000)
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")
    assert sha256(tmp_path / "million").startswith("cdc76e5c9914fb9281a1c7e284d73e67")
