"""CSV files of Kaggle's form give the arrays they were written from, or an error with the line."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashion_mnist.data import kaggle_csv, labelled
from fashion_mnist.data.labelled import Labels, Uint8
from fashion_mnist.errors import InputError
from tests.conftest import FASHION, kaggle_table

BLOCK = labelled.rows_of((28, 28)) // 2  # rows


def read(path: Path) -> tuple[Uint8, Labels]:
    """Return all images and labels of a file of Fashion-MNIST."""
    blocks = kaggle_csv.blocks(path, range(10))
    return labelled.gathered(labelled.checked(blocks, FASHION, str(path)))


def random_set(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(count)
    images = generator.integers(0, 256, (count, 28, 28), np.uint8)
    return images, generator.integers(0, 10, count, np.uint8)


@pytest.fixture
def rows() -> list[str]:
    """The lines of a file with three images."""
    return kaggle_table(*random_set(3)).to_csv(index=False).splitlines()


# One row, a block, and a block and a row more.
@pytest.mark.parametrize("count", [1, BLOCK, BLOCK + 1])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_reads_what_pandas_wrote(tmp_path: Path, count: int, end: str) -> None:
    images, labels = random_set(count)
    path = tmp_path / "some.csv"
    kaggle_table(images, labels).to_csv(path, index=False, lineterminator=end)
    found_images, found_labels = read(path)
    assert np.array_equal(found_images, images)
    assert np.array_equal(found_labels, labels)
    assert found_images.dtype == found_labels.dtype == np.uint8


def test_the_last_line_needs_no_end(tmp_path: Path, rows: list[str]) -> None:
    (tmp_path / "some.csv").write_text("\n".join(rows))
    assert len(read(tmp_path / "some.csv")[1]) == 3


def column(row: str, number: int, value: str) -> str:
    fields = row.split(",")
    fields[number] = value
    return ",".join(fields)


@pytest.mark.parametrize(
    ("number", "value", "complaint"),
    [
        (7, "256", "pixel7 is '256', expected an integer from 0 to 255"),
        (7, "-1", "pixel7 is '-1'"),
        (7, "1.0", "pixel7 is '1.0'"),
        (7, "", "pixel7 is ''"),
        (7, "NaN", "pixel7 is 'NaN'"),
        (7, "0x10", "pixel7 is '0x10'"),
        (7, " 5", "pixel7 is ' 5'"),
        (7, '"5"', "pixel7 is '\"5\"'"),
        (7, "=1+1", "pixel7 is '=1+1'"),
        (7, "9" * 30, f"pixel7 is '{'9' * 20}'"),
        (7, "5\x00", "pixel7 is '5\\x00'"),
        (7, "٣", "pixel7 is '٣'"),
        (7, "5\r6", "pixel7 is '5\\r6'"),
        (0, "10", "label is '10', expected an integer from 0 to 9"),
        (784, "x", "pixel784 is 'x'"),
        (784, "1,2", "786 columns, expected 785"),
    ],
)
def test_a_bad_value_is_told_with_line_and_column(
    tmp_path: Path, rows: list[str], number: int, value: str, complaint: str
) -> None:
    rows[2] = column(rows[2], number, value)
    path = tmp_path / "some.csv"
    path.write_text("\n".join(rows), newline="")
    with pytest.raises(InputError, match=re.escape(f"{path}: line 3: {complaint}")):
        read(path)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("", "1 columns, expected 785"), ("1,2", "2 columns"), (",".join("1" * 784), "784 columns")],
)
def test_ragged_rows_are_refused(tmp_path, rows, line, complaint) -> None:
    path = tmp_path / "some.csv"
    path.write_text("\n".join([*rows, line, rows[1]]))
    with pytest.raises(InputError, match=f"line 5: {complaint}"):
        read(path)


def test_the_line_is_counted_over_blocks(tmp_path: Path, rows: list[str]) -> None:
    path = tmp_path / "some.csv"
    good = [rows[1]] * (BLOCK + 10)
    path.write_text("\n".join([rows[0], *good, "nonsense"]))
    with pytest.raises(InputError, match=f"line {len(good) + 2}: 1 columns"):
        read(path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda header: "", "line 1: column 1 is '', expected 'label'"),
        (lambda header: "\ufeff" + header, r"line 1: column 1 is '\ufefflabel'"),
        (
            lambda header: header.removesuffix(",pixel784"),
            "line 1: 784 columns, expected a label and",
        ),
        (lambda header: header + ",pixel785", "line 1: 786 columns, expected a label and"),
        (lambda header: header.replace("pixel17,", ""), "column 18 is 'pixel18', expected 'pixel"),
        (lambda header: header.replace("label", "class"), "column 1 is 'class', expected 'label'"),
        (lambda header: column(header, 0, "0"), "column 1 is '0', expected 'label'"),
    ],
)
def test_another_header_is_refused(tmp_path: Path, rows: list[str], change, complaint) -> None:
    path = tmp_path / "some.csv"
    path.write_text("\n".join([change(rows[0]), *rows[1:]]))
    with pytest.raises(InputError, match=re.escape(complaint)):
        read(path)


def test_a_file_without_rows_is_refused(tmp_path: Path, rows: list[str]) -> None:
    path = tmp_path / "some.csv"
    path.write_text(rows[0] + "\n")
    with pytest.raises(InputError, match="no images"):
        read(path)


@given(content=st.binary(max_size=300), keep=st.integers(0, 3))
def test_any_bytes_give_images_or_an_error(tmp_path_factory, content: bytes, keep: int) -> None:
    rows = kaggle_table(*random_set(3)).to_csv(index=False).splitlines(keepends=True)
    path = tmp_path_factory.mktemp("any") / "some.csv"
    path.write_bytes("".join(rows[: keep + 1]).encode() + content)
    try:
        images, labels = read(path)
    except InputError:
        return
    assert images.shape == (len(labels), 28, 28)
    assert labels.max() < 10
