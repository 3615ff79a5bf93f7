"""Attachments of a message: what its headers promise, held against what came with it (facts smev3.md, Attachments).

Inside the message (MTOM, or base64 in the envelope) up to 5 MB in all, in the file storage (FTP) up to 1 GB; each with
a detached PKCS#7 by somebody whom the service knows. Which fault a finding gets is known for sizes and for contents
that do not belong to their headers; that signatures of attachments are a SignatureVerificationFault, and that a wrong
hash is a content that does not belong to its header, is the simulator's own choice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from adapter.signing.certificates import CertificateError, period
from simulators.smev3.faults import refuse, refuse_signature
from simulators.smev3.streebog import digest_file, verify_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from lxml import etree

    from adapter.signing.gost import GostEngine
    from adapter.signing.gost_cms import CmsVerdict
    from simulators.smev3.ftp import FtpArea
    from simulators.smev3.names import Version

INLINE_LIMIT = 5 * 2**20
FILES_LIMIT = 2**30
#: Contents up to so many bytes are kept to be shown.
_SHOWN = 1 << 16
_DIGEST_BITS = {32: 256, 64: 512}


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attachment with its content: ``data`` when it is inside the message, ``path`` when it is a stored file.

    ``name`` is the file's, or the content id; ``hash`` is base64 as the header has it, ``signature`` DER.
    """

    identifier: str
    name: str
    mime_type: str
    signature: bytes
    size: int
    data: bytes | None = None
    path: Path | None = None
    hash: str = ""

    def described(self) -> dict[str, object]:
        """Return what ``/_sim`` tells of it: a small content inside a message as it is, of a larger one its digest."""
        shown = self.data if self.data is not None and self.size <= _SHOWN else None
        return {
            "name": self.name,
            "mime_type": self.mime_type,
            "size": self.size,
            "by": "mtom" if self.path is None else "ftp",
            "hash": self.hash,
            "content_base64": None if shown is None else base64.b64encode(shown).decode(),
            "sha256": None if self.data is None else hashlib.sha256(self.data).hexdigest(),
        }


class AttachmentDesk:
    """Checks what comes with a message against the headers in it."""

    def __init__(self, gost: GostEngine, anchors: Sequence[bytes], area: FtpArea, files_limit: int) -> None:
        """``anchors`` are those of everybody's certificates; ``files_limit`` is in bytes.

        ``check_files`` may be switched off to measure transfers alone: a digest takes longer than the way here.
        """
        self._gost = gost
        self._anchors = tuple(anchors)
        self._area = area
        self.files_limit = files_limit
        self.check_files = True

    def has_files(self, body: etree._Element, version: Version) -> bool:
        """Tell whether a message has attachments in the file storage, so that checking takes time."""
        return body.find(f"*/{version.base('RefAttachmentHeaderList')}") is not None

    def check(
        self, body: etree._Element, version: Version, contents: Mapping[str, bytes], now: datetime
    ) -> tuple[Attachment, ...]:
        """Return the attachments of the message ``body``, files still in the upload area. Raises RefusedError.

        ``contents`` came as parts beside the envelope, by the Id of their AttachmentContent.
        """
        return (*self._inline(body, version, contents, now), *self._files(body, version, now))

    def _inline(
        self, body: etree._Element, version: Version, contents: Mapping[str, bytes], now: datetime
    ) -> list[Attachment]:
        headers = list(body.iterfind(f"*/{version.base('AttachmentHeaderList')}/*"))
        held = list(body.iterfind(f"{version.base('AttachmentContentList')}/*"))
        names = Counter(header.findtext(version.base("contentId"), "") for header in headers)
        if names != Counter(content.findtext(version.base("Id"), "") for content in held) or len(names) != len(headers):
            raise refuse("AttachmentContentMiscoordination", place="SPA:1")
        data = {}
        for content in held:
            identifier = content.findtext(version.base("Id"), "")
            part = contents.get(identifier)
            text = content.findtext(version.base("Content"), "")
            data[identifier] = base64.b64decode(text) if part is None else part
        total = sum(map(len, data.values()))
        if total > INLINE_LIMIT:
            raise _too_large(total, INLINE_LIMIT)
        found = []
        for header in headers:
            identifier = header.findtext(version.base("contentId"), "")
            signature = _signature(header, version)
            self._judge(self._gost.verify_cms(signature, data[identifier]), now)
            mime_type = header.findtext(version.base("MimeType"), "")
            size = len(data[identifier])
            found.append(Attachment(identifier, identifier, mime_type, signature, size, data=data[identifier]))
        return found

    def _files(self, body: etree._Element, version: Version, now: datetime) -> list[Attachment]:
        headers = list(body.iterfind(f"*/{version.base('RefAttachmentHeaderList')}/*"))
        paths = {}
        for header in headers:
            uuid = header.findtext(version.base("uuid"), "")
            path = self._area.uploaded(uuid)
            if path is None or uuid in paths:
                sentence = f"Файл вложения {uuid} не найден в файловом хранилище"
                raise refuse("AttachmentContentMiscoordination", sentence, place="SPA:2")
            paths[uuid] = path
        total = sum(path.stat().st_size for path in paths.values())
        if total > self.files_limit:
            raise _too_large(total, self.files_limit)
        return [
            self._file(header, paths[header.findtext(version.base("uuid"), "")], version, now) for header in headers
        ]

    def _file(self, header: etree._Element, path: Path, version: Version, now: datetime) -> Attachment:
        uuid, text = header.findtext(version.base("uuid"), ""), header.findtext(version.base("Hash"), "")
        promised = _octets(text)
        bits = _DIGEST_BITS.get(len(promised))
        if bits is None or (self.check_files and digest_file(path, bits) != promised):
            sentence = f"Хэш файла вложения {uuid} не соответствует указанному в заголовке"
            raise refuse("AttachmentContentMiscoordination", sentence, place="SPA:3")
        signature = _signature(header, version)
        if self.check_files:
            self._judge(verify_file(self._gost, signature, path), now)
        mime_type = header.findtext(version.base("MimeType"), "")
        return Attachment(uuid, path.name, mime_type, signature, path.stat().st_size, path=path, hash=text)

    def _judge(self, verdict: CmsVerdict, now: datetime) -> None:
        """Refuse a PKCS#7 that is wrong, or by somebody unknown."""
        if not verdict.math:
            raise refuse_signature("SignatureIsInvalid", "ЭП вложения не прошла проверку", place="SPA:4")
        try:
            known = self._gost.chain(verdict.certificate, self._anchors)
            state = period(verdict.certificate, now)
        except CertificateError:
            known, state = False, ""
        if not known:
            raise refuse_signature("CertificateIsNotFound", "Сертификат ЭП вложения не найден", place="SPA:5")
        if state != "valid":
            raise refuse_signature("CertificateIsExpired", "Сертификат ЭП вложения не действует", place="SPA:6")


def headers_xml(attachments: Sequence[Attachment], version: Version) -> str:
    """Return both lists of headers as they stand in a sender-provided part, in the default namespace ``basic``."""
    inline = "".join(
        f"<AttachmentHeader><contentId>{escape(item.identifier)}</contentId>{_common(item)}</AttachmentHeader>"
        for item in attachments
        if item.path is None
    )
    named = version.number == "1.3"
    files = "".join(
        f"<RefAttachmentHeader><uuid>{escape(item.identifier)}</uuid>"
        f"{f'<FileName>{escape(item.name)}</FileName>' if named else ''}"
        f"<Hash>{escape(item.hash)}</Hash>{_common(item)}</RefAttachmentHeader>"
        for item in attachments
        if item.path is not None
    )
    return (f"<AttachmentHeaderList>{inline}</AttachmentHeaderList>" if inline else "") + (
        f"<RefAttachmentHeaderList>{files}</RefAttachmentHeaderList>" if files else ""
    )


def _common(item: Attachment) -> str:
    signed = f"<SignaturePKCS7>{base64.b64encode(item.signature).decode()}</SignaturePKCS7>" if item.signature else ""
    return f"<MimeType>{escape(item.mime_type)}</MimeType>{signed}"


def _signature(header: etree._Element, version: Version) -> bytes:
    text = header.findtext(version.base("SignaturePKCS7"))
    if not text:
        raise refuse_signature("NoSignatureFound", "Отсутствует ЭП вложения", place="SPA:7")
    return base64.b64decode(text)


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _too_large(total: int, permitted: int) -> Exception:
    fields = {"PermittedTotalAttachmentSize": str(permitted), "RealTotalAttachmentSize": str(total)}
    return refuse("AttachmentSizeLimitExceeded", place="SPA:8", **fields)
