"""Attachments that come in: fetched, held against what is signed of them, and at rest before the message is confirmed.

What СМЭВ signed holds the hash of a file in the storage. It holds none of a content beside the envelope: there the
sender's PKCS#7 is the only proof, so that one without a right one is not believed (facts, smev3.md, Attachments).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import structlog

from adapter.errors import Code, FieldFault, FileError, FileTooLargeError, FtpError, KnownError, SignerError
from adapter.gateways.smev3.outgoing import FILES_LIMIT
from adapter.gateways.smev3.pace import Pace
from adapter.gateways.smev3.reading import optional_text
from adapter.signing.gost_cms import digest_bits
from adapter.signing.streebog import STREEBOG_256, STREEBOG_512, StreamingStreebog
from adapter.xml.signature import COMPUTED_WRONG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from lxml.etree import _Element

    from adapter.exchange import StoredFile
    from adapter.files import FileStore, FtpFiles
    from adapter.gateways.smev3.messages import Names
    from adapter.gateways.smev3.mtom import Parts
    from adapter.gateways.smev3.options import Smev3Options
    from adapter.signing.client import SigningClient
    from adapter.signing.streebog import DigestAlgorithm
    from adapter.xml.signature import SignatureVerdict

#: Attempts to fetch one file while its message is in hand. After them it is left to the gateway, which brings it again.
_ATTEMPTS: Final = 6
#: By the length of a digest in bytes.
_ALGORITHMS: Final[dict[int, DigestAlgorithm]] = {32: STREEBOG_256, 64: STREEBOG_512}
_PIECE: Final = 1 << 20
#: Reasons of a PKCS#7 that was computed over other content; every other one says that it could not be judged.
_WRONG: Final = COMPUTED_WRONG | {"the digest is of other data"}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """How one file is fetched from the storage."""

    user: str
    password: str = field(repr=False)
    path: str


@dataclass(frozen=True, slots=True)
class Attached:
    """One attachment as a message speaks of it.

    ``digest`` is the signed hash of a file in the storage, ``access`` the way to it; ``holder`` the Content of one that
    came with the message. What the message lacks is empty or ``None``.
    """

    identifier: str
    name: str
    mime_type: str
    pkcs7: bytes = b""
    by_storage: bool = False
    digest: bytes = b""
    access: Access | None = None
    holder: _Element | None = None


@dataclass(frozen=True, slots=True)
class Collected:
    """What came with a message: files at rest, verdicts on their signatures, and the fault when one is not right."""

    files: Sequence[StoredFile] = ()
    verdicts: Sequence[SignatureVerdict] = ()
    fault: KnownError | None = None


NOTHING: Final = Collected()


class _WrongError(Exception):
    """An attachment is not what its message says of it; the text is a Russian rule, ``digest`` what was found."""

    def __init__(self, rule: str, digest: bytes = b"") -> None:
        super().__init__(rule)
        self.rule = rule
        self.digest = digest


def read_attached(data: _Element | None, names: Names) -> tuple[Attached, ...]:
    """Return the attachments of the message whose sender provided ``data``. Raises UnreadableError.

    The headers and the ways to files are under the signatures, the contents beside are not. A content without a header
    is nobody's and is passed over.
    """
    message = None if data is None else data.getparent()
    if data is None or message is None:
        return ()
    ways = {
        optional_text(entry, names.base("uuid")): Access(
            optional_text(entry, names.base("UserName")) or "",
            optional_text(entry, names.base("Password")) or "",
            optional_text(entry, names.base("FileName")) or "",
        )
        for entry in message.iterfind(f"{names.base('FSAttachmentsList')}/{names.base('FSAttachment')}")
    }
    around = message.getparent()
    held = {} if around is None else _held(around, names)
    found = []
    for header in data.iterfind(f"{names.base('AttachmentHeaderList')}/{names.base('AttachmentHeader')}"):
        identifier = optional_text(header, names.base("contentId")) or ""
        found.append(replace(_common(header, identifier, names), holder=held.get(identifier)))
    for header in data.iterfind(f"{names.base('RefAttachmentHeaderList')}/{names.base('RefAttachmentHeader')}"):
        identifier = optional_text(header, names.base("uuid")) or ""
        way = ways.get(identifier)
        told = optional_text(header, names.base("FileName")) or ("" if way is None else way.path)
        found.append(
            replace(
                _common(header, identifier, names),
                name=told.rpartition("/")[2] or identifier,
                by_storage=True,
                digest=_octets(optional_text(header, names.base("Hash"))),
                access=way,
            )
        )
    return tuple(found)


def _held(around: _Element, names: Names) -> dict[str, _Element]:
    """Return the Content elements beside a message by their Id."""
    held = {}
    for entry in around.iterfind(f"{names.base('AttachmentContentList')}/{names.base('AttachmentContent')}"):
        content = entry.find(names.base("Content"))
        if content is not None:
            held[optional_text(entry, names.base("Id")) or ""] = content
    return held


def _common(header: _Element, identifier: str, names: Names) -> Attached:
    mime_type = optional_text(header, names.base("MimeType")) or ""
    return Attached(identifier, identifier, mime_type, _octets(optional_text(header, names.base("SignaturePKCS7"))))


def _octets(text: str | None) -> bytes:
    """Return base64 as bytes; what is none, is nothing that could prove anything."""
    try:
        return base64.b64decode(text or "")
    except (binascii.Error, ValueError):
        return b""


class Incoming:
    """Fetches the attachments of messages into the store."""

    def __init__(
        self,
        options: Smev3Options,
        *,
        signer: SigningClient,
        store: FileStore,
        ftp: FtpFiles,
        limit: int = FILES_LIMIT,
    ) -> None:
        """``ftp`` fetches from the storage that ``options`` name; ``limit`` is of one file, in bytes."""
        self._options = options
        self._signer = signer
        self._store = store
        self._ftp = ftp
        self._limit = limit

    async def collect(self, attached: Sequence[Attached], parts: Parts, message_id: str) -> Collected:
        """Fetch and check every attachment of the message ``message_id``.

        A file that came already, here or to another worker, is not fetched again; one that is on its way is waited for.
        Raises FileError (retryable), SignerError or UnreadableError when it has to be tried again: then nothing may be
        confirmed.
        """
        files: list[StoredFile] = []
        verdicts: list[SignatureVerdict] = []
        wrong: list[FieldFault] = []
        for position, one in enumerate(attached):
            try:
                file, found = await self._collected(one, parts, message_id)
            except _WrongError as error:
                _log.error("smev3.attachment-wrong", message_id=message_id, position=position)
                wrong.append(FieldFault(f"attachments[{position}]", error.rule))
            except FileTooLargeError as error:
                wrong.append(FieldFault(f"attachments[{position}]", error.description))
            else:
                files.append(file)
                verdicts += found
        fault = KnownError(Code.ATTACHMENT_WRONG, fields=wrong) if wrong else None
        return Collected(files, verdicts, fault)

    async def _collected(
        self, one: Attached, parts: Parts, message_id: str
    ) -> tuple[StoredFile, Sequence[SignatureVerdict]]:
        """Return one attachment at rest and the verdicts on its PKCS#7. Raises _WrongError, and what collect raises."""
        checks: list[Sequence[SignatureVerdict]] = []

        async def fetch() -> StoredFile:
            return await self._fetch(one, parts, checks)

        file = await self._store.once(f"smev3/{message_id}/{one.identifier}", fetch)
        if not checks:  # somebody else fetched it: what it holds speaks for itself
            async for _ in self._proven(one, self._store.open(file.path), checks):
                pass
        return replace(file, name=one.name, mime_type=one.mime_type), checks[-1]

    async def _fetch(self, one: Attached, parts: Parts, checks: list[Sequence[SignatureVerdict]]) -> StoredFile:
        if not one.by_storage:
            content = None if one.holder is None else await asyncio.to_thread(parts.content, one.holder)
            if content is None:
                raise _WrongError("содержимое вложения не пришло вместе с сообщением")
            return await self._put(one, _pieces(content), checks)
        if one.access is None:
            raise _WrongError("в сообщении не указано, как получить файл вложения")
        return await self._download(one, one.access, checks)

    async def _download(self, one: Attached, access: Access, checks: list[Sequence[SignatureVerdict]]) -> StoredFile:
        """Fetch a file, more than once when the way is bad; one that is twice the same and wrong is wrong."""
        pace = Pace(self._options.poll_min, self._options.poll_max)
        host, port = self._options.storage
        last = b""
        for attempt in range(1, _ATTEMPTS + 1):
            chunks = self._ftp.download(host, port, access.user, access.password, access.path)
            failure: FileError
            try:
                return await self._put(one, chunks, checks)
            except _WrongError as error:
                if not error.digest or error.digest == last:
                    raise
                last = error.digest
                failure = FileError(Code.ATTACHMENT_UNAVAILABLE, error.rule, retryable=True)
            except FileError as error:
                if not (error.retryable or isinstance(error, FtpError)):
                    raise
                failure = error
            finally:
                await chunks.aclose()
            _log.warning("smev3.file-not-fetched", code=failure.code, attempt=attempt)
            if attempt < _ATTEMPTS:
                await asyncio.sleep(pace.delay())
        raise failure

    async def _put(
        self, one: Attached, chunks: AsyncIterator[bytes], checks: list[Sequence[SignatureVerdict]]
    ) -> StoredFile:
        proven = self._proven(one, chunks, checks)
        return await self._store.put(proven, name=one.name, mime_type=one.mime_type, limit=self._limit)

    async def _proven(
        self, one: Attached, chunks: AsyncIterator[bytes], checks: list[Sequence[SignatureVerdict]]
    ) -> AsyncIterator[bytes]:
        """Pass ``chunks`` on, and at their end raise _WrongError unless they are what was signed.

        Whoever writes them down then keeps nothing. The verdicts on the PKCS#7 are put to ``checks``.
        """
        digests = {algorithm: StreamingStreebog(bits) for algorithm, bits in _wanted(one)}
        for digest in digests.values():
            chunks = digest.passing(chunks)
        async for piece in chunks:
            yield piece
        if one.by_storage:
            algorithm = _ALGORITHMS.get(len(one.digest))
            if algorithm is None:
                raise _WrongError("хэш файла вложения в сообщении не похож на ГОСТ Р 34.11-2012")
            found = digests[algorithm].digest()
            if found != one.digest:
                raise _WrongError("файл вложения не соответствует хэшу в сообщении", found)
        checks.append(await self._verified(one, digests))

    async def _verified(
        self, one: Attached, digests: dict[DigestAlgorithm, StreamingStreebog]
    ) -> Sequence[SignatureVerdict]:
        """Return the verdicts on the PKCS#7. Raises _WrongError when it is over something else, and SignerError.

        Of a file whose hash is right a PKCS#7 that cannot be judged, or none, is told and no more.
        """
        verdicts: Sequence[SignatureVerdict] = ()
        if one.pkcs7:
            algorithm = _signed_by(one)
            digest = digests[algorithm].digest()
            try:
                verdicts = await self._signer.verify_detached(one.pkcs7, digest, algorithm=algorithm)
            except SignerError as error:
                if error.retryable or not one.by_storage:
                    raise
                _log.warning("smev3.attachment-not-judged", code=error.code)
        if any(verdict.math for verdict in verdicts):
            return verdicts
        if any(verdict.reason in _WRONG for verdict in verdicts):
            raise _WrongError("подпись вложения не соответствует его содержимому")
        if not one.by_storage:
            raise _WrongError("нет подписи, которой можно проверить содержимое вложения")
        return verdicts


def _wanted(one: Attached) -> Iterable[tuple[DigestAlgorithm, int]]:
    """Yield the digests by which an attachment is judged, with their bits."""
    wanted = {_ALGORITHMS[len(one.digest)]} if len(one.digest) in _ALGORITHMS else set()
    if one.pkcs7:
        wanted.add(_signed_by(one))
    return [(algorithm, 8 * size) for size, algorithm in _ALGORITHMS.items() if algorithm in wanted]


def _signed_by(one: Attached) -> DigestAlgorithm:
    """Return the digest that the PKCS#7 is over; one by something else is judged to be so by whoever verifies it."""
    return _ALGORITHMS.get((digest_bits(one.pkcs7) or 256) // 8, STREEBOG_256)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _PIECE):
        yield content[start : start + _PIECE]
