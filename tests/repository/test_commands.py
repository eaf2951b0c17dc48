"""Commands run where they are told to, and a failure is one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from fashion_mnist.errors import InputError
from repository import commands
from tests.conftest import AUTHOR, ROOT, run


def test_output_is_standard_output_alone(tmp_path: Path) -> None:
    script = "import sys; print('answer', sys.stdin.read()); print('noise', file=sys.stderr)"
    assert commands.output(sys.executable, "-c", script, cwd=tmp_path, text="é") == "answer é\n"


def test_output_reports_standard_error_on_one_line(tmp_path: Path) -> None:
    script = "import sys; sys.exit('first\\n  second')"
    with pytest.raises(InputError) as caught:
        commands.output(sys.executable, "-c", script, cwd=tmp_path)
    assert str(caught.value).endswith("`: first second")
    with pytest.raises(InputError, match=r"`: failed$"):
        commands.output("false", cwd=tmp_path)


def test_run_shows_output_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    commands.run("echo", "hello", cwd=tmp_path)
    assert capfd.readouterr() == ("", "hello\n")
    with pytest.raises(InputError, match=r"^`false --all` failed, its output is above$"):
        commands.run("false", "--all", cwd=tmp_path)


def test_success_is_a_truth_value(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert commands.succeeds("echo", "hello", cwd=tmp_path)
    assert not commands.succeeds("git", "status", cwd=tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_missing_program_or_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^`nonsense --all`: nonsense: No such file or directory$"
    ):
        commands.output("nonsense", "--all", cwd=tmp_path)
    with pytest.raises(InputError, match="/absent: No such file or directory"):
        commands.git("status", cwd=tmp_path / "absent")


def test_dvc_is_shown_as_a_person_types_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^`dvc status`: ERROR: you are not inside of a DVC repo"):
        commands.dvc_output("status", cwd=tmp_path)


def test_python_of_a_command_is_the_one_that_runs_this(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    shown = commands.output("python", "-c", "import sys; print(sys.prefix)", cwd=tmp_path)
    assert shown.strip() == sys.prefix


def test_git_from_a_hook_reads_the_folder_that_it_is_given(
    repository: Path, tmp_path: Path
) -> None:
    """git gives its hooks GIT_DIR, GIT_INDEX_FILE and more, which other git commands obey."""
    other = tmp_path / "other"
    run("git", "init", "--quiet", str(other), cwd=tmp_path)
    (other / "other.txt").touch()
    run("git", "add", "--all", cwd=other)
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from repository import commands\n"
        "assert 'GIT_INDEX_FILE' in os.environ\n"
        "os.environ['GIT_DIR'] = os.path.abspath('.git')\n"
        "os.environ['GIT_WORK_TREE'] = os.getcwd()\n"
        f"found = commands.git('ls-files', cwd=Path({str(other)!r}))\n"
        "Path('found.txt').write_text(found)\n"
        f"commands.git('rm', '--quiet', '--cached', 'other.txt', cwd=Path({str(other)!r}))\n"
    )
    hook.chmod(0o755)
    (repository / "value.txt").write_text("3")
    # With `--all`, git hands the hook an index that is not yet the repository's.
    run("git", *AUTHOR, "commit", "--quiet", "--all", "--message", "third", cwd=repository)
    assert (repository / "found.txt").read_text() == "other.txt\n"
    assert run("git", "ls-files", cwd=repository) == "value.txt\n"
    assert run("git", "ls-files", cwd=other) == ""


def test_variables_of_git_that_are_left_out_are_those_that_git_calls_local() -> None:
    done = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True
    )
    assert set(commands.GIT_VARIABLES) <= set(done.stdout.split())
