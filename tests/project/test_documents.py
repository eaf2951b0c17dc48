"""What the documents name exists, what they show is current, and the README stays short."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from recipes import table
from tests.conftest import ROOT, run

README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = README.read_text(encoding="utf-8")

CODE = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"""\]\(([^)\s]+)\)|(?:href|src)="([^"]+)\"""")
# Named files of these types are in git, unless they are outputs.
TYPES = {".csv", ".json", ".lock", ".md", ".png", ".py", ".toml", ".yaml", ".yml"}
OUTPUTS = ("data/", "published/data/", "metrics/spread.json", "spread.json")
# A file that an example adds, one of earlier commits, and what a search writes.
ABSENT = {
    "fashion_mnist/models/softmax.py",
    "benchmarks/time_to_accuracy.json",
    "metrics/search.csv",
    "metrics/search/",
    "recipes/search.yaml",
}


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    """Return the fragments that GitHub offers for a document: its headings and named anchors."""
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def named_files(text: str) -> list[str]:
    """Return what looks like a file or a folder of the repository in inline code."""
    top = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    found = []
    for code in CODE.findall(FENCED.sub("", text)):
        if not re.fullmatch(r"[\w.][\w./-]*", code) or code.startswith(OUTPUTS):
            continue
        if code in ABSENT:
            continue
        if Path(code).suffix in TYPES or ("/" in code and code.split("/")[0] in top):
            found.append(code)
    return found


@pytest.fixture(scope="module")
def files() -> set[str]:
    """Names of all files that git tracks or could track, without their folders."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    return {Path(line).name for line in listed.splitlines()}


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_links_lead_to_a_file_and_a_heading(path: Path) -> None:
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    broken = []
    for link in (first or second for first, second in LINK.findall(text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_files_in_the_text_exist(path: Path, files: set[str]) -> None:
    missing = [
        name
        for name in named_files(path.read_text(encoding="utf-8"))
        if not (ROOT / name).exists() and ("/" in name or name not in files)
    ]
    assert missing == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_targets_of_make_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w./-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z./][\w./-]*)", path.read_text("utf-8"), re.MULTILINE))
    assert named <= targets


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()


def test_the_readme_stays_short() -> None:
    assert len(TEXT.splitlines()) <= 140


def test_pictures_stay_small() -> None:
    pictures = sorted((ROOT / "docs").glob("*.png"))
    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > 150 * 1024] == []


def test_the_table_of_recipes_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert f"-->\n{table.current()}<!-- recipes: end -->" in TEXT, "run python -m recipes.table"


def test_the_transcript_of_a_comparison_is_current() -> None:
    (shown,) = re.findall(r"^\$ make compare BASE=(\w+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    base, lines = shown
    known = subprocess.run(
        ["git", "cat-file", "-e", f"{base}^{{commit}}"], cwd=ROOT, capture_output=True, check=False
    )
    if known.returncode:
        pytest.skip(f"commit {base} is not in this clone")
    done = subprocess.run(
        [sys.executable, "-m", "review", "compare", base],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    # Columns are as wide as their longest cell, of rows that are not shown as well.
    printed = [" ".join(line.split()) for line in done.stdout.splitlines()]
    wanted = [" ".join(line.split()) for line in lines.splitlines()]
    assert [line for line in wanted if line != "..." and line not in printed] == []


# `python -m review compare | report`, a line of the layout, names several verbs.
COMMANDS = sorted(set(re.findall(r"python -m ([\w.]+(?: [a-z]+)?)", TEXT)))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_readme_exist(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
