"""FtpFiles against a real FTP server: whole files both ways, and storages that refuse, cut, shorten or lie."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from typing import TYPE_CHECKING
from uuid import uuid1

import pytest

from adapter.errors import Code, FileError, FtpError
from adapter.exchange import Attachment
from adapter.files import AllowedHost, FilesIn, FilesPolicy, FileStore, FtpFiles, FtpLogin
from simulators.smev3.ftp import FtpArea

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

HOST = "127.0.0.1"
SIZE = 5_000_000


class Storage:
    """A running storage, whose next transfers go wrong as ``faults`` says."""

    def __init__(self) -> None:
        self.faults: dict[tuple[str, str], str] = {}
        self.area = FtpArea(fault_of=lambda operation, moment: self.faults.get((operation, moment), ""))

    def holding(self, content: bytes) -> tuple[int, str, str, str]:
        """Put a file into it; give what a receiver needs: port, user, password, path."""
        path = self.area.new_file("file.bin")
        path.write_bytes(content)
        access = self.area.publish(str(uuid1()), path)
        return self.area.port, access.user, access.password, access.file_name


@pytest.fixture
def storage() -> Iterator[Storage]:
    storage = Storage()
    storage.area.start()
    yield storage
    storage.area.stop()


@pytest.fixture
def ftp() -> FtpFiles:
    return FtpFiles(timeout=5)


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 300_000):
        yield content[start : start + 300_000]


async def downloaded(ftp: FtpFiles, storage: Storage, content: bytes) -> bytes:
    return b"".join([piece async for piece in ftp.download(HOST, *storage.holding(content))])


@pytest.mark.parametrize("size", [0, 1, SIZE])
async def test_a_file_goes_up_whole(ftp: FtpFiles, storage: Storage, size: int) -> None:
    content, folder = os.urandom(size), str(uuid1())
    assert await ftp.upload(HOST, storage.area.port, None, folder, "файл 1.bin", chunks(content)) == size
    path = storage.area.uploaded(folder)
    assert path is not None
    assert (path.name, path.read_bytes()) == ("файл 1.bin", content)


@pytest.mark.parametrize("size", [0, 1, SIZE])
async def test_a_file_comes_down_whole(ftp: FtpFiles, storage: Storage, size: int) -> None:
    content = os.urandom(size)
    assert await downloaded(ftp, storage, content) == content


async def test_an_upload_after_a_cut_one_starts_again_in_the_same_folder(ftp: FtpFiles, storage: Storage) -> None:
    content, folder = os.urandom(SIZE), str(uuid1())
    storage.faults["Upload", "transfer"] = "cut"
    with pytest.raises(FtpError) as caught:
        await ftp.upload(HOST, storage.area.port, None, folder, "a.bin", chunks(content))
    assert caught.value.retryable
    storage.faults.clear()
    await ftp.upload(HOST, storage.area.port, None, folder, "a.bin", chunks(content))
    path = storage.area.uploaded(folder)
    assert path is not None
    assert path.read_bytes() == content


@pytest.mark.parametrize("fault", ["cut", "short"])
async def test_a_download_that_ends_early_is_an_error_to_be_tried_again(
    ftp: FtpFiles, storage: Storage, fault: str
) -> None:
    storage.faults["Download", "transfer"] = fault
    with pytest.raises(FtpError) as caught:
        await downloaded(ftp, storage, os.urandom(SIZE))
    assert caught.value.retryable


async def test_a_storage_that_keeps_less_than_was_sent_is_found_out(ftp: FtpFiles, storage: Storage) -> None:
    storage.faults["Upload", "transfer"] = "short"
    with pytest.raises(FtpError) as caught:
        await ftp.upload(HOST, storage.area.port, None, str(uuid1()), "a.bin", chunks(os.urandom(SIZE)))
    assert caught.value.retryable


async def test_a_refused_login_is_an_error_for_good(ftp: FtpFiles, storage: Storage) -> None:
    storage.faults["Upload", "login"] = storage.faults["Download", "login"] = "refuse"
    login = FtpLogin("nobody", "secret-password")
    for credentials in (None, login):
        with pytest.raises(FtpError) as caught:
            await ftp.upload(HOST, storage.area.port, credentials, str(uuid1()), "a.bin", chunks(b"x"))
        assert (caught.value.reply, caught.value.retryable) == ("530", False)
        assert "secret" not in str(caught.value)
    with pytest.raises(FtpError) as caught:
        await downloaded(ftp, storage, b"x")
    assert caught.value.reply == "530"
    assert "secret-password" not in repr(login)


async def test_a_refused_file_is_an_error_for_good(ftp: FtpFiles, storage: Storage) -> None:
    storage.faults["Upload", "transfer"] = storage.faults["Download", "transfer"] = "missing"
    for transfer in (
        ftp.upload(HOST, storage.area.port, None, str(uuid1()), "a.bin", chunks(b"x")),
        downloaded(ftp, storage, b"x"),
    ):
        with pytest.raises(FtpError) as caught:
            await transfer
        assert (caught.value.reply, caught.value.retryable) == ("550", False)


async def test_a_folder_that_is_refused_is_an_error_for_good(ftp: FtpFiles, storage: Storage) -> None:
    with pytest.raises(FtpError) as caught:
        await ftp.upload(HOST, storage.area.port, None, "no-uuid", "a.bin", chunks(b"x"))
    assert (caught.value.reply, caught.value.retryable) == ("550", False)


async def test_names_cannot_smuggle_commands(ftp: FtpFiles, storage: Storage) -> None:
    for name in ("a\r\nDELE b", "a\nb"):
        with pytest.raises(FtpError) as caught:
            await ftp.upload(HOST, storage.area.port, None, str(uuid1()), name, chunks(b"x"))
        assert not caught.value.retryable


async def test_what_the_source_raises_passes_through(ftp: FtpFiles, storage: Storage) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise KeyError

    with pytest.raises(KeyError):
        await ftp.upload(HOST, storage.area.port, None, str(uuid1()), "a.bin", broken())


async def test_a_download_left_early_closes_its_connections(ftp: FtpFiles, storage: Storage) -> None:
    download = ftp.download(HOST, *storage.holding(os.urandom(SIZE)))
    async with contextlib.aclosing(download):
        assert await anext(download)
    assert await downloaded(ftp, storage, b"hello") == b"hello"


# --- servers that are none


@contextlib.asynccontextmanager
async def _server(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    "greeting",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xfe\r\n", b"421 Too many users\r\n", b"220-no end\r\n" * 3],
)
async def test_a_server_that_speaks_no_ftp_is_an_error_to_be_tried_again(greeting: bytes) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await writer.drain()

    async with _server(talk) as port:
        with pytest.raises(FtpError) as caught:
            _ = [piece async for piece in FtpFiles(timeout=1).download(HOST, port, "u", "p", "f")]
    assert caught.value.retryable


async def test_a_silent_server_is_given_up() -> None:
    held = asyncio.Event()

    async def talk(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await held.wait()

    async with _server(talk) as port:
        with pytest.raises(FtpError, match="вовремя") as caught:
            await FtpFiles(timeout=0.1).upload(HOST, port, None, "d", "f", chunks(b"x"))
        held.set()
    assert caught.value.retryable


async def test_a_port_that_nobody_listens_on_is_an_error_to_be_tried_again() -> None:
    async with _server(lambda *_: asyncio.sleep(0)) as port:
        pass
    with pytest.raises(FtpError) as caught:
        await FtpFiles(timeout=1).upload(HOST, port, None, "d", "f", chunks(b"x"))
    assert caught.value.retryable


async def test_the_address_that_pasv_names_is_not_believed() -> None:
    content = b"from the right machine"
    sent: list[bytes] = []

    async def data(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while command := (await reader.readline()).strip():
            sent.append(command.split()[0])
            writer.write(
                {
                    b"USER": b"331 password\r\n",
                    b"PASS": b"230 welcome\r\n",
                    b"TYPE": b"200 ok\r\n",
                    b"PASV": b"227 passive (203,0,113,7,%d,%d)\r\n" % (data_port // 256, data_port % 256),
                    b"RETR": b"150 here it comes\r\n226 done\r\n",
                    b"QUIT": b"221 bye\r\n",
                }.get(command.split()[0], b"502 not here\r\n")
            )
            await writer.drain()

    async with _server(data) as data_port, _server(talk) as port:
        got = b"".join([piece async for piece in FtpFiles(timeout=5).download(HOST, port, "u", "p", "f")])
    assert got == content
    assert b"EPSV" in sent
    assert b"PASV" in sent
    assert b"PORT" not in sent


# --- with the rest of the room


async def test_a_command_may_name_a_file_of_a_listed_storage(storage: Storage) -> None:
    content = b"hello" * 1000
    port, user, password, path = storage.holding(content)
    files = FilesIn(FilesPolicy(hosts=(AllowedHost.parse(f"{HOST}:{port}"),), max_size=10_000, stall=5))
    attachment = Attachment("a.txt", "text/plain", url=f"ftp://{user}:{password}@{HOST}:{port}{path}")
    async with await files.open(attachment) as opened:
        assert opened.size is None
        assert b"".join([piece async for piece in opened.chunks]) == content
    for fault, code in (("missing", Code.ATTACHMENT_REFUSED), ("cut", Code.ATTACHMENT_UNAVAILABLE)):
        storage.faults["Download", "transfer"] = fault
        with pytest.raises(FileError) as caught:
            async with await files.open(attachment, "attachments[1]") as opened:
                _ = [piece async for piece in opened.chunks]
        assert (caught.value.known, caught.value.fields[0].path) == (code, "attachments[1].url")


async def test_a_storage_that_never_ends_fills_nothing(storage: Storage, ftp: FtpFiles, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    download = ftp.download(HOST, *storage.holding(os.urandom(SIZE)))
    async with contextlib.aclosing(download):
        with pytest.raises(FileError, match="больше допустимого"):
            await store.put(download, name="a", mime_type="text/plain", limit=1_000_000)
    assert not _unfinished(tmp_path)


def _unfinished(root: Path) -> list[Path]:
    return list((root / "incoming").iterdir())


async def test_a_download_lies_in_the_store_under_its_hash(storage: Storage, ftp: FtpFiles, tmp_path: Path) -> None:
    content = os.urandom(SIZE)
    store = FileStore(tmp_path)
    download = ftp.download(HOST, *storage.holding(content))
    stored = await store.put(download, name="a", mime_type="text/plain", limit=SIZE)
    assert (stored.sha256, stored.size) == (hashlib.sha256(content).hexdigest(), SIZE)
