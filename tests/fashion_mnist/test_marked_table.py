"""A generated table replaces what is between its markers, and nothing else."""

from pathlib import Path

import pytest

from fashion_mnist import marked_table
from fashion_mnist.errors import InputError

BEGIN, END = "<!-- costs: written by make costs -->", "<!-- costs: end -->"


def test_the_table_replaces_what_is_between_its_markers(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    marked_table.write(document, "costs", "make costs", "| new |\n")
    assert document.read_text() == f"before\n{BEGIN}\n| new |\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["none", f"{END}\n{BEGIN}\n", f"{BEGIN}\n" * 2, f"{BEGIN}\n"])
def test_a_document_without_each_marker_once_is_left_alone(tmp_path: Path, text: str) -> None:
    document = tmp_path / "page.md"
    document.write_text(text)
    with pytest.raises(InputError, match=r"page\.md: expected once each, in this order"):
        marked_table.write(document, "costs", "make costs", "| new |\n")
    assert document.read_text() == text
