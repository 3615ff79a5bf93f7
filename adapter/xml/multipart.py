"""SOAP messages that arrive as multipart/related: CXF answers so even for an empty queue (facts of СМЭВ3)."""

from __future__ import annotations

import base64
import re
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

from adapter.xml.parser import XmlError, parse, serialize

if TYPE_CHECKING:
    from email.message import Message

_BOM = b"\xef\xbb\xbf"
_INCLUDE = "{http://www.w3.org/2004/08/xop/include}Include"
#: The first boundary, behind the message's own headers where they were saved with it, and behind a preamble (RFC 2046,
#: 5.1.1): lines that do not look like one.
_BOUNDARY = re.compile(rb"\A(?:(?!--)[^\n]*\n)*--(?=\S)([^\r\n]{1,70})\r?\n")


def soap_message(body: bytes) -> bytes:
    """Return the XML of a SOAP message: ``body`` itself, or the root part of a multipart/related body.

    Content that the root part takes from other parts (``xop:Include``) is put in its place as base64, as the
    signatures over it demand. Raises XmlError for a broken multipart body.
    """
    found = None if body.lstrip(_BOM + b" \t\r\n").startswith(b"<") else _BOUNDARY.match(body)
    if found is None:
        return body
    parts = _parts(body[found.start(1) - 2 :], found[1].rstrip())
    typed = (content for headers, content in parts if "xop+xml" in str(headers.get("Content-Type", "")))
    root = next(typed, parts[0][1])
    contents = {str(headers.get("Content-ID", "")).strip("<> "): part for headers, part in parts}
    return _inline(root, contents) if b"Include" in root else root


def _parts(body: bytes, boundary: bytes) -> list[tuple[Message, bytes]]:
    """Cut a body that begins with its first boundary into parts: headers and content."""
    pieces = re.split(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(?:--)?[ \t]*(?:\r?\n|\Z)", body)
    parts = []
    for piece in pieces:
        head, blank, content = _head(piece)
        if blank:
            parts.append((BytesHeaderParser().parsebytes(head), content))
    if not parts:
        raise XmlError("a multipart message without parts")
    return parts


def _head(piece: bytes) -> tuple[bytes, bytes, bytes]:
    for blank in (b"\r\n\r\n", b"\n\n"):
        if blank in piece:
            return piece.partition(blank)
    return piece, b"", b""


def _inline(root: bytes, contents: dict[str, bytes]) -> bytes:
    """Replace every ``xop:Include`` by the base64 of the part it names."""
    envelope = parse(root)
    for include in list(envelope.iter(_INCLUDE)):
        content = contents.get(unquote(include.get("href", "").removeprefix("cid:")))
        parent = include.getparent()
        if content is None or parent is None or len(parent) != 1:
            raise XmlError("an included part is missing")
        parent.remove(include)
        parent.text = base64.b64encode(content).decode()
    return serialize(envelope)
