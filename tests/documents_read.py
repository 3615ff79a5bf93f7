"""What a person would read in a document of Office: its words, cell by cell."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import docx
import openpyxl


def words(file: bytes) -> list[str]:
    """Return the texts of a docx: its paragraphs, then its tables cell by cell, merged cells once."""
    document: Any = docx.Document(BytesIO(file))
    found = [paragraph.text for paragraph in document.paragraphs]
    for table in document.tables:
        for row in rows_of(table):
            found += row
    return found


def rows_of(table: Any) -> list[list[str]]:
    """Return the rows of a table of a docx; a cell over several columns is one."""
    found = []
    for row in table.rows:
        cells = {id(cell._tc): cell.text for cell in row.cells}
        found.append(list(cells.values()))
    return found


def tables(file: bytes) -> list[list[list[str]]]:
    """Return the tables of a docx."""
    document: Any = docx.Document(BytesIO(file))
    return [rows_of(table) for table in document.tables]


def sheet(file: bytes) -> list[list[Any]]:
    """Return the rows of the first sheet of an xlsx."""
    book = openpyxl.load_workbook(BytesIO(file))
    return [[cell.value for cell in row] for row in book.worksheets[0].iter_rows()]
