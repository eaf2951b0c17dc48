"""`python -m review report`, opened in a real browser."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from repository.revisions import Revision
from review import evidence, report
from tests.conftest import AUTHOR, BROWSER, run
from tests.review.conftest import KEYS, NAMES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine"),
]


Review = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(
    tracked: Path,
    tmp_path_factory: pytest.TempPathFactory,
    metrics_of: Callable[[Path], object],
    edit: Callable[[Path, Callable[[Any], object]], object],
    review: Review,
) -> Path:
    """A repository in which six answers have changed since main, with its report."""
    folder = tmp_path_factory.mktemp("report") / "repository"
    shutil.copytree(tracked, folder)
    table = pd.read_csv(folder / "metrics/predictions.csv")
    right = np.flatnonzero(table["label"] == table["prediction"])
    wrong = np.flatnonzero(table["label"] != table["prediction"])
    table.loc[wrong[:3], "prediction"] = table["label"][wrong[:3]]
    following = dict(zip(KEYS, [*KEYS[1:], KEYS[0]], strict=True))
    table.loc[right[:2], "prediction"] = table["label"][right[:2]].map(following)
    taken = table.loc[wrong[3], ["label", "prediction"]].tolist()
    other = next(key for key in KEYS if key not in taken)
    table.loc[wrong[3], "prediction"] = other
    table.to_csv(folder / "metrics/predictions.csv", index=False)
    metrics_of(folder)
    lenient = {"margin": 0.9, "floors": {"accuracy": 0.0, "class_recall": 0.0}}
    edit(folder / "params.yaml", lambda params: params["review"].update(lenient))
    history = folder / "metrics/history.csv"
    history.write_text(history.read_text() + "3,0.75,0.5,0.7,0.6\n")
    done = review(folder, "report")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "no evidence of a difference, accepted: report.html\n"
    return folder


@pytest.fixture
def page(folder: Path, browser: Browser) -> Iterator[Page]:
    """The report in a wide window; afterwards, no error and no request may have occurred."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    heard: list[str] = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda message: heard.append(message.text))
    page.on("request", lambda request: heard.append(request.url))
    page.goto((folder / "report.html").as_uri())
    page.wait_for_selector("body[data-drawn]")
    yield page
    outside = [line for line in heard if not line.startswith("data:image/png;base64,")]
    assert outside == [(folder / "report.html").as_uri()]
    page.close()


def test_every_chart_is_drawn(page: Page, folder: Path) -> None:
    assert page.locator("body").get_attribute("data-drawn") == "4"
    for place in range(4):
        drawn = page.locator(f"#chart-{place} svg")
        box = drawn.bounding_box()
        assert box
        assert box["width"] > 350
        assert box["height"] > 250
        assert drawn.locator(".mark-symbol path").count() > 4
        text = drawn.text_content() or ""
        assert "main" in text or "HEAD" in text
        assert "working tree" in text
    # Three epochs now, two before, for training and validation.
    assert page.locator("#chart-0 svg .mark-symbol.role-mark path").count() == 10
    axis = page.locator("#chart-0 svg .role-axis-label text").all_text_contents()
    assert axis[:3] == ["1", "2", "3"]
    assert len(set(axis)) == len(axis)
    page.screenshot(path=folder / "light.png", full_page=True)


def test_the_matrices_have_every_count(page: Page, folder: Path) -> None:
    tables = page.locator(".matrix")
    assert tables.count() == 3
    after = evidence.gather(Revision(folder, "", None))
    cells = [
        [int(text.replace("+", "")) for text in tables.nth(place).locator("td").all_text_contents()]
        for place in range(3)
    ]
    assert cells[1] == report.confusion(after.answers).ravel().tolist()
    assert sum(cells[0]) == 100
    assert [new - old for old, new in zip(*cells[:2], strict=True)] == cells[2]
    assert any(cells[2])


def shown(page: Page) -> list[str]:
    """Return the kinds of the visible pictures."""
    return [
        item.get_attribute("data-kind") or ""
        for item in page.locator(".pictures li").all()
        if item.is_visible()
    ]


def test_pictures_filter_by_kind_and_class(page: Page) -> None:
    assert sorted(shown(page)) == ["broken", "broken", "fixed", "fixed", "fixed", "wrong"]
    assert page.locator("#shown").text_content() == "6 images"
    page.select_option("#kind", "fixed")
    assert shown(page) == ["fixed"] * 3
    assert page.locator("#shown").text_content() == "3 images"
    label = page.locator(".pictures li.fixed").first.get_attribute("data-class")
    page.select_option("#class", label)
    own = page.locator(f".pictures li.fixed[data-class='{label}']").count()
    assert shown(page) == ["fixed"] * own
    absent = next(
        name for name in NAMES if not page.locator(f".pictures li[data-class='{name}']").count()
    )
    page.select_option("#class", absent)
    page.select_option("#kind", "")
    assert shown(page) == []
    assert page.locator("#shown").text_content() == "0 images"


def test_the_filter_works_by_keyboard(page: Page) -> None:
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "kind":
            break
    assert page.evaluate("document.activeElement.id") == "kind"
    page.keyboard.press("ArrowDown")
    assert shown(page) == ["fixed"] * 3


def test_pictures_are_those_of_the_test_set(page: Page, folder: Path) -> None:
    images = page.locator(".pictures img")
    assert images.count() == 6
    for image in images.all():
        assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [28, 28]
        box = image.bounding_box()
        assert box
        assert box["width"] == pytest.approx(box["height"])
        assert box["width"] > 80
    # Read the pixels back through a canvas.
    first = images.first
    place = int((first.get_attribute("alt") or "").rpartition(" ")[2])
    pixels = first.evaluate(
        """image => {
            const canvas = document.createElement("canvas");
            canvas.width = canvas.height = 28;
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            return [...context.getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0);
        }"""
    )
    with np.load(folder / "data/split/test.npz") as archive:
        row = archive["index"].tolist().index(place)
        assert pixels == archive["images"][row].ravel().tolist()


def luminance(colour: str) -> float:
    """Return the relative luminance of `rgb(r, g, b)`, as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


STYLE = "element => getComputedStyle(element)"


@pytest.mark.parametrize(
    ("width", "scheme", "media"),
    [
        (1280, "light", "screen"),
        (1280, "dark", "screen"),
        (360, "light", "screen"),
        (360, "dark", "screen"),
        (794, "dark", "print"),
    ],
)
def test_text_is_whole_and_legible_at_every_width_and_scheme(
    page: Page, folder: Path, width: int, scheme: Any, media: Any
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme, media=media)
    page.wait_for_timeout(500)  # charts take the width of the page
    page.screenshot(path=folder / f"{width}-{scheme}-{media}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """() => [...document.querySelectorAll(".wide, td, th, .chart, li, h1, p")]
            .filter(element => element.scrollWidth > element.clientWidth + 1
                               && element.clientWidth > 0)
            .map(element => element.outerHTML.slice(0, 200))"""
    )
    assert cut == []
    outside = page.evaluate(
        """() => [...document.querySelectorAll(".chart svg text")]
            .filter(text => { const box = text.getBoundingClientRect();
                              return box.left < -1 || box.right > innerWidth + 1; })
            .map(text => text.textContent)"""
    )
    assert outside == []
    card = page.locator("section").first.evaluate(f"{STYLE}.backgroundColor")
    for selector in ("h1", "h2", ".plain td", ".matrix th", ".quiet", ".chart svg text"):
        item = page.locator(selector).first
        part = "fill" if selector.startswith(".chart") else "color"
        bright, dim = sorted(
            (luminance(item.evaluate(f"{STYLE}.{part}")), luminance(card)), reverse=True
        )
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, selector
    dark = luminance(card) < 0.2
    assert dark == (scheme == "dark" and media == "screen")
    assert page.locator(".filters").is_visible() == (media == "screen")


def test_without_raw_data_only_the_pictures_are_missing(
    folder: Path, browser: Browser, review: Review
) -> None:
    shutil.move(folder / "data/raw", folder / "data/elsewhere")
    try:
        done = review(folder, "report", "--output", "without.html")
    finally:
        shutil.move(folder / "data/elsewhere", folder / "data/raw")
    assert done.returncode == 0, done.stderr
    page = browser.new_page()
    page.goto((folder / "without.html").as_uri())
    page.wait_for_selector("body[data-drawn='4']")
    assert "data/raw/train-images-idx3-ubyte is missing" in (page.text_content("main") or "")
    assert page.locator(".pictures li").count() == 6
    assert page.locator(".pictures img").count() == 0
    page.close()


def test_pictures_of_a_different_raw_file_are_not_shown(folder: Path) -> None:
    head = evidence.gather(Revision(folder, "", None))
    pins = head.parameters["download"]["files"]
    pins["train-images-idx3-ubyte"]["sha256"] = "0" * 64
    with pytest.raises(report.InputError, match="not the file that params"):
        report.raw_images(head, np.arange(3))


def test_a_missing_column_or_table_is_named_and_the_report_kept(
    folder: Path, review: Review
) -> None:
    path = folder / "metrics/calibration.csv"
    text = path.read_text()
    before = (folder / "report.html").read_bytes()
    try:
        path.write_text(text.replace("confidence", "certainty"))
        done = review(folder, "report")
        assert done.returncode == 2
        assert "metrics/calibration.csv has no column confidence" in done.stderr
        path.unlink()
        done = review(folder, "report")
        assert done.returncode == 2
        assert "working tree has no metrics/calibration.csv" in done.stderr
        assert (folder / "report.html").read_bytes() == before
    finally:
        path.write_text(text)


def test_the_name_of_a_revision_is_escaped(folder: Path, review: Review) -> None:
    name = "<img-src=x>"
    run("git", *AUTHOR, "tag", name, cwd=folder)
    done = review(folder, "report", name, "--output", "tag.html")
    assert done.returncode == 0, done.stderr
    html = (folder / "tag.html").read_text()
    assert name not in html
    assert "&lt;img-src=x&gt;" in html
    assert json.dumps(name)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e") in html
