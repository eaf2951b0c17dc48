"""With a hundred or a thousand classes, what `review` writes stays short and legible."""

import base64
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser

from fashion_mnist.data import idx
from repository import revisions
from review import card, evidence, many, png, report
from tests.conftest import BROWSER
from tests.review.conftest import Branch

LENIENT = {"margin": 0.9, "floors": {"accuracy": 0.0, "class_recall": 0.0}}


def read(branch: Branch, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((branch.folder / "metrics" / name).read_text())
    return content


def written(branch: Branch, *arguments: str) -> str:
    """Return the report that `python -m review report` writes."""
    branch.set_rules(**LENIENT)
    done = branch.review("report", *arguments)
    assert done.returncode == 0, done.stderr
    return (branch.folder / "report.html").read_text()


def table_of(html: str, title: str) -> list[list[str]]:
    """Return the cells of a table of the report."""
    section = html[html.index(f"<h2>{title}</h2>") :]
    rows = re.findall(r"<tr>(.*?)</tr>", section[: section.index("</table>")])
    return [re.findall(r"<td>(.*?)</td>", row) for row in rows[1:]]


def picture(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))


def test_a_list_of_names_ends_after_ten() -> None:
    names = [str(number) for number in range(12)]
    assert many.listed(names[:10]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert many.listed(names) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ... (12 in all)"
    assert many.listed(names, 12).endswith(", 9, 10, 11")


def test_compare_shows_the_classes_that_changed_most(branch: Branch) -> None:
    branch.set_classes(100)
    branch.set_rules(**LENIENT)
    branch.fix(60)
    found = branch.compare("main")
    assert len(found["classes"]) == 100
    for arguments in ((), ("--md",)):
        lines = branch.review("compare", "main", *arguments).stdout.splitlines()
        assert len([line for line in lines if re.search(r"\bClass \d", line)]) == 20
        assert "Left out: 80 of 100 classes." in lines
    shown = [line.split()[1] for line in branch.review("compare", "main").stdout.splitlines()[-21:]]
    changes = {item["name"]: abs(item["difference"]) for item in found["classes"].values()}
    lowest = min(changes[f"Class {number}"] for number in shown[:20])
    assert sum(change > lowest + 1e-9 for change in changes.values()) < 20


def test_compare_counts_metrics_of_single_classes(branch: Branch) -> None:
    branch.set_classes(100)
    scores = read(branch, "evaluate.json")
    for item in scores["classes"].values():
        item["f1"] = 0.7
    (branch.folder / "metrics/evaluate.json").write_text(json.dumps(scores))
    branch.set_rules(**LENIENT)
    text = branch.review("compare", "main").stdout
    assert "Left out: 100 metrics of single classes." in text
    assert ".f1" not in text


def test_refusals_of_classes_end_after_ten(branch: Branch) -> None:
    branch.set_classes(100)
    branch.set_rules(margin=0.9, floors={"accuracy": 0.0, "class_recall": 0.99})
    found = branch.compare("main")
    text = branch.review("compare", "main").stdout
    assert text.count("Refused by review.floors.class_recall: recall of ") == 10
    hidden = len(found["refusals"]) - 10
    assert f"Refused by review.floors.class_recall: {hidden} more classes." in text
    lowest = min(found["refusals"], key=lambda item: item["value"])
    assert f"{lowest['subject']} is" in text


def test_up_to_20_classes_are_all_shown(branch: Branch) -> None:
    branch.set_classes(20)
    text = branch.review("compare", "main").stdout
    assert [f"\nClass {number:03d} " in text for number in range(20)] == [True] * 20
    assert "Left out" not in text
    html = written(branch, "main")
    assert html.count('<table class="matrix"') == 3
    assert [row[0] for row in table_of(html, "Recall of each class")][:2] == [
        "Class 000",
        "Class 001",
    ]
    assert branch.review("card").returncode == 0
    rows = re.findall(r"^\| Class (\d+) ", (branch.folder / card.CARD).read_text(), re.MULTILINE)
    assert rows == [f"{number:03d}" for number in range(20)]


def test_messages_name_ten_classes(branch: Branch) -> None:
    branch.set_classes(100)
    path = branch.folder / "metrics/predictions.csv"
    text = path.read_text()
    path.write_text(text.replace("0,class_000,class_000", "0,class_000,other", 1))
    branch.cannot_compare(
        "main", words=("prediction is other, expected one of class_000, ", "class_009, ... (100 in")
    )
    branch.git("checkout", "--quiet", ".")
    branch.set_classes(30)
    branch.cannot_compare(
        "HEAD~1",
        words=("not comparable: other classes: class_030, ", ", class_039, ... (70 in all) in "),
    )


def test_classes_in_a_different_order_are_not_comparable(branch: Branch) -> None:
    path = branch.folder / "metrics/evaluate.json"
    scores = read(branch, "evaluate.json")
    scores["classes"] = dict(reversed(scores["classes"].items()))
    path.write_text(json.dumps(scores))
    branch.describe(28, 28, 1)
    branch.cannot_compare(
        words=("not comparable: other classes: those of ", "in a different order")
    )


@pytest.mark.parametrize(("classes", "rows"), [(30, 30), (100, 50)])
def test_the_card_has_the_lowest_recall_first(branch: Branch, classes: int, rows: int) -> None:
    branch.set_classes(classes)
    assert branch.review("card").returncode == 0
    text = (branch.folder / card.CARD).read_text()
    assert f"a colour image of 32x24 pixels and returns the probabilities of {classes}" in text
    assert f"Class 009, ... ({classes} in all).\n" in text
    note = "All classes, the lowest recall first" if rows == classes else f"recall, of {classes}:"
    assert note in text
    found = re.findall(r"^\| Class \d+ \| ([\d.]+)%", text, re.MULTILINE)
    shares = [float(share) for share in found]
    assert len(shares) == rows
    assert shares == sorted(shares)
    scores = read(branch, "evaluate.json")["classes"]
    assert shares[0] == pytest.approx(
        100 * min(item["recall"] for item in scores.values()), abs=0.01
    )


def test_a_report_of_a_hundred_classes(branch: Branch) -> None:
    branch.set_classes(100)
    branch.fix(60)
    html = written(branch, "main")
    rows = table_of(html, "Recall of the classes, lowest first")
    assert len(rows) == 50
    shares = [float(row[2]) for row in rows]
    assert shares == sorted(shares)
    assert "Left out: 50 of 100 classes." in html
    assert '<table class="matrix"' not in html
    maps = [picture(uri) for uri in re.findall(r'class="heat" src="([^"]+)"', html)]
    assert [image.size for image in maps] == [(600, 600)] * 3
    base, head = (
        evidence.gather(revisions.resolve(branch.folder, name)) for name in ("main", "next")
    )
    counts = report.confusion(head.answers)
    pixels = np.asarray(maps[1])[3::6, 3::6]
    assert np.array_equal(pixels[..., 3] > 0, counts > 0)
    assert (pixels[np.eye(100, dtype=bool)][:, :3] == png.GOOD).all()
    chart = report.charts(base, head)["Recall of the 20 classes with the lowest, of 100"]
    (data,) = chart["datasets"].values()
    lowest = sorted(evidence.recalls(head.answers))[:20]
    assert sorted(row["recall"] for row in data if row["revision"] == "next") == lowest


def test_a_report_of_a_thousand_classes_stays_small(branch: Branch) -> None:
    branch.set_classes(1000)
    # Nearly all answers change.
    branch.predict(lambda table: table.update({"prediction": np.roll(table["prediction"], 1)}))
    html = written(branch, "main")
    assert len(html.encode()) < 5 << 20
    assert html.count('<li class="') == report.PICTURES
    assert re.search(r"Left out: [\d,]+ more, whose new answers are less confident", html)
    assert branch.review("card").returncode == 0
    assert len((branch.folder / card.CARD).read_text()) < 20_000


def colours(branch: Branch, half: str) -> NDArray[np.uint8]:
    """Write colour images as the source file of the test set, and return them."""
    images = np.random.default_rng(0).integers(0, 256, (10_000, 32, 24, 3), dtype=np.uint8)
    folder = branch.folder / "data/raw"
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / ".gitignore").write_text("/raw\n")
    idx.write(folder / f"{half}-images-idx3-ubyte", images)
    return images


def without_pins(branch: Branch) -> evidence.Evidence:
    """Return the evidence of a working tree whose data came from a file in a different format."""
    head = evidence.gather(revisions.working_tree(branch.folder))
    head.parameters["download"]["files"] = {"pictures.zip": {"bytes": 1, "sha256": "0" * 64}}
    return head


def set_hash(branch: Branch, sha256: str) -> None:
    content = read(branch, "download.json")
    content["train"]["sha256"]["train-images-idx3-ubyte"] = sha256
    (branch.folder / "metrics/download.json").write_text(json.dumps(content))


def test_pictures_in_colour(branch: Branch) -> None:
    branch.set_classes(30)
    branch.fix(3)
    images = colours(branch, "train")
    set_hash(branch, report.files.sha256(branch.folder / "data/raw/train-images-idx3-ubyte"))
    head = without_pins(branch)
    base = evidence.gather(revisions.resolve(branch.folder, "main"))
    rows = report.changed_rows(base, head)
    found = report.pictures(base, head, rows, report.raw_images(head, rows))
    assert len(found) == 3
    for item in found:
        shown = picture(item.image or "")
        assert (shown.mode, shown.size) == ("RGB", (24, 32))
        assert (item.height, item.width) == (32, 24)
        assert np.array_equal(np.asarray(shown), images[item.place])


def test_pictures_must_be_those_of_the_metrics(branch: Branch) -> None:
    branch.set_classes(30)
    colours(branch, "train")
    set_hash(branch, "0" * 64)
    with pytest.raises(report.InputError, match=r"not the file that metrics/download.json names"):
        report.raw_images(without_pins(branch), np.arange(3))


def test_large_pictures_end_before_the_report_is_too_large(
    branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch.set_classes(30)
    branch.fix(60)
    base, head = (
        evidence.gather(revisions.resolve(branch.folder, name)) for name in ("main", "next")
    )
    rows = report.changed_rows(base, head)
    images = np.random.default_rng(0).integers(0, 256, (60, 128, 128, 3), dtype=np.uint8)
    monkeypatch.setattr(report, "PICTURE_BYTES", 300_000)
    found = report.pictures(base, head, rows, images)
    assert [item.place for item in found] == rows[: len(found)].tolist()
    assert 200_000 < sum(len(item.image or "") for item in found) <= 300_000


@pytest.mark.parametrize(
    ("role", "official", "half"),
    [
        ("test", True, "train"),
        ("validation", True, "t10k"),
        ("test", False, "train"),
        ("validation", False, "train"),
    ],
)
def test_the_source_file_of_the_test_set(
    branch: Branch, role: str, official: bool, half: str
) -> None:
    images = colours(branch, half)
    content = read(branch, "download.json")
    for name in ("train", "t10k"):
        content[name]["sha256"] = {}
    if not official:
        del content["t10k"]
    (branch.folder / "metrics/download.json").write_text(json.dumps(content))
    head = without_pins(branch)
    head.parameters["split"]["role"] = role
    few = head._replace(places=head.places % len(images))
    found = report.raw_images(few, np.array([7, 0]))
    assert np.array_equal(found, images[few.places[[7, 0]]])
    with pytest.raises(report.InputError, match="has 10000 images, too few for this test set"):
        report.raw_images(head._replace(places=few.places + 5000), np.array([0]))


def test_a_heat_map_keeps_single_cells() -> None:
    shades = np.zeros((1000, 1000))
    shades[999, 0], shades[3, 4], shades[4, 4] = -1, 0.5, -0.25
    pooled = png.strongest(shades, 3)
    assert pooled.shape == (334, 334)
    assert (pooled[333, 0], pooled[1, 1]) == (-1, 0.5)
    assert np.count_nonzero(pooled) == 2
    assert np.array_equal(png.strongest(shades, 1), shades)
    found = picture(png.heat_map(shades))
    assert found.size == (668, 668)
    assert found.getpixel((0, 667)) == (*png.BAD, 255)
    assert found.getpixel((2, 2)) == (*png.GOOD, 128)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1280, 360])
def test_a_report_of_a_hundred_classes_in_a_browser(
    branch: Branch, browser: Browser, width: int
) -> None:
    branch.set_classes(100)
    branch.fix(60)
    written(branch, "main")
    page = browser.new_page(viewport={"width": width, "height": 900})
    heard: list[str] = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda message: heard.append(message.text))
    page.goto((branch.folder / "report.html").as_uri())
    page.wait_for_selector("body[data-drawn='4']")
    page.screenshot(path=branch.folder / "page.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".heat").count() == 3
    for image in page.locator(".heat").all():
        box = image.bounding_box()
        assert box
        assert box["width"] == pytest.approx(box["height"], abs=1)
        assert box["width"] > 250
    labels = page.locator("#chart-2 svg .role-axis-label text").all_text_contents()
    assert len([label for label in labels if label.startswith("Class ")]) == 20
    assert heard == []
    page.close()
