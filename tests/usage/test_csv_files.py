"""CSV files harm nobody who opens them, and say what was put in."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.usage.csv_files import cell, csv_lines


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "  @x",
        "＝1",
        '=HYPERLINK("http://x")',
        "=cmd|' /C calc'!A0",
    ],
)
def test_it_neutralises_what_a_spreadsheet_would_run(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "written"),
    [(-5, "-5"), (0, "0"), (None, ""), (True, "yes"), (False, "no"), ("a=b", "a=b"), ("", "")],
)
def test_it_leaves_figures_and_plain_text_alone(value: object, written: str) -> None:
    assert cell(value) == written


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4), max_size=5))
def test_it_reads_back_cell_by_cell(rows: list[list[str]]) -> None:
    found = list(csv.reader(io.StringIO(csv_lines(rows), newline="")))
    expected = [[cell(value) for value in row] for row in rows]
    # One empty cell alone is written as a line of two quotes, and read back so.
    assert found == expected
    for row in found:
        for text in row:
            assert not text.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
