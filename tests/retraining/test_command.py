"""`python -m retraining`: its help, and one line for everything that a user can get wrong."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import recipes
from retraining.__main__ import main
from tests.conftest import AUTHOR, ROOT, commit, run


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no line is broken."""
    monkeypatch.setenv("COLUMNS", "300")


def ends(*arguments: str) -> int:
    """Return the exit code of a command line that argparse answers by itself."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_help_lists_every_option_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends("--help") == 0
    shown = capsys.readouterr().out
    for word in ("--dry-run", "--no-push", "--inbox PLACE", "--recipe NAME", "--seeds N"):
        assert word in shown
    for words in ("register", "retraining.inbox in params.yaml", *recipes.names()):
        assert words in shown
    assert "Exit codes: 0 nothing new, or something is proposed; 1 everything new is" in shown


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run"], "invalid choice: 'run' (choose from "),
        (["register", "--dry-run"], "register takes no options"),
        (["--dry-run", "--no-push"], "--no-push: not allowed with argument --dry-run"),
        (["--recipe", "quick", "--inbox", "x"], "--inbox: not allowed with argument --recipe"),
        (["--recipe", "huge"], "invalid choice: 'huge' (choose from "),
        (["--recipe", "quick", "--seeds", "1"], "--seeds: got 1, expected 2 or more"),
        (["--seeds", "3"], "--seeds: only with --recipe"),
    ],
)
def test_a_wrong_option_is_named(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(*arguments) == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("gto", ["register"]), ("zc", ["--dry-run"]), ("tensorflow", ["--dry-run"])],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    package: str, arguments: list[str]
) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; from retraining.__main__ import main; "
        f"sys.exit(main({arguments}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"retraining: error: {package}")
    advice = "is not installed: run `make .venv/installed .venv/installed-review`\n"
    assert done.stderr.endswith(advice)
    assert done.stderr.count("\n") == 1


def test_a_repository_that_cannot_be_used_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert main([]) == 2
    assert "retraining: error: `git rev-parse" in capsys.readouterr().err
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=tmp_path)
    run("git", *AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "first", cwd=tmp_path)
    assert main([]) == 2
    assert capsys.readouterr().err == "retraining: error: main has no params.yaml\n"


def test_main_from_before_the_data_described_itself_ends_in_one_line(
    tracked: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "older"
    shutil.copytree(tracked, folder, symlinks=True)
    (folder / "metrics/dataset.json").unlink()
    commit(folder, "older")
    monkeypatch.chdir(folder)
    assert main([]) == 2
    assert capsys.readouterr().err == (
        "retraining: error: main has no metrics/dataset.json, which describes the images: "
        "run `dvc repro` there and commit the file\n"
    )
