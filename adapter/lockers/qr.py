"""The QR code of a case: ``ID-постамата|номер телефона|номер дела``, as postamat.png, SVG and rows of modules.

Source: seeds/002_f03ffb5ed5d4afbc.txt, «Вставка QR-кода». Level M survives a crease; level and version are chosen by
the length: the seed's example of 31 bytes is a code of 29 by 29 modules.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

import segno

from adapter.gateways.postamat.api import is_casenum, is_number
from adapter.lockers.rules import normal_phone

if TYPE_CHECKING:
    from segno import QRCode

#: Name of the picture in the template of a document.
PNG_NAME: Final = "postamat.png"
#: Pixels of one module.
_SCALE: Final = 10
#: Modules of white around the code that readers need (ISO/IEC 18004).
_QUIET: Final = 4


def code_text(postamatid: str, phone: str, casenum: str) -> str:
    """Return what the code holds. Raises ValueError for a number, phone or case that it cannot hold."""
    if not is_number(postamatid):
        raise ValueError("номер постамата состоит из 1–18 цифр")
    if not is_casenum(casenum):
        raise ValueError("номер дела состоит из 1–64 печатных символов без «|»")
    return "|".join((postamatid, normal_phone(phone), casenum))


def code_png(text: str) -> bytes:
    """Return the code as PNG, black on white."""
    return _saved(text, "png")


def code_svg(text: str) -> bytes:
    """Return the code as an SVG document, black on white, of a size of its own."""
    return _saved(text, "svg")


def code_modules(text: str) -> tuple[tuple[bool, ...], ...]:
    """Return the code's rows with its quiet zone; true is black."""
    return tuple(tuple(bool(module) for module in row) for row in _code(text).matrix_iter(border=_QUIET))


def _saved(text: str, kind: str) -> bytes:
    file = BytesIO()
    _code(text).save(file, kind=kind, scale=_SCALE, border=_QUIET, dark="#000", light="#fff")
    return file.getvalue()


def _code(text: str) -> QRCode:
    # Bytes and nothing else: left to itself the encoder writes Cyrillic as kanji, which few readers turn back.
    return segno.make_qr(text, error="m", mode="byte", encoding="utf-8")
