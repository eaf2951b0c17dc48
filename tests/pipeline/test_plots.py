"""Every plot of dvc.yaml is drawn in a real browser, for one revision and for two side by side."""

import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser, Route

from tests.conftest import AUTHOR, BROWSER, ROOT, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="there is no chromium on this machine"),
    pytest.mark.skipif(not shutil.which("npm"), reason="there is no npm to get Vega with"),
]

CHARTS = [
    "accuracy",
    "class_f1",
    "confusion_matrix",
    "loss",
    "loss_by_step",
    "published_accuracy",
    "published_class_f1",
    "published_confusion",
    "published_cost",
    "published_loss",
    "published_loss_by_step",
    "published_measured",
    "release_classes",
    "reliability",
    "roc",
    "split_classes",
]
PICTURES = ["gallery.png", "mistakes.png", "samples.png"]


@pytest.fixture(scope="module")
def repository(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two commits, whose metrics differ, of a pipeline that has run."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(tracked, folder, dirs_exist_ok=True)
    history = folder / "metrics/history.csv"
    history.write_text(history.read_text() + "3,0.75,0.5,0.7,0.6\n")
    run("git", *AUTHOR, "commit", "--quiet", "--all", "--message", "second", cwd=folder)
    return folder


def vega(folder: Path, name: str) -> bytes:
    """Return the script of an npm package, which DVC's page asks of a web service."""
    if not list(folder.glob(f"{name.replace('@', '-')}.tgz")):
        run("npm", "pack", "--silent", name, cwd=folder)
    with tarfile.open(folder / f"{name.replace('@', '-')}.tgz") as archive:
        manifest = json.loads(archive.extractfile("package/package.json").read())
        return archive.extractfile(f"package/{manifest['jsdelivr']}").read()


def open_page(browser: Browser, scripts: Path, index: Path) -> tuple[Any, list[str]]:
    """Open DVC's page with Vega served from `scripts`; return it and its complaints."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )

    def answer(route: Route) -> None:
        found = re.search(r"/npm/(vega[\w-]*@[\d.]+)$", route.request.url)
        assert found, route.request.url
        route.fulfill(body=vega(scripts, found[1]), content_type="text/javascript")

    page.route(re.compile("^https?:"), answer)
    page.goto(index.as_uri())
    page.wait_for_function(
        "n => document.querySelectorAll('.vega-embed canvas').length >= n",
        arg=len(CHARTS),
        timeout=60_000,
    )
    return page, complaints


@pytest.mark.parametrize(("command", "revisions"), [(("show",), 1), (("diff", "HEAD~1"), 2)])
def test_every_plot_is_drawn(repository, browser, tmp_path, command, revisions) -> None:
    run("dvc", "plots", *command, "--out", tmp_path / "plots", cwd=repository)
    page, complaints = open_page(browser, tmp_path, tmp_path / "plots/index.html")
    page.screenshot(path=tmp_path / "plots.png", full_page=True)
    assert complaints == []
    drawn = page.locator(".vega-embed canvas")
    assert drawn.count() == len(CHARTS)
    for index in range(drawn.count()):
        box = drawn.nth(index).bounding_box()
        assert box["width"] > 200
        assert box["height"] > 200
    pictures = page.locator("img")
    assert pictures.count() == revisions * len(PICTURES)
    for index in range(pictures.count()):
        assert pictures.nth(index).evaluate("image => image.naturalWidth") > 400


def test_charts_have_titles_and_their_rows(repository: Path) -> None:
    found = json.loads(run("dvc", "plots", "show", "--json", cwd=repository))["data"]
    assert sorted(name for name in found if name in CHARTS) == CHARTS
    rows = {}
    for name in CHARTS:
        (chart,) = found[name]
        assert chart["content"]["title"]["text"]
        assert "<DVC_METRIC" not in json.dumps(chart["content"])
        rows[name] = len(chart["content"]["data"]["values"])
    # Epochs, test images, classes, and classes of two files and of three sets.
    assert rows["accuracy"] == rows["loss"] == 3
    assert rows["confusion_matrix"] == 100
    assert (rows["class_f1"], rows["release_classes"], rows["split_classes"]) == (10, 20, 30)
    systems = len(pd.read_csv(ROOT / "published/metrics/published.csv"))
    assert rows["published_measured"] == rows["published_cost"] == systems
    assert rows["published_class_f1"] == 10 * systems
    assert rows["reliability"] > 3
    assert rows["roc"] > 50


def test_matrices_of_a_system_stand_in_its_row(repository, browser, tmp_path) -> None:
    run("dvc", "plots", "diff", "HEAD~1", "--out", tmp_path / "plots", cwd=repository)
    page, _ = open_page(browser, tmp_path, tmp_path / "plots/index.html")
    found = run("dvc", "plots", "diff", "HEAD~1", "--json", cwd=repository)
    (chart,) = json.loads(found)["data"]["published_confusion"]
    cells, rows = page.evaluate(
        """async chart => {
            const view = new vega.View(vega.parse(vegaLite.compile(chart).spec));
            await view.runAsync();
            const marks = view.scenegraph().root.items[0].items;
            const header = marks.find(mark => mark.name === 'row_header').items;
            const cells = marks.find(mark => mark.name === 'cell').items;
            return [
                cells.map(({datum, x, y}) => [datum.panel, datum.rev, x, y]),
                header.map(({datum, y}) => [datum.panel, y]),
            ];
        }""",
        chart["content"],
    )
    systems = pd.read_csv(ROOT / "published/metrics/published.csv")["system"]
    assert [system for system, _ in rows] == list(systems)
    assert len(cells) == 2 * len(systems)
    places = {rev: x for _, rev, x, _ in cells}
    assert len(set(places.values())) == 2
    for system, rev, x, y in cells:
        assert (x, y) == (places[rev], dict(rows)[system])


def test_a_training_without_validation_is_drawn_too(repository, browser, tmp_path) -> None:
    folder = tmp_path / "clone"
    run("git", "clone", "--quiet", repository, folder, cwd=tmp_path)
    (folder / "metrics/history.csv").write_text("epoch,accuracy,loss\n1,0.5,1.5\n2,0.6,1.2\n")
    run("dvc", "plots", "show", "--out", tmp_path / "plots", cwd=folder)
    _, complaints = open_page(browser, tmp_path, tmp_path / "plots/index.html")
    assert complaints == []
