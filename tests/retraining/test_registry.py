"""Versions of the model are git tags by the convention of GTO."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from repository import dvc_lock, revisions
from retraining import registry
from tests.conftest import ROOT, commit, run
from tests.forked import run_module

pytestmark = [pytest.mark.slow, pytest.mark.retraining]


@pytest.fixture
def folder(tracked: Path, tmp_path: Path) -> Path:
    """A repository with a model, and an author for its tags."""
    folder = tmp_path / "repository"
    shutil.copytree(tracked, folder)
    run("git", "config", "user.name", "Test", cwd=folder)
    run("git", "config", "user.email", "test@example.org", cwd=folder)
    return folder


def register(folder: Path) -> subprocess.CompletedProcess[str]:
    return run_module("retraining", "register", cwd=folder)


def test_each_new_model_gets_a_tag_that_dvc_finds(folder: Path, tmp_path: Path) -> None:
    done = register(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "model@v1.0.0: push it with `git push origin model@v1.0.0`\n"
    assert run("git", "cat-file", "-t", "model@v1.0.0", cwd=folder) == "tag\n"
    assert register(folder).stdout == "the model is that of model@v1.0.0: nothing to do\n"
    got = tmp_path / "got.keras"
    run("dvc", "artifacts", "get", folder, "model", "--rev", "v1.0.0", "--out", got, cwd=tmp_path)
    assert got.read_bytes() == (folder / "data/model/model.keras").read_bytes()

    # A new model is another hash in dvc.lock.
    lock = folder / "dvc.lock"
    md5 = dvc_lock.model(revisions.working_tree(folder))
    lock.write_text(lock.read_text().replace(md5, "0" * 32))
    done = register(folder)
    assert done.returncode == 2
    assert "the working tree has changes" in done.stderr
    commit(folder, "another model")
    assert register(folder).stdout.startswith("model@v1.1.0: push it")


def test_the_workflow_pushes_the_tag_of_a_new_model_once(folder: Path, tmp_path: Path) -> None:
    for name in ("recipes", "repository", "retraining", "review"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("Makefile", "requirements-review.lock"):
        shutil.copy(ROOT / name, folder / name)
    commit(folder, "code")
    origin = tmp_path / "origin.git"
    run("git", "clone", "--quiet", "--bare", folder, origin, cwd=tmp_path)
    run("git", "remote", "add", "origin", origin, cwd=folder)
    # `make` finds it installed already.
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for name in ("installed", "installed-review"):
        (folder / ".venv" / name).touch()
    for _ in range(2):
        run(ROOT / ".github/register.sh", cwd=folder)
    assert run("git", "tag", cwd=origin) == "model@v1.0.0\n"
    tagger = run("git", "for-each-ref", "--format=%(taggername)", "refs/tags", cwd=origin)
    assert tagger == "github-actions[bot]\n"


@pytest.fixture(params=["", "team/ml"], ids=["top", "inside"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A project at the top of a repository or in a folder of it, whose train writes a model."""
    top = tmp_path / "top"
    project: Path = top / request.param
    project.mkdir(parents=True)
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=top)
    run("dvc", "init", "--quiet", *(["--subdir"] if request.param else []), cwd=project)
    (project / "params.yaml").write_text("train: {}\n")
    (project / "dvc.yaml").write_text(
        "stages:\n  train:\n"
        f"    cmd: echo weights >{dvc_lock.MODEL}\n    outs: [{dvc_lock.MODEL}]\n"
        f"artifacts:\n  model:\n    path: {dvc_lock.MODEL}\n    type: model\n"
    )
    (project / dvc_lock.MODEL).parent.mkdir(parents=True)
    run("dvc", "repro", "--quiet", cwd=project)
    return project


@pytest.mark.parametrize("committed", [True, False])
def test_a_version_comes_from_the_address_of_a_repository(
    project: Path, tmp_path: Path, committed: bool
) -> None:
    store = tmp_path / "store"
    if not committed and revisions.prefix(project):
        pytest.skip("DVC does not pass --remote-config on to a project inside a repository")
    level = [] if committed else ["--local"]
    run("dvc", "remote", "add", "--quiet", *level, "--default", "store", store, cwd=project)
    run("dvc", "push", "--quiet", cwd=project)
    top = revisions.root(project)
    commit(top, "a model")
    name = registry.artifact(project)
    assert registry.register(project).startswith(f"{name.replace(':', '=')}@v1.0.0: push it")
    origin = tmp_path / "origin.git"
    run("git", "clone", "--quiet", "--bare", tmp_path / "top", origin, cwd=tmp_path)
    # The lines of docs/retraining.md.
    line = f"dvc artifacts get {origin.as_uri()} {name} --rev v1.0.0"
    if not committed:
        line += f" --remote store --remote-config url={store}"
    run(*line.split(), cwd=tmp_path)
    assert (tmp_path / "model.keras").read_text() == "weights\n"
