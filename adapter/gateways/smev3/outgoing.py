"""Attachments that go out: inside the message up to 5 MB in all, larger ones by the file storage, each signed.

Source: facts, smev3.md, Attachments; basic schema, AttachmentHeaderList and RefAttachmentHeaderList.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import uuid1

import structlog

from adapter.errors import Code, FieldFault, FileError, FileTooLargeError, FtpError
from adapter.exchange import FileFact
from adapter.files.ftp import ANONYMOUS
from adapter.gateways.smev3.messages import CALLER_ID, CONSUMER_ID, text
from adapter.gateways.smev3.mtom import include
from adapter.gateways.smev3.pace import Pace
from adapter.gateways.smev3.responses import PROVIDER_ID
from adapter.signing.streebog import BITS, StreamingStreebog

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence

    from adapter.exchange import Attachment
    from adapter.files import FilesIn, FtpFiles, OpenedFile
    from adapter.gateways.smev3.messages import Names
    from adapter.gateways.smev3.options import Smev3Options
    from adapter.signing.client import SigningClient
    from adapter.signing.streebog import DigestAlgorithm

#: Bytes of all attachments inside one message, and of all that one message has in the file storage.
INLINE_LIMIT: Final = 5 * 2**20
FILES_LIMIT: Final = 2**30
#: Messages whose attachments are read at once: each may hold INLINE_LIMIT, and what sends one out needs it again.
_AT_ONCE: Final = 8
#: Attempts to move one file before the message is put off as a whole.
_ATTEMPTS: Final = 3
_MIME_TYPE: Final = re.compile(r"(application|audio|image|text|video)/[A-Za-z0-9+.\-]+")
_NAME: Final = re.compile(r"[^/\\\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]{1,200}")
#: An xs:ID that needs no quoting anywhere: СМЭВ wants a letter or an underscore first.
_CONTENT_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,99}")
_TAKEN_IDS: Final = frozenset({CALLER_ID, CONSUMER_ID, PROVIDER_ID})

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Laid:
    """The attachments of one message as they go into it.

    ``headers`` go into what the system signs, ``contents`` beside it, ``parts`` beside the envelope by Content-ID.
    """

    headers: bytes = b""
    contents: bytes = b""
    parts: Mapping[str, bytes] = field(default_factory=dict)
    files: Sequence[FileFact] = ()
    signed_by: Sequence[str] = ()


@dataclass(slots=True)
class _Room:
    """What one message still has room for."""

    inline: int
    files: int
    ids: set[str] = field(default_factory=lambda: set(_TAKEN_IDS))


@dataclass(frozen=True, slots=True)
class _Placed:
    """One attachment in its place: ``content`` inside the message, or ``uuid`` of its folder in the file storage."""

    identifier: str
    name: str
    mime_type: str
    digest: bytes
    fact: FileFact
    content: bytes | None


class Outgoing:
    """Reads attachments, moves the large ones, and has each signed."""

    def __init__(self, options: Smev3Options, *, signer: SigningClient, files: FilesIn, ftp: FtpFiles) -> None:
        """``files`` opens what a command names, ``ftp`` moves large files to the storage that ``options`` name."""
        self._options = options
        self._signer = signer
        self._files = files
        self._ftp = ftp
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def lay(self, attachments: Sequence[Attachment], names: Names, *, official: bool, rehearse: bool) -> Laid:
        """Return ``attachments`` as they go into a message, large ones being in the file storage by then.

        ``official`` has them signed by ЭП-СП, otherwise by ЭП-ОВ. ``rehearse`` moves nothing. Raises FileError, whose
        fields name the attachment, and SignerError.
        """
        if not attachments:
            return Laid()
        key = self._options.official_key if official else self._options.system_key
        algorithm = await self._signer.digest_algorithm(key)
        for position, attachment in enumerate(attachments):
            _check(attachment, f"attachments[{position}]")
        room, placed = _Room(INLINE_LIMIT, FILES_LIMIT), []
        async with self._turns:
            for position, attachment in enumerate(attachments):
                where = f"attachments[{position}]"
                placed.append(await self._place(attachment, where, algorithm, room, rehearse=rehearse))
        signatures = await asyncio.gather(
            *(self._signer.sign_detached(one.digest, algorithm=algorithm, key=key) for one in placed)
        )
        pkcs7 = [base64.b64encode(signature.pkcs7) for signature in signatures]
        return Laid(
            headers=_headers(placed, pkcs7, names),
            contents=_contents(placed, names),
            parts={one.identifier: one.content for one in placed if one.content is not None},
            files=tuple(one.fact for one in placed),
            signed_by=tuple(dict.fromkeys(signature.certificate_sha256 for signature in signatures)),
        )

    async def _place(
        self, attachment: Attachment, where: str, algorithm: DigestAlgorithm, room: _Room, *, rehearse: bool
    ) -> _Placed:
        """Read one attachment and put it into its place, more than once when the way is bad. Raises FileError."""
        pace = Pace(self._options.poll_min, self._options.poll_max)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._placed(attachment, where, algorithm, room, rehearse=rehearse)
            except FileError as error:
                failure = _named(error, where)
                if not failure.retryable or attempt == _ATTEMPTS:
                    raise failure from None
                _log.warning("smev3.file-not-sent", code=failure.code, attempt=attempt)
            await asyncio.sleep(pace.delay())
        raise AssertionError("the last attempt returns or raises")

    async def _placed(
        self, attachment: Attachment, where: str, algorithm: DigestAlgorithm, room: _Room, *, rehearse: bool
    ) -> _Placed:
        streebog, facts = StreamingStreebog(BITS[algorithm]), _Facts()
        async with await self._files.open(attachment, where) as opened:
            head, rest = await _head(opened, room.inline)
            if rest is None:
                await asyncio.to_thread(streebog.update, head)
                facts.update(head)
                identifier, content = _content_id(attachment.name, room), head
                room.inline -= len(head)
            else:
                identifier, content = str(uuid1()), None
                chunks = facts.passing(streebog.passing(_bounded(head, rest, room.files, where)))
                await self._store(identifier, attachment.name, chunks, rehearse=rehearse)
                room.files -= facts.size
        fact = FileFact(attachment.name, facts.size, facts.sha256)
        return _Placed(identifier, attachment.name, attachment.mime_type, streebog.digest(), fact, content)

    async def _store(self, folder: str, name: str, chunks: AsyncIterator[bytes], *, rehearse: bool) -> None:
        """Move ``chunks`` into a fresh folder of the storage; only read them for a rehearsal. Raises FileError."""
        if rehearse:
            async for _ in chunks:
                pass
            return
        host, port = self._options.storage
        await self._ftp.upload(host, port, ANONYMOUS, folder, name, chunks)


class _Facts:
    """Size and SHA-256 of what passes, for the journal."""

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()

    def update(self, piece: bytes) -> None:
        self.size += len(piece)
        self._sha256.update(piece)

    async def passing(self, pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Pass ``pieces`` on; half a millisecond for each megabyte is not worth a thread's turn."""
        async for piece in pieces:
            self.update(piece)
            yield piece

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


def _check(attachment: Attachment, where: str) -> None:
    """Refuse what the schema cannot carry, or what a storage would take for a path. Raises FileError."""
    if not _NAME.fullmatch(attachment.name) or attachment.name in (".", ".."):
        raise _refused(f"{where}.name", "имя файла без папок и управляющих символов, не длиннее 200 знаков")
    if not _MIME_TYPE.fullmatch(attachment.mime_type):
        raise _refused(f"{where}.mime_type", "тип application, audio, image, text или video без параметров")


def _named(error: FileError, where: str) -> FileError:
    """Return ``error`` as one of the attachment at ``where``: a storage that refuses may be put right meanwhile."""
    if not isinstance(error, FtpError):
        return error
    rule = [FieldFault(where, error.description)]
    if error.retryable or error.reply:
        return FileError(Code.ATTACHMENT_UNAVAILABLE, error.description, fields=rule, retryable=True)
    return FileError(Code.ATTACHMENT_REFUSED, error.description, fields=rule, retryable=False)


def _refused(path: str, rule: str) -> FileError:
    return FileError(Code.ATTACHMENT_REFUSED, fields=[FieldFault(path, rule)], retryable=False)


async def _head(opened: OpenedFile, room: int) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """Read what has room inside the message: the whole content, or the beginning and the rest of a larger one."""
    chunks = aiter(opened.chunks)
    if opened.size is not None and opened.size > room:
        return b"", chunks
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) > room:
            return bytes(head), chunks
    return bytes(head), None


async def _bounded(head: bytes, rest: AsyncIterator[bytes], room: int, where: str) -> AsyncIterator[bytes]:
    """Yield ``head`` and ``rest``. Raises FileTooLargeError when there is no room for them in the file storage."""
    yield head
    size = len(head)
    async for chunk in rest:
        size += len(chunk)
        if size > room:
            rule = f"файлы одного сообщения СМЭВ вместе больше допустимого: {FILES_LIMIT} байт"
            raise FileTooLargeError(FILES_LIMIT, fields=[FieldFault(where, rule)])
        yield chunk


def _content_id(name: str, room: _Room) -> str:
    """Return the id of a content inside the message: the file's name where it can be one, which is then told."""
    number = len(room.ids) - len(_TAKEN_IDS) + 1
    wanted = name if _CONTENT_ID.fullmatch(name) and name not in room.ids else f"attachment-{number}"
    while wanted in room.ids:
        wanted += "_"
    room.ids.add(wanted)
    return wanted


def _headers(placed: Sequence[_Placed], pkcs7: Sequence[bytes], names: Names) -> bytes:
    """Return both lists of headers, with the prefix ``b`` of the element that they go into."""
    inline, files = [], []
    for one, signature in zip(placed, pkcs7, strict=True):
        common = b"<b:MimeType>%b</b:MimeType><b:SignaturePKCS7>%b</b:SignaturePKCS7>" % (
            text(one.mime_type),
            signature,
        )
        if one.content is not None:
            inline.append(
                b"<b:AttachmentHeader><b:contentId>%b</b:contentId>%b</b:AttachmentHeader>"
                % (text(one.identifier), common)
            )
        else:
            # Only this version tells the name with the header; in the others the storage does.
            named = b"<b:FileName>%b</b:FileName>" % text(one.name) if names.version == "1.3" else b""
            files.append(
                b"<b:RefAttachmentHeader><b:uuid>%b</b:uuid>%b<b:Hash>%b</b:Hash>%b</b:RefAttachmentHeader>"
                % (text(one.identifier), named, base64.b64encode(one.digest), common)
            )
    return _list(b"AttachmentHeaderList", inline) + _list(b"RefAttachmentHeaderList", files)


def _list(name: bytes, entries: Sequence[bytes]) -> bytes:
    return b"<b:%b>%b</b:%b>" % (name, b"".join(entries), name) if entries else b""


def _contents(placed: Sequence[_Placed], names: Names) -> bytes:
    """Return AttachmentContentList, a standalone element: no signature is over it."""
    entries = [
        b"<b:AttachmentContent><b:Id>%b</b:Id><b:Content>%b</b:Content></b:AttachmentContent>"
        % (text(one.identifier), include(one.identifier))
        for one in placed
        if one.content is not None
    ]
    if not entries:
        return b""
    return b'<b:AttachmentContentList xmlns:b="%b">%b</b:AttachmentContentList>' % (
        names.basic.encode(),
        b"".join(entries),
    )
