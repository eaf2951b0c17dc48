"""DVC's plots of data with many classes, drawn by Vega-Lite without a browser."""

import re
from typing import Any

import numpy as np
import pytest
import vl_convert
from dvc_render import VegaRenderer

from tests.conftest import ROOT

Row = dict[str, Any]


def drawn(template: str, x: str, y: str, rows: list[Row]) -> str:
    """Return a plot of rows as DVC would show them, as SVG."""
    renderer = VegaRenderer(
        rows,
        "plot",
        template=template,
        template_dir=str(ROOT / ".dvc/plots"),
        x=x,
        y=y,
        anchors_y_definitions=[{"filename": "table.csv", "field": y}],
        revs_with_datapoints=sorted({row["rev"] for row in rows}),
    )
    svg: str = vl_convert.vegalite_to_svg(renderer.get_filled_template())
    return svg


def texts(svg: str, pattern: str) -> list[str]:
    """Return the texts of a plot that match."""
    return [
        text
        for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)
        if re.fullmatch(pattern, text)
    ]


def bars(classes: int, **fields: str) -> list[Row]:
    """Return rows of a table of classes as DVC reads them; class n has the value 1 - n / 1000."""
    return [
        {"rev": "workspace", "class": f"C{number:03d}", "f1": str(1 - number / 1000), **fields}
        for number in range(classes)
    ]


def matrix(classes: int) -> list[Row]:
    """Return rows of a table of predictions: 4 images of each class, one of them wrong."""
    labels = np.arange(4 * classes) % classes
    wrong = np.arange(4 * classes) < classes
    return [
        {"rev": "workspace", "label": f"C{label:03d}", "prediction": f"C{prediction:03d}"}
        for label, prediction in zip(labels, np.where(wrong, 0, labels), strict=True)
    ]


def test_up_to_20_classes_have_a_bar_each() -> None:
    svg = drawn("bars", "f1", "class", bars(20))
    assert texts(svg, r"C\d+") == [f"C{number:03d}" for number in range(20)]
    assert "lowest" not in svg


@pytest.mark.parametrize("classes", [21, 100, 1000])
def test_many_classes_have_bars_of_the_lowest_20(classes: int) -> None:
    svg = drawn("bars", "f1", "class", bars(classes))
    assert texts(svg, r"C\d+") == [f"C{number:03d}" for number in range(classes - 20, classes)]
    assert texts(svg, "lowest.*") == [f"lowest 20 of {classes}"]


def test_sets_have_the_same_classes() -> None:
    train, test = bars(100, set="train"), bars(100, set="test")
    for row in test:
        row["f1"] = "0.5"
    svg = drawn("bars", "f1", "class", train + test)
    assert texts(svg, r"C\d+") == [f"C{number:03d}" for number in range(80, 100)]
    assert texts(svg, ".*lowest.*") == ["train, lowest 20 of 100", "test, lowest 20 of 100"]


def test_up_to_20_classes_have_a_matrix_with_numbers() -> None:
    svg = drawn("confusion_counts", "label", "prediction", matrix(20))
    assert len(texts(svg, r"C\d+")) == 40
    # Every class has a wrong answer and three right ones, but for the first.
    assert sorted(texts(svg, r"[134]")) == ["1"] * 19 + ["3"] * 19 + ["4"]


@pytest.mark.parametrize("classes", [21, 100, 1000])
def test_many_classes_have_a_matrix_with_few_labels_and_no_numbers(classes: int) -> None:
    svg = drawn("confusion_counts", "label", "prediction", matrix(classes))
    assert 2 * 7 <= len(texts(svg, r"C\d+")) <= 2 * 11
    assert texts(svg, r"\d+") == []
    cells = 2 * classes - 1
    assert svg.count('aria-roledescription="rect mark"') + svg.count("square") >= cells
