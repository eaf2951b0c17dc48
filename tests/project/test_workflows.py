"""The steps of the workflows are actions, pinned, or commands of this repository, tested here."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import AUTHOR, ROOT, run

FOLDER = ROOT / ".github"
WORKFLOWS = sorted(path.name for path in (FOLDER / "workflows").glob("*.yml"))

# What the token of a workflow may write.
WRITES = {"comment.yml": {"pull-requests"}, "register.yml": {"contents"}, "weekly.yml": {"issues"}}

READ = {"DATA_READ_ACCESS_KEY_ID", "DATA_READ_SECRET_ACCESS_KEY"}
SECRETS = {
    "retrain.yml": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "RETRAIN_TOKEN"},
    "review.yml": READ,
    "weekly.yml": READ,
}


def steps(name: str) -> list[dict[str, Any]]:
    """Return the steps of all jobs of a workflow."""
    workflow = YAML(typ="safe").load(FOLDER / "workflows" / name)
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_step_is_an_action_or_a_command_of_this_repository(name: str) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for step in steps(name):
        if "uses" in step:
            continue
        program, _, argument = step["run"].partition(" ")
        if program == "make":
            assert argument in targets
        else:
            assert program.startswith((".github/", ".ci/"))
            assert os.access(ROOT / program, os.X_OK)
        # Text from a pull request must not become part of a command.
        assert "${{" not in step["run"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_by_commit(name: str) -> None:
    text = (FOLDER / "workflows" / name).read_text()
    lines = re.findall(r"uses: (.*)", text)
    assert lines
    for line in lines:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_jobs_have_a_time_limit_and_few_permissions(name: str) -> None:
    workflow = YAML(typ="safe").load(FOLDER / "workflows" / name)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 90
        assert "concurrency" in workflow or "concurrency" in job
    rights = [job.get("permissions", {}) for job in workflow["jobs"].values()]
    may = {what for permissions in rights for what, level in permissions.items() if level != "read"}
    assert may == WRITES.get(name, set())
    # Code that nobody has reviewed gets at most a key that may only read.
    secrets = set(re.findall(r"secrets\.(\w+)", json.dumps(workflow)))
    assert secrets == SECRETS.get(name, set())


def test_every_supported_python_runs_all_tests() -> None:
    workflow = YAML(typ="safe").load(FOLDER / "workflows/test.yml")
    pythons = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert pythons == ["3.11", "3.12", "3.13"]
    # It installs the programs without which tests are skipped.
    assert workflow["jobs"]["test"]["steps"][-1]["run"] == ".ci/run"
    assert 'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("variables", "added"),
    [
        ({"DVC_REMOTE_URL": ""}, False),
        ({"DVC_REMOTE_URL": "s3://bucket/dvc", "AWS_ACCESS_KEY_ID": ""}, False),
        ({"DVC_REMOTE_URL": "s3://bucket/dvc", "AWS_ACCESS_KEY_ID": "key"}, True),
        ({"DVC_REMOTE_URL": "/srv/dvc"}, True),
    ],
)
def test_a_job_without_credentials_has_no_dvc_remote(
    tmp_path: Path, variables: dict[str, str], added: bool
) -> None:
    log = tmp_path / "log"
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/dvc").write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    (tmp_path / ".venv/bin/dvc").chmod(0o755)
    (tmp_path / "Makefile").write_text(".venv/installed-s3:\n\ttouch $@\n")
    subprocess.run(
        [FOLDER / "data_remote.sh"], cwd=tmp_path, env=os.environ | variables, check=True
    )
    assert log.exists() == added
    s3 = added and variables["DVC_REMOTE_URL"].startswith("s3:")
    assert (tmp_path / ".venv/installed-s3").exists() == s3


def test_dependabot_updates_actions_alone() -> None:
    """Python dependencies are locked together, by `make lock`."""
    check = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema"]
    run(*check, "vendor.dependabot", FOLDER / "dependabot.yml", cwd=ROOT)
    updates = YAML(typ="safe").load(FOLDER / "dependabot.yml")["updates"]
    assert [update["package-ecosystem"] for update in updates] == ["github-actions"]


def change_review(folder: Path, **settings: Any) -> None:
    """Change section `review` of params.yaml."""
    path = folder / "params.yaml"
    params = YAML(typ="safe").load(path)
    params["review"] |= settings
    YAML(typ="safe").dump(params, path)


@pytest.fixture
def branch(tracked: Path, tmp_path: Path) -> Path:
    """A repository with scripts and virtual environment, and rules that its small model passes."""
    folder = tmp_path / "repository"
    shutil.copytree(tracked, folder)
    shutil.copytree(FOLDER, folder / ".github")
    for name in ("cluster", "recipes", "repository", "review"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".gitignore").write_text((folder / ".gitignore").read_text() + "/.venv\n")
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    change_review(folder, floors={"accuracy": 0.0, "class_recall": 0.0})
    run("git", "add", "--all", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "scripts", cwd=folder)
    return folder


def review(folder: Path, base: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [".github/review.sh", base],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_review_writes_comment_report_and_summary(branch: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    done = review(branch, "main", GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 0, done.stderr
    comment = (branch / "review_output/comment.md").read_text()
    assert comment.startswith("### no evidence of a difference, accepted\n")
    assert summary.read_text() == "before\n" + comment
    assert "<h1>no evidence of a difference" in (branch / "review_output/report.html").read_text()
    assert run("git", "status", "--porcelain", cwd=branch) == ""


@pytest.mark.slow
def test_review_exits_as_the_comparison_does(branch: Path) -> None:
    change_review(branch, floors={"accuracy": 1.0, "class_recall": 0.0})
    done = review(branch, "main")
    assert done.returncode == 1
    assert "review.floors.accuracy" in done.stdout
    assert (branch / "review_output/report.html").exists()
    shutil.rmtree(branch / "review_output")
    done = review(branch, "nonsense")
    assert done.returncode == 2
    assert "unknown revision 'nonsense'" in done.stdout
    assert not (branch / "review_output/report.html").exists()


# A `gh` for tests: it keeps comments in a file and answers as GitHub does.
GITHUB = """#!{python}
import json, pathlib, subprocess, sys
store = pathlib.Path({store!r})
comments = json.loads(store.read_text())
words, method, query, fields = sys.argv[2:], "GET", None, {{}}
path = next(word for word in words if word.startswith("repos/"))
for name, value in zip(words, words[1:]):
    if name == "--method":
        method = value
    if name == "--jq":
        query = value
    if name in ("-f", "-F"):
        key, _, text = value.partition("=")
        fields[key] = pathlib.Path(text[1:]).read_text() if text.startswith("@") else text
if path == "repos/o/r/pulls":
    assert method == "GET" and fields == {{"state": "open", "head": "someone:topic"}}, fields
    answer = [{{"number": 7, "head": {{"sha": "abc"}}}}]
elif path == "repos/o/r/issues/7/comments":
    if method == "POST":
        bot = {{"login": "github-actions[bot]"}}
        comments.append({{"id": len(comments) + 1, "user": bot, "body": fields["body"]}})
    answer = comments
else:
    assert method == "PATCH", method
    comments[int(path.rpartition("/")[2]) - 1]["body"] = fields["body"]
    answer = None
store.write_text(json.dumps(comments))
if query:
    jq = ["jq", "--raw-output", query]
    sys.exit(subprocess.run(jq, input=json.dumps(answer), text=True).returncode)
"""


@pytest.mark.skipif(not shutil.which("jq"), reason="there is no jq on this machine")
def test_the_comment_is_written_once_and_then_replaced(tmp_path: Path) -> None:
    store, text = tmp_path / "comments.json", tmp_path / "comment.md"
    mine = {"id": 1, "user": {"login": "someone"}, "body": "<!-- review --> not yours"}
    store.write_text(json.dumps([mine]))
    program = tmp_path / "gh"
    program.write_text(GITHUB.format(python=sys.executable, store=str(store)))
    program.chmod(0o755)

    def comment(commit: str = "abc") -> list[str]:
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "GITHUB_REPOSITORY": "o/r",
            "OWNER": "someone",
            "BRANCH": "topic",
            "COMMIT": commit,
            "RUN": "https://example.org/run",
        }
        subprocess.run([FOLDER / "comment.sh", text], env=environment, check=True)
        return [comment["body"] for comment in json.loads(store.read_text())]

    text.write_text("### better, accepted\n")
    kept, first = comment()
    assert kept == mine["body"]
    assert first.startswith("<!-- review -->\n### better, accepted\n")
    assert "(https://example.org/run)" in first
    text.write_text("### worse, refused by @someone\n" + "x" * 100_000)
    kept, second = comment()
    assert kept == mine["body"]
    assert "### worse, refused by @\u200bsomeone" in second
    assert len(second) < 65_536
    # A pull request that has a newer commit gets no comment.
    text.write_text("late")
    assert comment("def") == [kept, second]


# A `gh` for tests: it keeps issues in a file.
ISSUES = """#!{python}
import json, pathlib, subprocess, sys
store = pathlib.Path({store!r})
issues = json.loads(store.read_text())
words = sys.argv[2:]
given = dict(zip(words, words[1:]))
fields = dict(text.split("=", 1) for word, text in zip(words, words[1:]) if word == "-f")
path = next(word for word in words if word.startswith("repos/"))
method = given.get("--method", "GET")
answer = None
if method == "GET":
    assert path == "repos/o/r/issues?state=open&creator=github-actions%5Bbot%5D", path
    answer = [issue for issue in issues if issue["state"] == "open"]
elif method == "POST":
    assert path == "repos/o/r/issues", path
    issues.append({{"number": len(issues) + 1, "state": "open", **fields}})
else:
    issues[int(path.rpartition("/")[2]) - 1].update(fields)
store.write_text(json.dumps(issues))
if "--jq" in given:
    jq = ["jq", "--raw-output", given["--jq"]]
    sys.exit(subprocess.run(jq, input=json.dumps(answer), text=True).returncode)
"""


@pytest.mark.skipif(not shutil.which("jq"), reason="there is no jq on this machine")
def test_one_issue_lists_the_failures_until_all_jobs_succeed(tmp_path: Path) -> None:
    store, program = tmp_path / "issues.json", tmp_path / "gh"
    other = {"number": 1, "state": "open", "title": "Another", "body": None}
    store.write_text(json.dumps([other]))
    program.write_text(ISSUES.format(python=sys.executable, store=str(store)))
    program.chmod(0o755)

    def report(**results: str) -> list[dict[str, Any]]:
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "GITHUB_REPOSITORY": "o/r",
            "RESULTS": json.dumps({name: {"result": result} for name, result in results.items()}),
            "RUN": "https://example.org/run",
        }
        subprocess.run([FOLDER / "report_failures.sh"], env=environment, check=True)
        issues: list[dict[str, Any]] = json.loads(store.read_text())
        assert issues[0] == other
        return issues[1:]

    assert report(rerun="success", unlocked="success") == []
    (issue,) = report(rerun="success", unlocked="failure")
    assert (issue["title"], issue["state"]) == ("The weekly checks fail", "open")
    assert "[the last run](https://example.org/run): **unlocked**." in issue["body"]
    (issue,) = report(rerun="cancelled", unlocked="failure")
    assert "**rerun, unlocked**" in issue["body"]
    (issue,) = report(rerun="success", unlocked="success")
    assert issue["state"] == "closed"
    # A closed issue is not opened again.
    assert [issue["state"] for issue in report(rerun="failure")] == ["closed", "open"]
