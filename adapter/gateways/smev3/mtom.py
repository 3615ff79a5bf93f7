"""MTOM: an envelope with its attachments beside it, as one multipart/related body (XOP), written and read.

A body says itself what it is: one that begins with a boundary is multipart, and its Content-Type follows from it, so
that the bytes alone are kept and sent again.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from email.parser import BytesHeaderParser
from itertools import pairwise
from quopri import decodestring
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote
from uuid import uuid4

from adapter.gateways.smev3.reading import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lxml.etree import _Element

XOP: Final = "http://www.w3.org/2004/08/xop/include"
_INCLUDE: Final = f"{{{XOP}}}Include"
_ROOT: Final = "envelope@smev3"
_PLAIN: Final = "text/xml; charset=utf-8"
_WRAPPED: Final = (
    'multipart/related; type="application/xop+xml"; boundary="{}"; start="<' + _ROOT + '>"; start-info="text/xml"'
)


def pack(envelope: bytes, parts: Mapping[str, bytes]) -> bytes:
    """Return the body of ``envelope`` with ``parts``, by the ids that :func:`include` names; itself without parts."""
    if not parts:
        return envelope
    boundary = f"--mtom-{uuid4().hex}".encode()
    pieces = [
        boundary,
        b'\r\nContent-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\n'
        b"Content-Transfer-Encoding: binary\r\nContent-ID: <%b>\r\n\r\n" % _ROOT.encode(),
        envelope,
    ]
    for identifier, content in parts.items():
        head = (
            b"\r\n%b\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Transfer-Encoding: binary\r\nContent-ID: <%b>\r\n\r\n"
        )
        pieces += (head % (boundary, _content_id(identifier)), content)
    pieces += (b"\r\n", boundary, b"--\r\n")
    return b"".join(pieces)


def include(identifier: str) -> bytes:
    """Return the element that stands for the content of part ``identifier``, an ASCII NCName."""
    return b'<xop:Include xmlns:xop="%b" href="cid:%b"></xop:Include>' % (XOP.encode(), _content_id(identifier))


def _content_id(identifier: str) -> bytes:
    return f"{identifier}@smev3".encode()


def content_type(body: bytes) -> str:
    """Return the Content-Type of a body that :func:`pack` made, or of a bare envelope."""
    if not body.startswith(b"--"):
        return _PLAIN
    return _WRAPPED.format(body[2 : body.index(b"\r\n")].decode())


class Parts:
    """What stands beside the envelope in a received body, found when it is asked for."""

    def __init__(self, body: bytes) -> None:
        """``body`` is any answer's; a bare envelope has nothing beside it."""
        self._body = body
        self._found: dict[str, bytes] | None = None

    def content(self, holder: _Element) -> bytes | None:
        """Return the content that ``holder`` (an AttachmentContent/Content) holds or refers to.

        Base64 inside is as good as a part. ``None`` when the part did not come. Raises UnreadableError when that
        cannot be told, because the body is cut off or the reference makes no sense.
        """
        elements = [child for child in holder if isinstance(child.tag, str)]
        if not elements:
            return _base64("".join(map(str, holder.itertext())))
        if len(elements) > 1 or elements[0].tag != _INCLUDE:
            raise UnreadableError("content of an attachment is neither base64 nor a reference to a part")
        if self._found is None:
            self._found = _split(self._body)
        return self._found.get(unquote(elements[0].get("href", "").removeprefix("cid:")))


def _split(body: bytes) -> dict[str, bytes]:
    """Return the parts of a multipart body by Content-ID. Raises UnreadableError when it is cut off."""
    opening = re.match(rb"\s*(--[^\r\n]+?)[ \t]*\r?\n", body.removeprefix(b"\xef\xbb\xbf"))
    if opening is None:
        return {}
    marks = list(re.finditer(rb"(?:\A\s*|\r?\n)" + re.escape(opening[1]) + rb"(--)?[ \t]*(?:\r?\n|\Z)", body))
    if not marks or marks[-1][1] is None:
        raise UnreadableError("multipart body is cut off")
    found = {}
    for mark, end in pairwise(marks):
        piece = body[mark.end() : end.start()]
        head = re.search(rb"\r?\n\r?\n", piece)
        if head is None:
            raise UnreadableError("part of the multipart body has no headers")
        headers = BytesHeaderParser().parsebytes(piece[: head.start()] + b"\r\n\r\n")
        encoding = str(headers.get("Content-Transfer-Encoding", "binary")).strip().lower()
        found[str(headers.get("Content-ID", "")).strip().strip("<>")] = _decoded(piece[head.end() :], encoding)
        if mark[1] is not None:
            break
    return found


def _decoded(content: bytes, encoding: str) -> bytes:
    """Return a part's content without its transfer encoding. Raises UnreadableError."""
    if encoding == "base64":
        return _base64(content)
    return decodestring(content) if encoding == "quoted-printable" else content


def _base64(text: str | bytes) -> bytes:
    try:
        return b64decode(text)
    except (binascii.Error, ValueError):
        raise UnreadableError("content of an attachment is no base64") from None
