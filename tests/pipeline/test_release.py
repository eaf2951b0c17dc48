"""The real, full data: a fresh clone gives what is committed, and what else needs 70,000 images."""

import json
import re
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fashion_mnist.data import idx
from fashion_mnist.dataset import HALVES
from fashion_mnist.files import sha256
from repository import deliveries
from tests.conftest import ROOT, change, clone, kaggle_table, repro, run

CSV = {"train": "fashion-mnist_train.csv", "t10k": "fashion-mnist_test.csv"}

pytestmark = [pytest.mark.pipeline, pytest.mark.slow, pytest.mark.usefixtures("plain_stages")]


@pytest.fixture(scope="module")
def whole(plain_stages: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone whose pipeline has run."""
    folder = clone(tmp_path_factory.mktemp("whole") / "clone")
    try:
        deliveries.fetch(ROOT, folder, "HEAD")
    except deliveries.UnreachableError as error:
        pytest.skip(str(error))
    assert repro(folder) == ["download", "split", "preprocess", "train", "evaluate"]
    return folder


def test_a_fresh_clone_gives_what_is_committed(whole: Path) -> None:
    """The promise of the README: every hash of dvc.lock and every metric, to the bit."""
    assert run("git", "status", "--porcelain", cwd=whole) == ""
    assert json.loads((whole / "metrics/evaluate.json").read_text())["accuracy"] > 0.905


def test_a_published_system_gives_what_is_committed(whole: Path) -> None:
    """The smallest of them."""
    stages = ["split@all", "preprocess@all", "train@dense", "evaluate@dense"]
    assert repro(whole / "published", stages[-1]) == stages
    assert run("git", "status", "--porcelain", cwd=whole) == ""


def blocks(path: Path, language: str) -> list[str]:
    """Return the code blocks of a Markdown file in `language`, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", path.read_text(), re.M | re.S)
    return [re.sub(rf"^{indent}", "", block, flags=re.M) for indent, block in found]


def test_a_system_is_added_as_contributing_says(whole: Path) -> None:
    (builder,) = blocks(ROOT / "CONTRIBUTING.md", "python")
    (block,) = blocks(ROOT / "CONTRIBUTING.md", "yaml")
    path = whole / "published/params.yaml"
    try:
        (whole / "fashion_mnist/models/softmax.py").write_text(builder)
        path.write_text(path.read_text().replace("\nevaluate:", f"{block}\nevaluate:"))
        stages = ["train@softmax", "evaluate@softmax"]
        assert repro(whole / "published", stages[-1])[-2:] == stages
        metrics = whole / "published/metrics/systems/softmax"
        assert json.loads((metrics / "evaluate.json").read_text())["accuracy"] > 0.8
        assert json.loads((metrics / "train.json").read_text())["parameters"]["total"] == 7850
    finally:
        run("git", "clean", "--force", "-d", "--quiet", cwd=whole)
        run("git", "checkout", "--quiet", ".", cwd=whole)


@pytest.fixture(scope="module")
def tables(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release as Kaggle's pair of CSV files."""
    folder = tmp_path_factory.mktemp("tables")
    for half, names in HALVES.items():
        pair = idx.read_pair(*(whole / "data/raw" / name for name in names))
        kaggle_table(*pair).to_csv(folder / CSV[half], index=False)
    return folder


def test_the_release_as_csv_gives_the_same_files(whole: Path, tables: Path) -> None:
    pins = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(tables.iterdir())
    }
    before = (whole / "metrics/download.json").read_bytes()
    lock = YAML(typ="safe").load(whole / "dvc.lock")["stages"]["download"]["outs"]
    change(whole, "download", sources=[str(tables)], files=pins)
    try:
        assert repro(whole, "download") == ["download"]
        assert (whole / "metrics/download.json").read_bytes() == before
        assert YAML(typ="safe").load(whole / "dvc.lock")["stages"]["download"]["outs"] == lock
    finally:
        run("git", "checkout", "--quiet", ".", cwd=whole)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_reading_a_csv_takes_less_than_its_table(tables: Path) -> None:
    """All of the process, in kilobytes, against 60,000 rows of 785 columns of 8 bytes."""
    # Not `resource`: what that reports begins with the memory of the parent.
    code = (
        "import pathlib, sys; from fashion_mnist.data import kaggle_csv; "
        "rows = [len(labels) for _, labels in kaggle_csv.blocks(pathlib.Path(sys.argv[1]), "
        "range(10))]; assert sum(rows) == 60_000; "
        "print(pathlib.Path('/proc/self/status').read_text())"
    )
    status = run(sys.executable, "-c", code, tables / CSV["train"], cwd=ROOT)
    peak = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert peak
    assert int(peak[1]) < 60_000 * 785 * 8 / 1024
