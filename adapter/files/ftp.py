"""Files to and from an FTP storage, streamed: passive only, every wait bounded, no address of the server believed.

Data connections go to the host of the control connection whatever PASV says: a storage could otherwise send us to a
third machine.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import aioftp

from adapter.errors import FtpError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Iterator

_Result = TypeVar("_Result")

#: Bytes of one piece, and of the buffer of a connection.
_PIECE: Final = 1 << 18
#: Replies to USER and PASS that refuse the user.
_LOGIN_REFUSED: Final = frozenset({"332", "430", "530", "532"})

# Left alone, the library tells of every command with its file's name.
logging.getLogger("aioftp").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class FtpLogin:
    """A user of a storage."""

    user: str
    password: str = field(repr=False)


ANONYMOUS: Final = FtpLogin("anonymous", "anonymous@")


class FtpFiles:
    """Uploads and downloads, each with a connection of its own. Raises FtpError and nothing else of its own.

    An FtpError that is ``retryable`` may be tried again from the start: a server keeps nothing that we continue.
    """

    def __init__(self, *, timeout: float = 30) -> None:
        """``timeout`` is the longest silence, in seconds, of any single step."""
        self._timeout = timeout

    async def upload(  # noqa: PLR0913, PLR0917  — where, as whom, under which name, what
        self,
        host: str,
        port: int,
        credentials: FtpLogin | None,
        directory: str,
        name: str,
        chunks: AsyncIterable[bytes],
    ) -> int:
        """Put ``chunks`` into the file ``name`` of ``directory``, made if it is not there; return its size in bytes.

        Without ``credentials`` the user is anonymous. An existing file is replaced. The storage's own count of the
        bytes, where it has one, must agree. What ``chunks`` raise passes through.
        """
        async with self._connected(host, port, credentials or ANONYMOUS) as client:
            with _named():
                if directory:
                    await self._enter(client, directory)
                stream = await self._step(client.upload_stream(name))
            sent = 0
            try:
                async for chunk in chunks:
                    with _named():
                        async with asyncio.timeout(self._timeout):
                            await stream.write(chunk)
                    sent += len(chunk)
            except BaseException:
                stream.close()
                raise
            with _named():
                await self._step(stream.finish())
                counted = await self._size(client, name)
            if counted not in (None, sent):
                raise FtpError("Хранилище файлов приняло не весь файл", retryable=True)
            return sent

    async def download(self, host: str, port: int, user: str, password: str, path: str) -> AsyncGenerator[bytes, None]:
        """Yield the file ``path`` in pieces; ends early only by an FtpError.

        Left before its end, it is to be closed (``aclose``).
        """
        async with self._connected(host, port, FtpLogin(user, password)) as client:
            with _named():
                expected = await self._size(client, path)
                stream = await self._step(client.download_stream(path))
            received = 0
            try:
                while True:
                    with _named():
                        async with asyncio.timeout(self._timeout):
                            piece = await stream.reader.read(_PIECE)
                    if not piece:
                        break
                    received += len(piece)
                    yield piece
            except BaseException:
                stream.close()
                raise
            with _named():
                await self._step(stream.finish())
            if expected not in (None, received):
                raise FtpError("Хранилище файлов отдало не весь файл", retryable=True)

    @asynccontextmanager
    async def _connected(self, host: str, port: int, login: FtpLogin) -> AsyncIterator[_Client]:
        client = _Client(limit=_PIECE)
        try:
            with _named():
                await self._step(client.connect(host, port))
                await self._step(client.login(login.user, login.password))
            yield client
            with suppress(aioftp.AIOFTPException, OSError, ValueError, TimeoutError):  # everything is done already
                await self._step(client.quit())
        finally:
            client.close()

    async def _step(self, step: Awaitable[_Result]) -> _Result:
        async with asyncio.timeout(self._timeout):
            return await step

    async def _enter(self, client: _Client, directory: str) -> None:
        try:
            await self._step(client.command(f"MKD {directory}", "257"))
        except aioftp.StatusCodeError as refused:
            if not _code(refused).startswith("55"):
                raise
        await self._step(client.change_directory(directory))

    async def _size(self, client: _Client, path: str) -> int | None:
        """Return the storage's count of a file's bytes; ``None`` where it does not tell."""
        try:
            await self._step(client.command("TYPE I", "200"))
            _, lines = await self._step(client.command(f"SIZE {path}", "213"))
            return int(lines[-1])
        except (aioftp.StatusCodeError, ValueError):
            return None


class _Client(aioftp.Client):
    """Goes to the other end of its control connection for data, whatever the answer to PASV names."""

    def __init__(self, *, limit: int) -> None:
        """``limit`` bytes are buffered per connection."""
        super().__init__(encoding="utf-8", passive_commands=("epsv", "pasv"), limit=limit)
        self._opened: list[asyncio.StreamWriter] = []

    async def _open_connection(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._stream is not None:
            host = self._stream.writer.get_extra_info("peername")[0]
        reader, writer = await super()._open_connection(host, port)
        self._opened.append(writer)
        return reader, writer

    def close(self) -> None:
        """Close every connection; the library forgets one for data whose command is refused."""
        for writer in self._opened:
            writer.close()


@contextmanager
def _named() -> Iterator[None]:
    """Turn whatever goes wrong between a storage and us into an FtpError; its texts may hold names and are dropped."""
    try:
        yield
    except aioftp.StatusCodeError as refused:
        reply = _code(refused)
        kind = "вход" if reply in _LOGIN_REFUSED else "файл" if reply.startswith("55") else "команду"
        raise FtpError(
            f"Хранилище файлов не приняло {kind}: {reply}", reply=reply, retryable=not reply.startswith("5")
        ) from None
    except TimeoutError:
        raise FtpError("Хранилище файлов не отвечает вовремя", retryable=True) from None
    except aioftp.errors.InvalidCommand:
        raise FtpError("Имя файла не годится для хранилища файлов", retryable=False) from None
    # A server that speaks no FTP makes the library stumble over what it looks for.
    except (OSError, EOFError, aioftp.AIOFTPException, ValueError, IndexError, TypeError) as error:
        raise FtpError(f"Нет связи с хранилищем файлов ({type(error).__name__})", retryable=True) from None


def _code(refused: aioftp.StatusCodeError) -> str:
    code = str(refused.received_codes[-1])[:3] if refused.received_codes else ""
    return code if code.isdigit() else ""
