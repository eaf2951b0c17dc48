"""Commands run in the folder they are given, and report a failure in one line."""

import os
import sys
from pathlib import Path

import pytest

from fashion_mnist.errors import InputError
from repository import commands, revisions
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


def test_no_variable_that_git_calls_local_is_inherited(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    listed = run("git", "rev-parse", "--local-env-vars", cwd=tmp_path).split()
    # Those that configure git, which git's own commands pass on.
    local = {name for name in listed if not name.startswith("GIT_CONFIG")}
    others = {"GIT_NAMESPACE", "GIT_TEMPLATE_DIR", "GIT_EDITOR", "GIT_QUARANTINE_PATH"}
    for name in local | others:
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -i key")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.worktree")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(tmp_path))
    script = "import os; print(*sorted(name for name in os.environ if name[:4] == 'GIT_'))"
    found = commands.output(sys.executable, "-c", script, cwd=tmp_path).split()
    assert found == [
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_KEY_0",
        "GIT_CONFIG_VALUE_0",
        "GIT_OPTIONAL_LOCKS",
        "GIT_SSH_COMMAND",
    ]
    assert revisions.root(repository) == repository
    assert revisions.clean(repository, ignore="other.txt")
    assert not (tmp_path / "elsewhere").exists()


def test_stages_run_in_a_shell_that_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service account often has a shell that only says that the account is not available."""
    monkeypatch.setenv("SHELL", "/bin/false")
    assert commands.output("sh", "-c", 'exec "$SHELL" -c "echo here"', cwd=tmp_path) == "here\n"


def test_make_gives_stages_that_shell_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/false")
    makefile = tmp_path / "Makefile"
    makefile.write_text(f'include {ROOT}/Makefile\nshown:\n\t@$$SHELL -c "echo here"\n')
    assert (
        run("make", "--no-print-directory", "--file", makefile, "shown", cwd=tmp_path) == "here\n"
    )
