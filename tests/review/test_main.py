"""The command line: exit codes, verbs that have moved, packages that are not installed."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from review import __main__ as command
from tests.conftest import ROOT
from tests.review.conftest import Branch

Review = Callable[..., CompletedProcess[str]]

# Refuses imports, as if the packages were not installed.
WITHOUT = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {packages}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Refuse())
sys.argv = ["review", *{arguments}]
runpy.run_module("review", run_name="__main__")
"""


def without(packages: set[str], *arguments: str, folder: Path) -> CompletedProcess[str]:
    """Run `python -m review` in a process in which some packages cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(packages=packages, arguments=arguments)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_verbs_and_exit_codes(review: Review, tmp_path: Path) -> None:
    done = review(tmp_path, "--help")
    assert done.returncode == 0
    assert "Exit codes: 0 accepted; 1 refused by a rule" in done.stdout
    for verb in command.VERBS:
        assert f"\n    {verb} " in done.stdout


@pytest.mark.parametrize("verb", command.VERBS)
def test_every_verb_has_arguments_and_help(review: Review, tmp_path: Path, verb: str) -> None:
    done = review(tmp_path, verb, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m review {verb} ")
    assert review(tmp_path, verb, "--nonsense").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "the following arguments are required: verb"),
        (("nonsense",), "invalid choice: 'nonsense'"),
        (("retrain", "--no-push"), "review: error: retrain: use `python -m retraining`\n"),
        (("register",), "review: error: register: use `python -m retraining register`\n"),
        (("spread", "--seeds", "1"), "argument --seeds: got 1, expected 2 or more"),
        (("spread", "--jobs", "0"), "argument --jobs: got 0, expected 1 or more"),
    ],
)
def test_a_wrong_command_line_is_no_answer(
    review: Review, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = review(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Makes the import of a verb's module fail."""

    def fail(error: Exception) -> None:
        def load(name: str) -> None:
            raise error

        monkeypatch.setattr(importlib, "import_module", load)

    return fail


@pytest.mark.parametrize("verb", command.VERBS)
def test_a_missing_package_is_one_line(
    review: Review, failing: Callable[[Exception], None], tmp_path: Path, verb: str
) -> None:
    failing(ModuleNotFoundError("No module named 'jinja2'", name="jinja2"))
    done = review(tmp_path, verb)
    assert (done.returncode, done.stdout) == (2, "")
    message = "review: error: jinja2 is not installed: run `make .venv/installed-review`\n"
    assert done.stderr == message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError(name="keras.saving"), "not installed: run `make .venv/installed`\n"),
        (ModuleNotFoundError("No module", name="review.x"), "Traceback"),
        (PermissionError(13, "Permission denied", "x.html"), "error: x.html: Permission denied\n"),
        (ZeroDivisionError(), "Traceback"),
    ],
)
def test_every_failure_is_no_answer(
    review: Review,
    failing: Callable[[Exception], None],
    tmp_path: Path,
    error: Exception,
    words: str,
) -> None:
    failing(error)
    done = review(tmp_path, "compare")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.mark.slow
def test_compare_needs_neither_tensorflow_nor_dvc_nor_charts(branch: Branch) -> None:
    absent = {"tensorflow", "keras", "dvc", "sklearn", "altair", "jinja2", "vl_convert"}
    done = without(absent, "compare", "main", folder=branch.folder)
    assert done.returncode == 0, done.stderr
    assert "no evidence of a difference, accepted" in done.stdout


def test_result_needs_no_statistics(branch: Branch) -> None:
    absent = {"tensorflow", "keras", "dvc", "scipy", "statsmodels", "pandas", "rich", "jinja2"}
    done = without(absent, "result", folder=branch.folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("accuracy ")
