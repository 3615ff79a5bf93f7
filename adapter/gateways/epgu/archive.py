"""The archive of an application: files taken in and judged before anything is sent, then numbered, signed and zipped.

Both steps stream through the file store, so that memory stays the same whatever the size, and so that what a url or
path named is read once: after a crash it is at hand.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapter.errors import Code, FieldFault, FileError, FileTooLargeError, InvalidCommandError
from adapter.gateways.epgu.rules import SIGNATURE, is_archive, name_faults, rules_of, unsigned
from adapter.gateways.epgu.substitution import MarkSearch, numbered
from adapter.gateways.epgu.zipping import BrokenZipError, look_into, zipped
from adapter.signing.streebog import BITS, StreamingStreebog

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence

    from adapter.exchange import Attachment, StoredFile
    from adapter.files import FilesIn, FileStore
    from adapter.signing.client import SigningClient

_ZIP: Final = "application/zip"


@dataclass(frozen=True, slots=True)
class Member:
    """A file that was taken in: ``path`` is in the file store, ``sign`` wants a signature beside it.

    ``substitute`` has the order's number put into it.
    """

    name: str
    path: str
    size: int
    sign: bool = False
    substitute: bool = False

    def told(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in ("name", "path", "size", "sign", "substitute")}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command says of its archive beside the files themselves.

    ``sign`` and ``substitute`` are names of files; ``ready`` says that the one file is the archive. ``service_code``
    chooses the rules, ``nested`` allows archives inside.
    """

    service_code: str
    sign: frozenset[str] = frozenset()
    substitute: frozenset[str] = frozenset()
    ready: bool = False
    nested: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """An archive at rest, ready to be sent. ``signed_by`` are certificates of signatures made for it."""

    path: str
    size: int
    sha256: str
    signed_by: Sequence[str] = ()

    def told(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"path": self.path, "size": self.size, "sha256": self.sha256}


class Archives:
    """Takes files in and makes archives of them."""

    def __init__(
        self, *, files: FilesIn, store: FileStore, signer: SigningClient, sign_key: str, limit: int = 10**9
    ) -> None:
        """``files`` opens what commands name, ``sign_key`` is the key of SIGN_SERVICE, ``limit`` bytes of a file."""
        self._files = files
        self._store = store
        self._signer = signer
        self._key = sign_key
        self._limit = limit

    async def take(self, attachments: Sequence[Attachment], wanted: Wanted) -> list[Member]:
        """Take files in and judge them. Raises InvalidCommandError, or FileError naming the field."""
        if wanted.ready:
            return [await self._ready(attachments[0], wanted)]
        rules = rules_of(wanted.service_code)
        names = [attachment.name for attachment in attachments]
        faults = [
            FieldFault("files" if position is None else f"files[{position}].name", rule)
            for position, rule in name_faults(names, rules, nested=wanted.nested)
        ]
        if faults:
            raise InvalidCommandError(faults)
        members = [
            await self._member(attachment, f"files[{position}]", wanted)
            for position, attachment in enumerate(attachments)
        ]
        if sum(member.size for member in members) > rules.most_bytes:
            raise InvalidCommandError(
                [FieldFault("files", f"файлы вместе больше допустимого: {rules.most_bytes} байт")]
            )
        return members

    async def build(self, members: Sequence[Member], order_id: int | None, *, ready: bool) -> Built:
        """Return the archive of ``members``, the number put in where it is wanted. Raises SignerError, FileError."""
        if ready:
            member = members[0]
            return Built(member.path, member.size, member.path.rpartition("/")[2])
        signed_by: list[str] = []
        content = zipped(self._contents(members, order_id, signed_by))
        stored = await self._store.put(content, name="archive.zip", mime_type=_ZIP, limit=2 * self._limit + 2**20)
        return Built(stored.path, stored.size, stored.sha256, tuple(dict.fromkeys(signed_by)))

    async def _member(self, attachment: Attachment, where: str, wanted: Wanted) -> Member:
        substitute = attachment.name in wanted.substitute
        search = MarkSearch()
        head = _Head()
        async with await self._files.open(attachment, where) as opened:
            pieces = head.passing(search.passing(opened.chunks))
            stored = await self._put(pieces, attachment, where)
        if substitute and not search.is_text:
            raise _refused(where, "номер заявления можно подставить только в текстовый файл (UTF-8, windows-1251)")
        if substitute and not search.marks:
            raise _refused(where, "в файле нет ${orderId}, подставлять номер заявления некуда")
        if not wanted.nested and is_archive(attachment.name, head.bytes):
            raise _refused(where, "вложенный архив не допускается")
        return Member(attachment.name, stored.path, stored.size, attachment.name in wanted.sign, substitute)

    async def _ready(self, attachment: Attachment, wanted: Wanted) -> Member:
        """Take a ready archive in and look into it."""
        async with await self._files.open(attachment, "archive") as opened:
            stored = await self._put(opened.chunks, attachment, "archive")
        file = await self._store.handle(stored.path)
        try:
            names = await asyncio.to_thread(look_into, file, nested=wanted.nested)
        except BrokenZipError as error:
            raise InvalidCommandError([FieldFault("archive", str(error))]) from None
        finally:
            file.close()
        rules = rules_of(wanted.service_code)
        broken = [rule for _, rule in name_faults(names, rules, nested=wanted.nested)]
        broken += ["у файла, который услуга требует подписать, нет подписи"] * bool(unsigned(names, rules))
        if not names:
            broken.append("архив пуст")
        if broken:
            raise InvalidCommandError([FieldFault("archive", rule) for rule in dict.fromkeys(broken)])
        return Member(attachment.name, stored.path, stored.size)

    async def _put(self, pieces: AsyncIterable[bytes], attachment: Attachment, where: str) -> StoredFile:
        try:
            return await self._store.put(
                pieces, name=attachment.name, mime_type=attachment.mime_type, limit=self._limit
            )
        except FileTooLargeError as error:
            raise (error if error.fields else _refused(where, f"файл больше допустимого: {self._limit} байт")) from None

    async def _contents(
        self, members: Sequence[Member], order_id: int | None, signed_by: list[str]
    ) -> AsyncIterator[tuple[str, int, AsyncIterable[bytes]]]:
        """Yield the files with their signatures behind them."""
        for member in members:
            yield member.name, member.size, self._content(member, order_id)
            if member.sign:
                signature = await self._signature(member, order_id, signed_by)
                yield member.name + SIGNATURE, len(signature), _one(signature)

    def _content(self, member: Member, order_id: int | None) -> AsyncIterator[bytes]:
        pieces = self._store.open(member.path)
        return numbered(pieces, order_id) if member.substitute and order_id is not None else pieces

    async def _signature(self, member: Member, order_id: int | None, signed_by: list[str]) -> bytes:
        """Return the detached PKCS#7 over a file as it goes into the archive."""
        algorithm = await self._signer.digest_algorithm(self._key)
        streebog = StreamingStreebog(BITS[algorithm])
        async for _ in streebog.passing(self._content(member, order_id)):
            pass
        signed = await self._signer.sign_detached(streebog.digest(), algorithm=algorithm, key=self._key)
        signed_by.append(signed.certificate_sha256)
        return signed.pkcs7


class _Head:
    """The first bytes of what passes."""

    def __init__(self) -> None:
        self.bytes = b""

    async def passing(self, pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            if len(self.bytes) < 16:
                self.bytes += piece[:16]
            yield piece


def members_of(told: Sequence[Mapping[str, Any]]) -> list[Member]:
    """Return the files that :meth:`Member.told` told of."""
    return [Member(**member) for member in told]


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _refused(where: str, rule: str) -> FileError:
    return FileError(Code.ATTACHMENT_REFUSED, fields=[FieldFault(where, rule)], retryable=False)
