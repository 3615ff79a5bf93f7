"""A4 pages with Cyrillic text: fonts, margins, lines that wrap. Units are points (1/72 inch) from below left."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase.pdfmetrics import registerFont, stringWidth
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

if TYPE_CHECKING:
    from collections.abc import Sequence

REGULAR: Final = "DejaVuSans"
BOLD: Final = "DejaVuSans-Bold"
MARGIN: Final = 20 * mm
WIDTH: Final = A4[0] - 2 * MARGIN

_FONTS: Final = Path(__file__).parent / "fonts"
_LINE: Final = 1.35


@cache
def _register_fonts() -> None:
    for name in (REGULAR, BOLD):
        registerFont(TTFont(name, str(_FONTS / f"{name}.ttf")))


class Page:
    """One A4 page that is written from the top down; the same calls give the same bytes."""

    def __init__(self, title: str) -> None:
        """``title`` is the document's, shown by viewers."""
        _register_fonts()
        self._file = BytesIO()
        self._canvas = Canvas(self._file, pagesize=A4, invariant=1)
        self._canvas.setTitle(title)
        self._canvas.setCreator("state-gateway-adapter")
        #: Where the next thing begins.
        self.top = A4[1] - MARGIN

    def text(self, words: str, *, size: float = 11, font: str = REGULAR, indent: float = 0) -> None:
        """Write a paragraph, wrapped to the page's width; a word longer than a line is broken."""
        for line in _lines(words, font, size, WIDTH - indent):
            self.top -= size * _LINE
            self._canvas.setFont(font, size)
            self._canvas.drawString(MARGIN + indent, self.top, line)

    def gap(self, height: float) -> None:
        """Leave ``height`` empty."""
        self.top -= height

    def boxed(self, words: str, *, size: float = 14) -> None:
        """Write a paragraph in bold inside a frame of the page's width."""
        inset = 4 * mm
        above = self.top
        self.top -= inset / 2
        self.text(words, size=size, font=BOLD, indent=inset)
        self.top -= inset
        self._canvas.setLineWidth(1.5)
        self._canvas.rect(MARGIN, self.top, WIDTH, above - self.top)

    def squares(self, rows: Sequence[Sequence[bool]], *, side: float) -> None:
        """Draw a square picture of black and white modules, ``side`` long, in the middle of the page."""
        module = side / len(rows)
        left = MARGIN + (WIDTH - side) / 2
        path = self._canvas.beginPath()
        for y, row in enumerate(rows):
            for x, dark in enumerate(row):
                if dark:
                    path.rect(left + x * module, self.top - (y + 1) * module, module, module)
        self._canvas.drawPath(path, stroke=0, fill=1)
        self.top -= side

    def finished(self) -> bytes:
        """Return the document; nothing can be written afterwards."""
        self._canvas.showPage()
        self._canvas.save()
        return self._file.getvalue()


def _lines(words: str, font: str, size: float, width: float) -> list[str]:
    """Break a paragraph into lines that fit, at blanks where there are any."""
    found: list[str] = []
    for line in simpleSplit(words, font, size, width):
        rest = line
        while rest:
            fitting = _fitting(rest, font, size, width)
            found.append(rest[:fitting])
            rest = rest[fitting:]
    return found


def _fitting(line: str, font: str, size: float, width: float) -> int:
    """Return how many characters of ``line`` fit; at least one."""
    count = len(line)
    while count > 1 and stringWidth(line[:count], font, size) > width:
        count -= 1
    return count
