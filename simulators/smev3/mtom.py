"""MTOM: SOAP messages as multipart/related with their attachments beside the envelope (XOP), read and written."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from uuid import uuid4

from lxml import etree

from adapter.xml.parser import XmlError, parse, serialize
from simulators.smev3.faults import refuse_bare
from simulators.smev3.names import XOP

if TYPE_CHECKING:
    from collections.abc import Mapping

_INCLUDE = f"{{{XOP}}}Include"
_ROOT_ID = "root.message@cxf.apache.org"


@dataclass(frozen=True, slots=True)
class Package:
    """A SOAP message without its wrapping: the envelope, and by Id what its attachments hold.

    In ``envelope`` the content of an attachment that came as a part of its own is empty.
    """

    envelope: bytes
    contents: Mapping[str, bytes] = field(default_factory=dict)


@lru_cache(maxsize=64)
def media_type(header: str) -> tuple[str, Mapping[str, str]]:
    """Return the lower-cased type of a Content-Type header and its parameters."""
    message = Message()
    message["Content-Type"] = header
    return message.get_content_type() if header else "", {
        key.lower(): value for key, value in (message.get_params() or [])[1:]
    }


def unpack(body: bytes, content_type: str) -> Package:
    """Return the message in ``body``. Raises RefusedError for a broken package, as a SOAP stack does."""
    kind, parameters = media_type(content_type)
    if kind != "multipart/related":
        return Package(body)
    parts = _parts(body, parameters.get("boundary", ""))
    start = parameters.get("start", "").strip("<>") or parts[0][0]
    contents = dict(parts)
    if start not in contents:
        raise refuse_bare("Couldn't find MIME root part")
    root = contents.pop(start)
    return _resolve(root, contents) if b"Include" in root else Package(root)


def _parts(body: bytes, boundary: str) -> list[tuple[str, bytes]]:
    """Return (Content-ID, content) of every part."""
    mark = b"--" + boundary.encode("latin-1", "replace")
    framed = b"\r\n" + body
    if not boundary or framed.count(b"\r\n" + mark) < 2 or b"\r\n" + mark + b"--" not in framed:
        raise refuse_bare("Couldn't find MIME boundary")
    found = []
    whole = framed[: framed.index(b"\r\n" + mark + b"--")]
    for piece in re.split(b"\r\n" + re.escape(mark) + b"[ \t]*\r\n", whole)[1:]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank:
            raise refuse_bare("Couldn't read a MIME part")
        headers = BytesHeaderParser().parsebytes(head)
        # A header with bytes above 127 is no str in the stock parser.
        if str(headers.get("Content-Transfer-Encoding", "binary")).strip().lower() == "base64":
            content = _decoded(content)
        found.append((str(headers.get("Content-ID", "")).strip().strip("<>"), content))
    if not found:
        raise refuse_bare("Couldn't find MIME root part")
    return found


def _decoded(content: bytes) -> bytes:
    try:
        return base64.b64decode(content)
    except binascii.Error:
        raise refuse_bare("Couldn't read a MIME part") from None


def _resolve(root: bytes, contents: Mapping[str, bytes]) -> Package:
    """Take attachments' contents out of the envelope; put everything else that was taken out of it back in."""
    try:
        envelope = parse(root)
    except XmlError:
        return Package(root)  # the door says what is wrong with it
    inline = {}
    for include in list(envelope.iter(_INCLUDE)):
        href, holder = include.get("href", ""), include.getparent()
        content = contents.get(unquote(href.removeprefix("cid:")))
        if content is None or holder is None or len(holder) != 1 or (holder.text or "").strip():
            raise refuse_bare(f"Unmarshalling Error: no part for {href[:100]}")
        holder.remove(include)
        owner = holder.getparent()
        identifier = None if owner is None else owner.findtext("{*}Id")
        if etree.QName(holder).localname == "Content" and identifier is not None:
            inline[identifier] = content
        else:
            holder.text = base64.b64encode(content).decode()
    return Package(serialize(envelope), inline)


def reference(identifier: str) -> str:
    """Return the element that stands for the content of part ``identifier``."""
    return f'<xop:Include xmlns:xop="{XOP}" href="cid:{quote(identifier)}"/>'


def pack(body: bytes, contents: Mapping[str, bytes]) -> tuple[bytes, str]:
    """Return a multipart/related message and its Content-Type, as CXF writes it; ``contents`` by Content-ID."""
    boundary = f"uuid:{uuid4()}"
    pieces = [
        f"--{boundary}\r\n"
        'Content-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\n'
        "Content-Transfer-Encoding: binary\r\n"
        f"Content-ID: <{_ROOT_ID}>\r\n\r\n".encode(),
        body,
    ]
    for identifier, content in contents.items():
        pieces += (
            f"\r\n--{boundary}\r\n"
            "Content-Type: application/octet-stream\r\n"
            "Content-Transfer-Encoding: binary\r\n"
            f"Content-ID: <{identifier}>\r\n\r\n".encode(),
            content,
        )
    pieces.append(f"\r\n--{boundary}--".encode())
    content_type = (
        f'multipart/related; type="application/xop+xml"; boundary="{boundary}"; '
        f'start="<{_ROOT_ID}>"; start-info="text/xml"'
    )
    return b"".join(pieces), content_type
