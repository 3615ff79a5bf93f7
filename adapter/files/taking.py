"""What a command's attachments name, opened through the allow-list: nothing is sent before all of it was checked.

Refusals name the field of the command (``attachments[0].url``) and the rule, never the value. The address that a host
leads to is looked up once, judged, and is the one that is connected to. No redirect is followed.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from adapter.errors import Code, FieldFault, FileError, FileTooLargeError
from adapter.files import disk, kinds
from adapter.files.ftp import ANONYMOUS, FtpFiles
from adapter.files.policy import DEFAULT_PORTS, literal
from adapter.http import make_session

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from io import FileIO
    from pathlib import Path
    from types import TracebackType

    from adapter.exchange import Attachment
    from adapter.files.policy import Address, AllowedHost, FilesPolicy

#: Bytes of one piece.
_PIECE: Final = 1 << 20
#: Answers of a file server that may become better by themselves.
_PASSING: Final = frozenset({408, 425, 429})


@dataclass(slots=True)
class OpenedFile:
    """An attachment ready to be read once. ``size`` is in bytes, ``None`` where its source does not say it.

    Iterating ``chunks`` (pieces of at most about a megabyte) raises FileError: the limit counts while streaming, and
    a source may break. Read to its end it is closed; otherwise use it as ``async with``.
    """

    name: str
    mime_type: str
    size: int | None
    chunks: AsyncGenerator[bytes, None]
    _resources: AsyncExitStack = field(repr=False)

    async def aclose(self) -> None:
        """Let go of the source."""
        await self.chunks.aclose()
        await self._resources.aclose()  # the generator does so by itself only when it was begun

    async def __aenter__(self) -> Self:
        """Nothing to do: it is open."""
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Let go of the source."""
        await self.aclose()


class FilesIn:
    """Opens attachments as ``policy`` allows."""

    def __init__(self, policy: FilesPolicy) -> None:
        """Nothing is opened yet."""
        self._policy = policy
        self._ftp = FtpFiles(timeout=policy.stall)

    async def open(self, attachment: Attachment, where: str = "attachments[0]") -> OpenedFile:
        """Open an attachment; ``where`` is its place in the command, as faults name it.

        Raises FileTooLargeError when its size is known and beyond the limit, FileError with the field's fault: for
        good when it is not allowed, not there or not of its content type, ``retryable`` when its source is away.
        """
        one = _One(attachment, where)
        async with AsyncExitStack() as opening:
            resources = await opening.enter_async_context(AsyncExitStack())
            size, source = await self._source(one, resources)
            if size is not None and size > self._policy.max_size:
                raise one.too_large(self._policy.max_size)
            deadline = asyncio.get_running_loop().time() + self._policy.whole
            chunks = _read(one, source, self._policy.max_size, deadline)
            resources.push_async_callback(chunks.aclose)
            head = await _head(chunks)
            if kinds.lies(attachment.mime_type, head[: kinds.HEAD]):
                one.refuse("содержимое файла не соответствует указанному типу", at="mime_type")
            opening.pop_all()
        return OpenedFile(attachment.name, attachment.mime_type, size, _after(head, chunks, resources), resources)

    async def _source(self, one: _One, resources: AsyncExitStack) -> tuple[int | None, AsyncIterator[bytes]]:
        if one.attachment.content is not None:
            return len(one.attachment.content), _pieces(one.attachment.content)
        if one.attachment.path is not None:
            file = await asyncio.to_thread(self._file, one, one.attachment.path)
            resources.callback(file.close)
            return os.fstat(file.fileno()).st_size, _of_file(file)
        url, allowed = self._url(one)
        addresses = await self._addresses(one, url, allowed)
        if url.scheme == "ftp":
            return await self._over_ftp(one, url, addresses[0], resources)
        return await self._over_http(one, url, addresses, resources)

    def _file(self, one: _One, path: str) -> FileIO:
        """Open a file of this machine. Where it lies is judged first: a stranger learns nothing of other places."""
        if not path.startswith("/") or "\0" in path:
            one.refuse("ожидается абсолютный путь")
        real = os.path.realpath(path)
        folder = next((folder for folder in self._policy.paths if _is_in(real, folder)), None)
        if folder is None:
            one.refuse("путь не входит в разрешённые")
        try:
            return disk.open_beneath(folder, os.path.relpath(real, folder))
        except (FileNotFoundError, NotADirectoryError):
            one.refuse("файл не найден")
        except disk.NotRegularError:
            one.refuse("это не обычный файл")
        except OSError:
            one.refuse("файл не читается")

    def _url(self, one: _One) -> tuple[URL, AllowedHost]:
        """Return the address and the entry that allows it."""
        try:
            url = URL(one.attachment.url or "")
            port = url.port or DEFAULT_PORTS.get(url.scheme, 0)
        except ValueError:
            one.refuse("ожидается адрес http, https или ftp")
        if url.scheme not in DEFAULT_PORTS or not url.raw_host:
            one.refuse("ожидается адрес http, https или ftp")
        if url.scheme != "ftp" and (url.user is not None or url.password is not None):
            one.refuse("адрес с именем пользователя не принимается")
        allowed = self._policy.host(url.raw_host.lower(), port, url.scheme)
        if allowed is None:
            one.refuse("узел не входит в разрешённые")
        return url, allowed

    async def _addresses(self, one: _One, url: URL, allowed: AllowedHost) -> Sequence[Address]:
        """Return where to connect: all addresses of the host that are admitted, at least one."""
        name, port = url.raw_host or "", url.port or DEFAULT_PORTS[url.scheme]
        try:
            async with asyncio.timeout(self._policy.stall):
                found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError):
            raise one.away("имя узла не находится") from None
        addresses = [address for *_, place in found if (address := literal(str(place[0]).partition("%")[0]))]
        admitted = [address for address in dict.fromkeys(addresses) if allowed.admits(address)]
        if not admitted:
            one.refuse("узел находится во внутренней сети, которая для него не разрешена")
        return admitted

    async def _over_ftp(
        self, one: _One, url: URL, address: Address, resources: AsyncExitStack
    ) -> tuple[int | None, AsyncIterator[bytes]]:
        path = url.path.removeprefix("/")
        if not path or any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
            one.refuse("адрес не указывает на файл")
        user, password = (url.user, url.password or "") if url.user else (ANONYMOUS.user, ANONYMOUS.password)
        port = url.port or DEFAULT_PORTS["ftp"]
        chunks = self._ftp.download(str(address), port, user, password, path)
        resources.push_async_callback(chunks.aclose)
        return None, chunks

    async def _over_http(
        self, one: _One, url: URL, addresses: Sequence[Address], resources: AsyncExitStack
    ) -> tuple[int | None, AsyncIterator[bytes]]:
        stall = self._policy.stall
        session = await resources.enter_async_context(make_session(timeout=stall, resolver=_Pinned(addresses)))
        timeout = aiohttp.ClientTimeout(total=self._policy.whole, sock_connect=stall, sock_read=stall)
        try:
            response = await resources.enter_async_context(
                session.get(
                    url,
                    allow_redirects=False,
                    timeout=timeout,
                    headers={"Accept": "*/*", "Accept-Encoding": "identity"},
                    read_bufsize=_PIECE // 4,
                )
            )
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise one.away("сервер файла не отвечает") from None
        status = response.status
        if status >= 500 or status in _PASSING:
            raise one.away(f"сервер файла ответил {status}")
        if 300 <= status < 400:
            one.refuse("сервер файла перенаправляет, перенаправления не принимаются")
        if status != 200:
            one.refuse(f"сервер файла ответил {status}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            one.refuse("сервер файла сжимает содержимое")
        return response.content_length, response.content.iter_any()


@dataclass(frozen=True, slots=True)
class _One:
    """One attachment of a command, for its errors."""

    attachment: Attachment
    where: str

    def _fault(self, rule: str, at: str | None = None) -> list[FieldFault]:
        sources = ("content", "url", "path")
        source = next((name for name in sources if getattr(self.attachment, name) is not None), "path")
        name = at or ("content_base64" if source == "content" else source)
        return [FieldFault(f"{self.where}.{name}", rule)]

    def refuse(self, rule: str, *, at: str | None = None) -> NoReturn:
        raise FileError(Code.ATTACHMENT_REFUSED, fields=self._fault(rule, at), retryable=False)

    def away(self, rule: str) -> FileError:
        return FileError(Code.ATTACHMENT_UNAVAILABLE, fields=self._fault(rule), retryable=True)

    def too_large(self, limit: int) -> FileTooLargeError:
        return FileTooLargeError(limit, fields=self._fault(f"файл больше допустимого: {limit} байт"))

    def named(self, error: FileError) -> FileError:
        """Return ``error`` as one of this attachment."""
        if error.fields:
            return error
        if error.retryable:
            return self.away(error.description)
        return FileError(Code.ATTACHMENT_REFUSED, fields=self._fault(error.description), retryable=False)


class _Pinned(AbstractResolver):
    """Gives the addresses that were judged, whatever a name server says by now."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=families[address.version],
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
            if family in (socket.AF_UNSPEC, families[address.version])
        ]

    async def close(self) -> None:
        """Nothing is held."""


async def _read(one: _One, chunks: AsyncIterator[bytes], limit: int, deadline: float) -> AsyncGenerator[bytes, None]:
    """Yield ``chunks`` up to ``limit`` bytes until ``deadline``; their errors become those of the attachment."""
    total = 0
    try:
        while True:
            async with asyncio.timeout_at(deadline):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            total += len(chunk)
            if total > limit:
                raise one.too_large(limit)
            yield chunk
    except FileError as error:
        raise one.named(error) from None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise one.away("передача файла прервалась") from None


async def _head(chunks: AsyncIterator[bytes]) -> bytes:
    """Return the first chunks, enough to judge the kind of the content."""
    head = b""
    while len(head) < kinds.HEAD and (chunk := await anext(chunks, None)) is not None:
        head += chunk
    return head


async def _after(head: bytes, chunks: AsyncIterator[bytes], resources: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    """Yield ``head`` and what follows it, then let go of the source."""
    try:
        if head:
            yield head
        async for chunk in chunks:
            yield chunk
    finally:
        await resources.aclose()


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _PIECE):
        yield content[start : start + _PIECE]


async def _of_file(file: FileIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, _PIECE):
        yield piece


def _is_in(real: str, folder: Path) -> bool:
    return real.startswith(f"{folder}/")
