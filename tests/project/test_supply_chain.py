"""What is installed is what was locked, and no data is run as code."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PYPROJECT["tool"]["mypy"]["packages"]
MODULES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
LOCKS = sorted(ROOT.glob("requirements*.lock"))

UNPICKLE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
HARMLESS = {"joblib.cpu_count"}
RUN = {"eval", "exec", "compile", "__import__"}
# Arguments that can make a library trust a file or a shell, and their safe values.
SAFE = {"allow_pickle": False, "safe_mode": True, "shell": False, "trust_remote_code": False}
# Calls of these must forbid pickles explicitly, since the default may change.
LOADERS = {("np", "load"), ("numpy", "load")}


def dangers(tree: ast.AST) -> Iterator[str]:
    """Yield the names in a module that could run data as code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            yield from (
                name
                for name in names
                if name.partition(".")[0] in UNPICKLE and name not in HARMLESS
            )
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if called in RUN or called in ("os.system", "os.popen", "pd.read_pickle"):
                yield called
            for name, safe in SAFE.items():
                if name in given and ast.unparse(given[name]) != str(safe):
                    yield f"{called}: {name}"
            if tuple(called.split(".")) in LOADERS and "allow_pickle" not in given:
                yield called


def test_no_module_runs_data_as_code() -> None:
    found = {
        (str(path.relative_to(ROOT)), danger)
        for path in MODULES
        for danger in dangers(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert len(MODULES) > 60
    assert {path.partition(".")[0] for path in PYPROJECT["tool"]["setuptools"]["packages"]} < set(
        PACKAGES
    )
    assert found == set()


@pytest.mark.parametrize(
    ("code", "danger"),
    [
        ("import pickle", "pickle"),
        ("from joblib.x import load", "joblib.x.load"),
        ("import os; os.system('ls')", "os.system"),
        ("eval(text)", "eval"),
        ("subprocess.run(command, shell=True)", "subprocess.run: shell"),
        ("keras.saving.load_model(path, safe_mode=False)", "keras.saving.load_model: safe_mode"),
        ("np.load(path, allow_pickle=wanted)", "np.load: allow_pickle"),
        ("np.load(path)", "np.load"),
    ],
)
def test_a_module_that_does_is_found(code: str, danger: str) -> None:
    assert list(dangers(ast.parse(code))) == [danger]


def requirements(lock: Path) -> list[str]:
    """Return the entries of a lock file, lines joined, without comments."""
    lines = lock.read_text().replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_with_hashes(lock: Path) -> None:
    found = requirements(lock)
    assert len(found) > 20
    for line in found:
        assert re.match(r"[a-z0-9.-]+(\[[a-z,-]+\])?==\S+ ", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line
        assert "://" not in line


def test_every_installation_enforces_the_hashes() -> None:
    files = [ROOT / "Makefile", ROOT / ".ci/run"]
    files += [path for path in (ROOT / ".github").rglob("*") if path.is_file()]
    text = "\n".join(path.read_text() for path in files)
    commands = re.findall(r"^.*\bpip3? install.*$", text, re.M)
    assert len(commands) >= 3
    # `make unlocked` is about the latest releases.
    locked = [line for line in commands if ".venv/unlocked/" not in line]
    assert [line for line in locked if "--require-hashes" not in line] == []


@pytest.mark.slow
def test_a_package_with_a_wrong_hash_is_rejected(tmp_path: Path) -> None:
    (entry,) = (line for line in requirements(LOCKS[0]) if line.startswith("zc-lockfile=="))
    for content, code in ((entry, 0), (re.sub("sha256:[0-9a-f]{64}", f"sha256:{7:064}", entry), 1)):
        lock = tmp_path / "requirements.lock"
        lock.write_text(content + "\n")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--require-hashes", "--no-deps",
             "--no-cache-dir", "--requirement", lock, "--dest", tmp_path],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
    assert "DO NOT MATCH THE HASHES" in done.stderr
