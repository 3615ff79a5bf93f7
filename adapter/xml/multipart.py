"""SOAP messages as they travel: bare, as the body of a saved HTTP message, or multipart/related.

CXF answers in parts even for an empty queue (facts of СМЭВ3). What stands around the message (a byte order mark, blank
lines, headers, a preamble) is passed over, and the message itself keeps its bytes.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from adapter.xml.parser import MAX_BYTES, XmlError, parse, serialize

if TYPE_CHECKING:
    from email.message import Message

_BLANKS: Final = b" \t\r\n"
_INCLUDE: Final = "{http://www.w3.org/2004/08/xop/include}Include"
#: The first boundary, behind the message's own headers where they were saved with it, and behind a preamble (RFC 2046,
#: 5.1.1): lines that do not look like one.
_BOUNDARY: Final = re.compile(rb"\A((?:(?!--)[^\n]*\n)*)--(?=\S)([^\r\n]{1,70})\r?\n")
#: Headers, of a part or of a saved HTTP message with its first line: nothing in them begins a document.
_HEADERS: Final = re.compile(rb"\A(?:[^<\r\n][^\r\n]*\r?\n)*\r?\n")
_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r?\n")
#: What .NET writes above what it then saves in another encoding: a promise that the bytes themselves refute.
_UTF_16_DECLARED: Final = re.compile(
    rb"""\A<\?xml[^<>]*encoding\s*=\s*["'](?:utf-16|ucs-2)(?:le|be)?["'][^<>]*\?>""", re.IGNORECASE
)
_MOST_PARTS: Final = 1000


@dataclass(frozen=True, slots=True)
class SoapMessage:
    """A message out of what was around it.

    ``root`` is its XML as it travelled; ``whole`` the same with the content of its parts in place (``xop:Include``), as
    the signatures over it demand: ``root`` itself when nothing was included.
    """

    root: bytes
    whole: bytes


def soap_message(body: bytes) -> bytes:
    """Return the whole XML of a SOAP message (:class:`SoapMessage`). Raises XmlError for a broken multipart body."""
    return read_message(body).whole


def read_message(body: bytes) -> SoapMessage:
    """Read a bare message, a saved HTTP message or a multipart/related body.

    An included part that is not there leaves its ``xop:Include`` in place. Raises XmlError for a body whose parts
    cannot be told apart or decoded, and for inclusions that make it larger than a document may be.
    """
    text = body.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
    if text.startswith(b"<"):
        return _alone(body if _is_read_as_it_is(body) else text)
    headers = None if text.startswith(b"--") else _HEADERS.match(text)
    if headers is not None and "chunked" in str(_read_headers(headers[0]).get("Transfer-Encoding", "")).lower():
        text = headers[0] + _dechunked(text[headers.end() :])
    found = _BOUNDARY.match(text)
    if found is not None:
        return _related(text[found.end(1) :], found[2].rstrip(), _read_headers(found[1]))
    content = b"" if headers is None else text[headers.end() :].removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
    return _alone(content if content.startswith(b"<") else body)


def _is_read_as_it_is(body: bytes) -> bool:
    """Tell whether no blank stands before a declaration, where XML allows none."""
    return body.startswith((b"<", codecs.BOM_UTF8 + b"<")) or b"<?xml " not in body[:256]


def _alone(data: bytes) -> SoapMessage:
    data = _honest(data)
    return SoapMessage(data, data)


def _honest(data: bytes) -> bytes:
    """Drop a declaration of UTF-16 from bytes that are not."""
    promise = _UTF_16_DECLARED.match(data.removeprefix(codecs.BOM_UTF8)[:256])
    return data if promise is None else data.removeprefix(codecs.BOM_UTF8)[promise.end() :]


def _dechunked(body: bytes) -> bytes:
    """Join the chunks of an HTTP body that was saved as it travelled (RFC 9112, 7.1), whole or cut off."""
    pieces, at = [], 0
    while (head := _CHUNK.match(body, at)) is not None and (size := int(head[1], 16)):
        pieces.append(body[head.end() : head.end() + size])
        at = head.end() + size
        while body[at : at + 1] in (b"\r", b"\n"):
            at += 1
    return b"".join(pieces) if pieces else body


@dataclass(frozen=True, slots=True)
class _Part:
    headers: Message
    raw: bytes

    @property
    def identifier(self) -> str:
        return str(self.headers.get("Content-ID", "")).strip("<> \t\r\n")

    @property
    def content(self) -> bytes:
        """Decode the transfer encoding (RFC 2045, 6). Raises XmlError."""
        encoding = str(self.headers.get("Content-Transfer-Encoding", "")).strip().lower()
        if encoding == "quoted-printable":
            return quopri.decodestring(self.raw)
        if encoding != "base64":
            return self.raw
        try:
            return base64.b64decode(b"".join(self.raw.split()), validate=True)
        except binascii.Error:
            raise XmlError("a part of the multipart message is not the base64 that it says") from None

    @property
    def document(self) -> bytes:
        """Return the content as XML that can be read by itself: its encoding may be said by the headers alone."""
        content = self.content.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
        charset = str(self.headers.get_content_charset("utf-8"))
        if content.startswith(b"<?xml") or charset == "utf-8" or not content.startswith(b"<"):
            return _honest(content) if content.startswith(b"<") else self.content
        try:
            return content.decode(charset).encode()
        except (LookupError, UnicodeError):
            return content


def _related(body: bytes, boundary: bytes, headers: Message) -> SoapMessage:
    parts = _parts(body, boundary)
    root = _root(parts, str(headers.get_param("start") or "").strip("<> ")).document
    if b"Include" not in root:
        return SoapMessage(root, root)
    return SoapMessage(root, _inline(root, {part.identifier: part for part in parts}))


def _parts(body: bytes, boundary: bytes) -> list[_Part]:
    """Cut a body that begins with its first boundary into parts."""
    pieces = re.split(
        rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(?:--)?[ \t]*(?:\r?\n|\Z)", body, maxsplit=_MOST_PARTS + 1
    )
    parts = []
    for piece in pieces:
        if piece.startswith((b"\n", b"\r\n")):
            parts.append(_Part(_read_headers(b""), piece.lstrip(b"\r").removeprefix(b"\n")))
        elif (blank := _BLANK_LINE.search(piece)) is not None:
            parts.append(_Part(_read_headers(piece[: blank.start()]), piece[blank.end() :]))
    if not parts:
        raise XmlError("a multipart message without parts")
    if len(pieces) > _MOST_PARTS:
        raise XmlError(f"a multipart message with more than {_MOST_PARTS} parts")
    return parts


def _read_headers(lines: bytes) -> Message:
    """Read headers; a first line of HTTP before them is passed over."""
    first, _, rest = lines.partition(b"\n")
    return BytesHeaderParser().parsebytes(rest if b"HTTP/" in first else lines)


def _root(parts: list[_Part], start: str) -> _Part:
    """Return the part that is the message: by ``start`` (RFC 2387, 3.2), by its type, by its looks, or the first."""
    if start:
        for part in parts:
            if part.identifier == start:
                return part
    for part in parts:
        if "xop+xml" in str(part.headers.get("Content-Type", "")):
            return part
    return next((part for part in parts if part.document.startswith(b"<")), parts[0])


def _inline(root: bytes, parts: dict[str, _Part]) -> bytes:
    """Replace every ``xop:Include`` by the base64 of the part it names; return ``root`` when none is there."""
    envelope = parse(root)
    size, found = len(root), False
    for include in list(envelope.iter(_INCLUDE)):
        part = parts.get(unquote(include.get("href", "").removeprefix("cid:")))
        parent = include.getparent()
        if part is None:
            continue
        if parent is None or len(parent) != 1:
            raise XmlError("an inclusion has to stand alone in its element")
        content = part.content
        size += len(content) * 4 // 3
        if size > MAX_BYTES:
            raise XmlError(f"the document with what it includes is larger than {MAX_BYTES} bytes")
        parent.remove(include)
        parent.text = base64.b64encode(content).decode()
        found = True
    return serialize(envelope) if found else root
