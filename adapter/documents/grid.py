"""Journals as tables for Excel: xlsx, and CSV that Excel opens by a double click. Texts are never formulas."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import xlsxwriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

#: What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
_MOMENT: Final = "%d.%m.%Y %H:%M:%S"
#: Points of a line, of the highest row of Excel, and what a letter of ours takes of a column's character.
_LINE: Final = 13.0
_TALLEST: Final = 400.0
_WIDE: Final = 1.15
#: Characters of one cell of Excel.
_LONGEST: Final = 32_767


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with its title; ``widths`` are those of the columns in characters. Moments are written in ``zone``.

    Cells are texts, numbers, moments or ``None``. With ``numbered`` a row of column numbers stands below the headings.
    ``groups`` are headings over several columns: a text, its first column and its last, counted from 0.
    """

    title: str
    headings: Sequence[str]
    widths: Sequence[float]
    rows: Sequence[Sequence[Any]]
    zone: tzinfo
    subtitle: str = ""
    numbered: bool = True
    groups: Sequence[tuple[str, int, int]] = ()


def as_csv(grid: Grid) -> bytes:
    """Return the table as CSV: UTF-8 with its mark, semicolons, and an apostrophe before what could be a formula."""
    written = io.StringIO()
    writer = csv.writer(written, delimiter=";", lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(grid.headings)
    for row in grid.rows:
        writer.writerow([_text(cell, grid.zone) for cell in row])
    return b"\xef\xbb\xbf" + written.getvalue().encode()


def as_xlsx(grid: Grid) -> bytes:
    """Return the table as a workbook of one sheet, ready to be printed on A4 across."""
    written = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(written, options)
    book.set_properties({"title": grid.title, "created": datetime(2020, 1, 1)})  # noqa: DTZ001  — a file says when it was made
    sheet = book.add_worksheet("Журнал")
    cell = {"border": 1, "text_wrap": True, "valign": "top", "font_name": "Times New Roman", "font_size": 10}
    plain = book.add_format(cell)
    moment = book.add_format({**cell, "num_format": "dd.mm.yyyy hh:mm:ss", "align": "left"})
    head = book.add_format({**cell, "bold": True, "align": "center", "valign": "vcenter"})
    name = book.add_format({"bold": True, "font_name": "Times New Roman", "font_size": 14})
    for column, width in enumerate(grid.widths):
        sheet.set_column(column, column, width)
    sheet.write_string(0, 0, grid.title, name)
    sheet.write_string(1, 0, grid.subtitle)
    top = 3
    if grid.groups:
        sheet.set_row(top - 1, _LINE + 5)
    for text, begins, ends in grid.groups:
        sheet.merge_range(top - 1, begins, top - 1, ends, text, head)
    for column, heading in enumerate(grid.headings):
        sheet.write_string(top, column, heading, head)
        if grid.numbered:
            sheet.write_number(top + 1, column, column + 1, head)
    first = top + 1 + grid.numbered
    sheet.set_row(top, _height(grid.headings, grid.widths))
    for number, row in enumerate(grid.rows, first):
        sheet.set_row(number, _height([_text(cell, grid.zone) for cell in row], grid.widths))
        for column, value in enumerate(row):
            _put(sheet, (number, column), value, grid.zone, (plain, moment))
    sheet.freeze_panes(first, 0)
    sheet.repeat_rows(top - bool(grid.groups), first - 1)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.set_margins(0.4, 0.4, 0.5, 0.5)
    sheet.fit_to_pages(1, 0)
    book.close()
    return written.getvalue()


def _height(texts: Sequence[str], widths: Sequence[float]) -> float:
    """Return the height in points that a row of wrapped texts needs: not every reader finds it by itself."""
    lines = [
        sum(math.ceil(max(1, len(line)) * _WIDE / width) for line in text.split("\n"))
        for text, width in zip(texts, widths, strict=True)
    ]
    return min(_TALLEST, _LINE * max(lines, default=1) + 3)


def _put(sheet: Any, place: tuple[int, int], value: Any, zone: tzinfo, formats: tuple[Any, Any]) -> None:
    plain, moment = formats
    match value:
        case datetime():
            sheet.write_datetime(*place, value.astimezone(zone).replace(tzinfo=None, microsecond=0), moment)
        case int():
            sheet.write_number(*place, value, plain)
        case _:
            sheet.write_string(*place, _clean("" if value is None else str(value))[:_LONGEST], plain)


def _text(value: Any, zone: tzinfo) -> str:
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime(_MOMENT)
    if isinstance(value, int):
        return str(value)
    text = _clean("" if value is None else str(value))
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULA) else text


def _clean(text: str) -> str:
    """Return a text without the control characters that no spreadsheet can hold."""
    return "".join(char for char in text if char >= " " or char in "\t\n\r")
