"""The forms of order № 104 as data, held to the order; tables that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.documents.grid import Grid, as_csv, as_xlsx
from adapter.documents.shep_forms import read_form
from tests.documents_read import sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = Path(__file__).parents[2].parent / "shared" / "seeds" / "004_5d97ab057cde2d8c.txt"
ASTANA = timezone(timedelta(hours=5))


@pytest.fixture(scope="module")
def order() -> list[str]:
    """The order's lines, without those that are empty."""
    if not SEED.is_file():
        pytest.skip("the order is not in ../shared/seeds here")
    return [line.strip() for line in SEED.read_text("utf-8").splitlines() if line.strip()]


def appendix(order: Sequence[str], number: int) -> list[str]:
    first = order.index(f"Приложение {number}", 200 if number == 1 else 0)
    starts = [
        index for index, line in enumerate(order) if line == f"Приложение {number}" and "Правилам" in order[index + 1]
    ]
    ends = [
        index
        for index, line in enumerate(order)
        if line == f"Приложение {number + 1}" and "Правилам" in order[index + 1]
    ]
    return order[(starts or [first])[0] : ends[0]]


@pytest.mark.parametrize("number", [6, 7])
def test_the_journals_have_the_headings_of_the_order_in_its_order(order: list[str], number: int) -> None:
    form, lines = read_form(number), appendix(order, number)
    assert form["title"] in lines
    headings = form["headings"] if number == 7 else form["headings"][1:]
    start = lines.index(form["title"]) + 1
    assert lines[start : start + len(headings)] == headings
    assert len(form["headings"]) == {6: 9, 7: 10}[number]
    assert len(form["widths"]) == len(form["headings"])


def grid(rows: Sequence[Sequence[object]]) -> Grid:
    return Grid("Журнал", ["п/н", "Дата"], [5, 20], rows, ASTANA)


def read_csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=";"))


def test_csv_opens_in_excel_and_moments_are_local() -> None:
    data = as_csv(grid([[1, datetime(2026, 11, 22, 19, 30, tzinfo=UTC)], [2, None]]))
    assert data == b"\xef\xbb\xbf" + "п/н;Дата\r\n1;23.11.2026 00:30:00\r\n2;\r\n".encode()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "|x", "\n=1"], ids=range(8))
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    (_, row) = read_csv(as_csv(grid([[1, text]])))
    assert row[1].startswith("'")


@settings(max_examples=60)
@given(st.lists(st.lists(st.text(max_size=12), min_size=2, max_size=2), max_size=4))
def test_whatever_a_message_says_is_a_text_in_both_tables(rows: list[list[str]]) -> None:
    read = read_csv(as_csv(grid(rows)))
    assert len(read) == len(rows) + 1
    for cell in [cell for row in read for cell in row]:
        assert not cell.lstrip(" \xa0").startswith(("=", "+", "-", "@"))
    as_xlsx(grid(rows))


def test_the_sheet_has_title_headings_and_numbers_of_columns() -> None:
    rows = sheet(as_xlsx(grid([[1, "=1+1"]])))
    assert rows[0][0] == "Журнал"
    assert rows[3:] == [["п/н", "Дата"], [1, 2], [1, "=1+1"]]
