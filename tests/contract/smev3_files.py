"""Attachments of these tests: what a sender writes and uploads, what a receiver fetches; by the stock FTP client."""

from __future__ import annotations

import base64
import ftplib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid1

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.contract.smev3_caller import Caller
    from tests.contract.smev3_world import Reply

_TIMEOUT = 20


@dataclass
class Inline:
    """An attachment inside the message."""

    data: bytes
    name: str = "A1"
    mime_type: str = "text/plain"
    signed: bytes | None = None
    by: str | None = None

    def header(self, caller: Caller) -> str:
        """AttachmentHeader; ``signed`` is what the PKCS#7 is over, b"" for none."""
        content = self.data if self.signed is None else self.signed
        return (
            f"<b:AttachmentHeader><b:contentId>{self.name}</b:contentId>"
            f"<b:MimeType>{self.mime_type}</b:MimeType>{_pkcs7(caller, content, self.by)}</b:AttachmentHeader>"
        )


@dataclass
class File:
    """An attachment in the file storage."""

    data: bytes
    name: str = "file.txt"
    uuid: str = field(default_factory=lambda: str(uuid1()))
    hashed: bytes | None = None
    signed: bytes | None = None
    bits: int = 256

    def header(self, caller: Caller) -> str:
        """RefAttachmentHeader; ``hashed`` and ``signed`` are what hash and PKCS#7 are over."""
        digest = caller.gost.digest(self.bits, self.data if self.hashed is None else self.hashed)
        signature = _pkcs7(caller, self.data if self.signed is None else self.signed, None)
        return (
            f"<b:RefAttachmentHeader><b:uuid>{self.uuid}</b:uuid><b:Hash>{base64.b64encode(digest).decode()}</b:Hash>"
            f"<b:MimeType>text/plain</b:MimeType>{signature}</b:RefAttachmentHeader>"
        )

    def upload(self, port: int) -> None:
        """Put the file where its receiver will find it."""
        with ftplib.FTP() as client:  # noqa: S321  — the file storage of СМЭВ3 is FTP
            client.connect("127.0.0.1", port, _TIMEOUT)
            client.login()
            client.mkd(self.uuid)
            client.cwd(self.uuid)
            client.storbinary(f"STOR {self.name}", io.BytesIO(self.data))


def _pkcs7(caller: Caller, content: bytes, by: str | None) -> str:
    if not content:
        return ""
    return f"<b:SignaturePKCS7>{base64.b64encode(caller.sign_file(content, by=by)).decode()}</b:SignaturePKCS7>"


def headers(caller: Caller, *items: Inline | File) -> str:
    """Both lists of headers."""
    inline = "".join(item.header(caller) for item in items if isinstance(item, Inline))
    files = "".join(item.header(caller) for item in items if isinstance(item, File))
    return (f"<b:AttachmentHeaderList>{inline}</b:AttachmentHeaderList>" if inline else "") + (
        f"<b:RefAttachmentHeaderList>{files}</b:RefAttachmentHeaderList>" if files else ""
    )


def contents(*items: Inline, xop: bool = False) -> str:
    """AttachmentContentList: contents inside, or references to parts beside the envelope."""
    found = "".join(
        f"<b:AttachmentContent><b:Id>{item.name}</b:Id><b:Content>"
        + (
            f'<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:{item.name}@test"/>'
            if xop
            else base64.b64encode(item.data).decode()
        )
        + "</b:Content></b:AttachmentContent>"
        for item in items
    )
    return f"<b:AttachmentContentList>{found}</b:AttachmentContentList>"


def package(message: bytes, parts: Mapping[str, bytes]) -> tuple[bytes, str]:
    """``message`` with parts as multipart/related, and its Content-Type."""
    pieces = [b'--mark\r\nContent-Type: application/xop+xml; type="text/xml"\r\nContent-ID: <root>\r\n\r\n' + message]
    pieces += [
        f"--mark\r\nContent-Type: application/octet-stream\r\nContent-ID: <{name}>\r\n\r\n".encode() + data
        for name, data in parts.items()
    ]
    content_type = 'multipart/related; type="application/xop+xml"; start="<root>"; start-info="text/xml"; boundary=mark'
    return b"\r\n".join(pieces) + b"\r\n--mark--", content_type


def received(reply: Reply) -> dict[str, bytes]:
    """What is inside a delivery, by its Id."""
    assert reply.tree is not None
    return {
        content.findtext("b:Id", "", reply.names): base64.b64decode(content.findtext("b:Content", "", reply.names))
        for content in reply.tree.iterfind(".//b:AttachmentContent", reply.names)
    }


def fetch(reply: Reply, port: int) -> dict[str, bytes]:
    """What a delivery has in the file storage, by its uuid. Raises ftplib.Error, EOFError, OSError."""
    assert reply.tree is not None
    found = {}
    for access in reply.tree.iterfind(".//b:FSAttachment", reply.names):
        uuid, user, password, name = (element.text or "" for element in access)
        out = io.BytesIO()
        with ftplib.FTP() as client:  # noqa: S321  — the file storage of СМЭВ3 is FTP
            client.connect("127.0.0.1", port, _TIMEOUT)
            client.login(user, password)
            client.retrbinary(f"RETR {name}", out.write)
        found[uuid] = out.getvalue()
    return found
