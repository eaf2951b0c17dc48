"""Every plot of both projects is drawn in a real browser, for one revision and for two."""

import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Route

from tests.conftest import AUTHOR, BROWSER, ROOT, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="there is no chromium on this machine"),
    pytest.mark.skipif(not shutil.which("npm"), reason="there is no npm to get Vega with"),
]

COMMON = ["accuracy", "class_f1", "confusion_matrix", "loss", "loss_by_step"]
MAIN = sorted([*COMMON, "release_classes", "reliability", "roc", "split_classes"])
PUBLISHED = sorted([*COMMON, "cost", "measured"])
PICTURES = ["gallery.png", "mistakes.png", "samples.png"]


@pytest.fixture(scope="module")
def main(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The main project after a run, with two commits whose metrics differ."""
    folder = tmp_path_factory.mktemp("main")
    shutil.copytree(tracked, folder, dirs_exist_ok=True)
    history = folder / "metrics/history.csv"
    history.write_text(history.read_text() + "3,0.75,0.5,0.7,0.6\n")
    run("git", *AUTHOR, "commit", "--quiet", "--all", "--message", "second", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published project without its data, with two commits whose metrics differ."""
    root = tmp_path_factory.mktemp("root")
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in run(*listed, ".dvc", "published", cwd=ROOT).splitlines():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=root)
    run("git", "add", "--all", cwd=root)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "first", cwd=root)
    folder = root / "published"
    history = folder / "metrics/history.csv"
    history.write_text(history.read_text() + "lenet,6,0.95,0.14,0.91,0.24\n")
    run("git", *AUTHOR, "commit", "--quiet", "--all", "--message", "second", cwd=root)
    return folder


def vega(folder: Path, name: str) -> bytes:
    """Return the script of an npm package, which DVC's page asks of a web service."""
    if not list(folder.glob(f"{name.replace('@', '-')}.tgz")):
        run("npm", "pack", "--silent", name, cwd=folder)
    with tarfile.open(folder / f"{name.replace('@', '-')}.tgz") as archive:
        manifest = json.loads(archive.extractfile("package/package.json").read())
        return archive.extractfile(f"package/{manifest['jsdelivr']}").read()


def open_page(
    browser: Browser, scripts: Path, index: Path, charts: list[str]
) -> tuple[Any, list[str]]:
    """Open DVC's page with Vega served from `scripts`; return it and its error messages."""
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
        arg=len(charts),
        timeout=60_000,
    )
    return page, complaints


@pytest.mark.parametrize(("command", "revisions"), [(("show",), 1), (("diff", "HEAD~1"), 2)])
@pytest.mark.parametrize(
    ("project", "charts", "images"), [("main", MAIN, PICTURES), ("published", PUBLISHED, [])]
)
def test_every_plot_is_drawn(
    request, browser, tmp_path, project, charts, images, command, revisions
) -> None:
    folder = request.getfixturevalue(project)
    run("dvc", "plots", *command, "--out", tmp_path / "plots", cwd=folder)
    page, complaints = open_page(browser, tmp_path, tmp_path / "plots/index.html", charts)
    page.screenshot(path=tmp_path / "plots.png", full_page=True)
    assert complaints == []
    drawn = page.locator(".vega-embed canvas")
    assert drawn.count() == len(charts)
    for index in range(drawn.count()):
        box = drawn.nth(index).bounding_box()
        assert box["width"] > 200
        assert box["height"] > 200
    pictures = page.locator("img")
    assert pictures.count() == revisions * len(images)
    for index in range(pictures.count()):
        assert pictures.nth(index).evaluate("image => image.naturalWidth") > 400


def rows_by_chart(folder: Path) -> dict[str, int]:
    """Return how many rows each chart of a project shows, after checking its titles."""
    found = json.loads(run("dvc", "plots", "show", "--json", cwd=folder))["data"]
    rows = {}
    for name in found.keys() - {f"data/figures/{picture}" for picture in PICTURES}:
        (chart,) = found[name]
        assert chart["content"]["title"]["text"]
        assert "<DVC_METRIC" not in json.dumps(chart["content"])
        rows[name] = len(chart["content"]["data"]["values"])
    return rows


def test_charts_have_titles_and_their_rows(main: Path) -> None:
    rows = rows_by_chart(main)
    assert sorted(rows) == MAIN
    # Epochs, test images, classes, and classes of two files and of three sets.
    assert rows["accuracy"] == rows["loss"] == 3
    assert rows["confusion_matrix"] == 100
    assert (rows["class_f1"], rows["release_classes"], rows["split_classes"]) == (10, 20, 30)
    assert rows["reliability"] > 3
    assert rows["roc"] > 50


def test_published_charts_show_every_system(published: Path) -> None:
    rows = rows_by_chart(published)
    assert sorted(rows) == PUBLISHED
    systems = len(pd.read_csv(ROOT / "published/metrics/published.csv"))
    assert rows["measured"] == rows["cost"] == systems
    assert rows["class_f1"] == 10 * systems


def test_matrices_of_a_system_share_a_row(published, browser, tmp_path) -> None:
    run("dvc", "plots", "diff", "HEAD~1", "--out", tmp_path / "plots", cwd=published)
    page, _ = open_page(browser, tmp_path, tmp_path / "plots/index.html", PUBLISHED)
    found = run("dvc", "plots", "diff", "HEAD~1", "--json", cwd=published)
    (chart,) = json.loads(found)["data"]["confusion_matrix"]
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


def test_a_training_without_validation_is_drawn_too(main, browser, tmp_path) -> None:
    folder = tmp_path / "clone"
    run("git", "clone", "--quiet", main, folder, cwd=tmp_path)
    (folder / "metrics/history.csv").write_text("epoch,accuracy,loss\n1,0.5,1.5\n2,0.6,1.2\n")
    run("dvc", "plots", "show", "--out", tmp_path / "plots", cwd=folder)
    _, complaints = open_page(browser, tmp_path, tmp_path / "plots/index.html", MAIN)
    assert complaints == []


def test_a_hundred_classes_are_drawn_without_a_complaint(published, browser, tmp_path) -> None:
    folder = tmp_path / "clone"
    run("git", "clone", "--quiet", published.parent, folder, cwd=tmp_path)
    keys = [f"class_{number:03d}" for number in range(100)]
    table = pd.DataFrame({"system": "lenet", "class": keys, "f1": np.linspace(0.5, 1, 100)})
    table.to_csv(folder / "published/metrics/classes.csv", index=False)
    table = pd.DataFrame({"system": "lenet", "label": keys, "prediction": keys, "images": 10})
    table.to_csv(folder / "published/metrics/confusion.csv", index=False)
    run("dvc", "plots", "show", "--out", tmp_path / "plots", cwd=folder / "published")
    index = tmp_path / "plots/index.html"
    page, complaints = open_page(browser, tmp_path, index, PUBLISHED)
    page.screenshot(path=tmp_path / "plots.png", full_page=True)
    assert complaints == []
