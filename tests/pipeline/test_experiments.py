"""`dvc exp run` on params.yaml as it is committed, with the images of the fixture."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import recipes
from tests.conftest import FIXTURE, clone, commit, pins, run

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose data come from a folder that git does not have."""
    folder = clone(tmp_path_factory.mktemp("experiments") / "clone")
    recipes.rewrite(
        folder / "params.yaml",
        {
            "download": {"sources": ["mydata"], "files": pins()},
            "split": {"size": 100},
            "train": {"batch_size": 32, "epochs": 1},
        },
    )
    commit(folder, "images of the fixture")
    shutil.copytree(FIXTURE, folder / "mydata")
    (folder / ".git/info/exclude").write_text("/mydata\n")
    return folder


def test_another_model_in_a_copy_of_the_repository(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    options = ["--temp", "--name", "other", "-S", "train.model=lenet"]
    run("dvc", "exp", "run", *options, cwd=project)
    assert (project / "params.yaml").read_bytes() == before
    lock = run("git", "show", "refs/exps/" + experiment(project) + ":dvc.lock", cwd=project)
    trained = YAML(typ="safe").load(lock)["stages"]["train"]["params"]["params.yaml"]["train"]
    assert (trained["model"], trained["arguments"]) == ("lenet", {})


def test_arguments_of_the_model(project: Path) -> None:
    options = ["--name", "narrow", "-S", "+train.arguments.widths=[8,8]"]
    run("dvc", "exp", "run", *options, cwd=project)
    trained = YAML(typ="safe").load(project / "params.yaml")["train"]
    assert trained["arguments"] == {"widths": [8, 8]}
    run("dvc", "exp", "run", "--name", "default", "-S", "~train.arguments.widths", cwd=project)
    assert YAML(typ="safe").load(project / "params.yaml")["train"]["arguments"] == {}


def experiment(project: Path) -> str:
    """Return the name of the reference to the experiment called `other`."""
    (found,) = [
        line.split("refs/exps/")[1]
        for line in run("git", "for-each-ref", "refs/exps", cwd=project).splitlines()
        if line.endswith("/other")
    ]
    return found
