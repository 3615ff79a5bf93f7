"""A letter of numbered points as plain text and as a Word document, drawn from plain values."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from docx import Document
from docx.shared import Cm, Pt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docx.document import Document as Word

_FONT: Final = "Times New Roman"
#: Most characters of a Word document's title.
_TITLE: Final = 255
_LABEL: Final = Cm(5.5)
_VALUE: Final = Cm(11.5)


@dataclass(frozen=True, slots=True)
class Point:
    """One point: its heading, and lines of a label and a text; a text may have several lines, a label may be empty."""

    heading: str
    lines: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Letter:
    """To whom, about what, and the points in their order."""

    address: str
    subject: str
    points: Sequence[Point]


def as_text(letter: Letter) -> str:
    """Return the letter as text."""
    lines = [f"Кому: {letter.address}", f"Тема: {letter.subject}"]
    for number, point in enumerate(letter.points, start=1):
        lines += ["", f"{number}. {point.heading}"]
        for label, text in point.lines:
            first, *rest = text.splitlines() or [""]
            lines.append(f"   {label}: {first}" if label else f"   {first}")
            lines += [f"      {line}" for line in rest]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def as_docx(letter: Letter) -> bytes:
    """Return the letter as a Word document (A4)."""
    document = Document()
    section = document.sections[0]
    section.page_width, section.page_height = Cm(21), Cm(29.7)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(2)
    style: Any = document.styles["Normal"]
    style.font.name, style.font.size = _FONT, Pt(11)
    document.core_properties.title = _drawable(letter.subject)[:_TITLE]
    document.core_properties.author = "state-gateway-adapter"
    for label, text in (("Кому", letter.address), ("Тема", letter.subject)):
        paragraph = document.add_paragraph()
        paragraph.add_run(f"{label}: ").bold = True
        paragraph.add_run(_drawable(text))
    for number, point in enumerate(letter.points, start=1):
        heading = document.add_paragraph()
        heading.paragraph_format.keep_with_next = True
        heading.add_run(f"{number}. {_drawable(point.heading)}").bold = True
        if any(label for label, _ in point.lines):
            _table(document, point.lines)
        else:
            for _, text in point.lines:
                document.add_paragraph(_drawable(text))
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def _table(document: Word, lines: Sequence[tuple[str, str]]) -> None:
    table = document.add_table(rows=0, cols=2, style="Table Grid")
    table.autofit = False
    for label, text in lines:
        cells = table.add_row().cells
        for cell, width, words in zip(cells, (_LABEL, _VALUE), (label, text), strict=True):
            cell.width = width
            cell.text = _drawable(words)
    document.add_paragraph()


def _drawable(text: str) -> str:
    """Return a text without what XML cannot hold: control characters, halves of surrogate pairs."""
    kept = (
        char if char in "\n\t" or (char >= " " and not 0xD800 <= ord(char) <= 0xDFFF) else "\ufffd" for char in text
    )
    return "".join(char if char not in "\ufffe\uffff" else "\ufffd" for char in kept)
