"""`python -m review verify --published`, on a small project in a folder of a small project."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import AUTHOR, ROOT, run

pytestmark = [pytest.mark.slow, pytest.mark.pipeline]

Review = Callable[..., CompletedProcess[str]]

MAIN = {
    "download": {
        "cmd": "mkdir -p data/raw && echo 1 >data/raw/images && echo {} >metrics/download.json",
        "deps": ["release.txt"],
        "outs": ["data/raw"],
        "metrics": [{"metrics/download.json": {"cache": False}}],
    }
}
PUBLISHED = {
    "split": {
        "cmd": "cp ../data/raw/images images",
        "deps": ["../data/raw", "../metrics/download.json"],
        "outs": ["images"],
    },
    "train": {
        "foreach": ["lenet", "mlp"],
        "do": {
            "cmd": "cp images metrics/${item}.json",
            "deps": ["images", "../code.txt"],
            "metrics": [{"metrics/${item}.json": {"cache": False}}],
        },
    },
    "aggregate": {
        "cmd": "cat metrics/*.json >table.csv",
        "deps": ["metrics"],
        "outs": [{"table.csv": {"cache": False}}],
    },
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose two pipelines have run; tests copy it or leave it alone."""
    folder = tmp_path_factory.mktemp("published") / "repository"
    for project, stages in ((folder, MAIN), (folder / "published", PUBLISHED)):
        (project / ".dvc").mkdir(parents=True)
        (project / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
        (project / "metrics").mkdir()
        YAML().dump({"stages": stages}, project / "dvc.yaml")
    (folder / ".dvc/config").touch()
    (folder / "published/.dvc/config").write_text("[cache]\n    dir = ../../.dvc/cache\n")
    for name in ("release.txt", "code.txt"):
        (folder / name).touch()
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
    for project in (folder, folder / "published"):
        run("dvc", "repro", "--quiet", cwd=project)
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "both", cwd=folder)
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    shutil.copytree(published, folder)
    return folder


def outputs(done: CompletedProcess[str], code: int) -> dict[str, tuple[str, list[str]]]:
    """Return state and reasons of each output by path."""
    assert done.returncode == code, done.stderr
    found = json.loads(done.stdout)["outputs"]
    return {item["path"]: (item["state"], item["reasons"]) for item in found}


def test_both_pipelines_are_checked_by_themselves(published: Path, review: Review) -> None:
    found = outputs(review(published, "verify", "--published", "--json"), 0)
    assert found == {
        name: ("current", [])
        for name in ("images", "metrics/lenet.json", "metrics/mlp.json", "table.csv")
    }
    done = review(published, "verify", "--stages", "download", "--json")
    assert set(outputs(done, 0)) == {"data/raw", "metrics/download.json"}


def test_a_clone_without_data_is_verified(published: Path, tmp_path: Path, review: Review) -> None:
    folder = tmp_path / "clone"
    run("git", "clone", "--quiet", published, folder, cwd=tmp_path)
    found = outputs(review(folder, "verify", "--published", "--json"), 0)
    assert found["images"] == ("absent", [])


def test_a_change_of_code_reaches_the_stages_after_it(folder: Path, review: Review) -> None:
    (folder / "code.txt").write_text("changed")
    found = outputs(review(folder, "verify", "--published", "--json"), 1)
    assert found["images"] == ("current", [])
    assert found["metrics/lenet.json"] == ("stale", ["../code.txt modified"])
    assert found["table.csv"] == ("stale", ["after train@lenet, train@mlp"])


def test_data_that_is_not_what_the_main_pipeline_downloaded_is_found(
    folder: Path, review: Review
) -> None:
    """As after a new release, before the published systems are trained again."""
    lock = YAML().load(folder / "dvc.lock")
    for out in lock["stages"]["download"]["outs"]:
        if out["path"] == "data/raw":
            out["md5"] = f"{'0' * 32}.dir"
    YAML().dump(lock, folder / "dvc.lock")
    shutil.rmtree(folder / "data")
    found = outputs(review(folder, "verify", "--published", "--json"), 1)
    assert found["images"] == ("stale", ["../data/raw is not what download wrote"])


def test_rerun_starts_with_the_download(published: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "review", "verify", "--rerun", "--published", "--json"],
        cwd=published,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["reproduced"]
    assert {(item["path"], item["state"]) for item in found["outputs"]} == {
        (name, "identical")
        for name in ("images", "metrics/lenet.json", "metrics/mlp.json", "table.csv")
    }
    for stage in ("download", "split", "train@lenet", "train@mlp", "aggregate"):
        assert f"Running stage '{stage}'" in done.stderr
    assert not (published / ".dvc/tmp/rerun").exists()
