"""Documents of Word (docx) that people sign and send: headings, paragraphs and tables, in Russian, for A4."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from docx import Document
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

#: What stands where nobody has said anything: a reader has to see that something is missing.
MISSING: Final = "не заполнено"

_FONT: Final = "Times New Roman"
_A4: Final = (210, 297)
_MARGIN: Final = 15


class Paper:
    """One document. Texts are written as they are; nothing in them is a field, a link or a formula."""

    def __init__(self, title: str, at: datetime, *, landscape: bool = False) -> None:
        """``title`` is the file's own, ``at`` when it was made: the same content gives the same text."""
        self._document: Any = Document()
        self._document.core_properties.title = title
        self._document.core_properties.author = ""
        self._document.core_properties.comments = ""
        self._document.core_properties.created = at.replace(tzinfo=None)
        self._document.core_properties.modified = at.replace(tzinfo=None)
        self._document.core_properties.language = "ru-RU"
        style = self._document.styles["Normal"]
        style.font.name, style.font.size = _FONT, Pt(12)
        style.element.rPr.rFonts.set(qn("w:eastAsia"), _FONT)
        style.paragraph_format.space_after = Pt(4)
        width, height = (_A4[1], _A4[0]) if landscape else _A4
        section = self._document.sections[0]
        section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
        section.page_width, section.page_height = Mm(width), Mm(height)
        section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Mm(_MARGIN)
        self._width = width - 2 * _MARGIN

    def heading(self, text: str) -> None:
        """Write the name of the document, or of a part of it: bold, in the middle, kept with what follows."""
        paragraph = self._document.add_paragraph()
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        paragraph.paragraph_format.space_before = Pt(8)
        paragraph.paragraph_format.keep_with_next = True
        paragraph.add_run(text).bold = True

    def text(self, text: str, *, bold: bool = False, right: bool = False, size: float | None = None) -> None:
        """Write a paragraph; ``size`` in points."""
        paragraph = self._document.add_paragraph()
        if right:
            paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
        run = paragraph.add_run(text)
        run.bold = bold
        if size is not None:
            run.font.size = Pt(size)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]], shares: Sequence[float]) -> None:
        """Write a table; ``shares`` are the parts of the width that its columns have. Its headings repeat on each page.

        A row of one cell goes over the whole width. What is not filled in stands in italics.
        """
        table = self._document.add_table(rows=0, cols=len(shares))
        table.style = "Table Grid"
        table.autofit = False
        widths = [Mm(self._width * share / sum(shares)) for share in shares]
        for column, width in zip(table.columns, widths, strict=True):
            column.width = width  # of the grid: some readers look at nothing else
        if headings:
            _fill(table.add_row(), headings, widths, bold=True)
            _repeat(table.rows[0])
        for row in rows:
            added = table.add_row()
            if len(row) == 1:
                _fill(added, [row[0], *[""] * (len(shares) - 1)], widths, bold=True)
                added.cells[0].merge(added.cells[-1])
                added.cells[0].text = ""
                _write(added.cells[0], row[0], bold=True)
            else:
                _fill(added, row, widths)
            _whole(added)

    def finished(self) -> bytes:
        """Return the file."""
        written = BytesIO()
        self._document.save(written)
        return written.getvalue()


def _fill(row: Any, texts: Sequence[str], widths: Sequence[Any], *, bold: bool = False) -> None:
    for cell, text, width in zip(row.cells, texts, widths, strict=True):
        cell.width = width
        _write(cell, text, bold=bold)


def _write(cell: Any, text: str, *, bold: bool) -> None:
    paragraph = cell.paragraphs[0]
    paragraph.paragraph_format.space_after = Pt(0)
    run = paragraph.add_run(text)
    run.bold, run.italic = bold, text == MISSING
    run.font.size = Pt(10)


def _repeat(row: Any) -> None:
    """Let a row stand at the top of each page."""
    row._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))  # noqa: SLF001  — python-docx has no name for it


def _whole(row: Any) -> None:
    """Keep a row on one page."""
    row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))  # noqa: SLF001  — python-docx has no name for it
