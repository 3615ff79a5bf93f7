"""What commands name, opened through the allow-list."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import Code, FileError, FileTooLargeError
from adapter.exchange import Attachment
from adapter.files import AllowedHost, FilesIn, FilesPolicy
from tests.contract.sign_service_stand import serving
from tests.unit.files.conftest import joined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

WHERE = "attachments[3]"


def file(**source: Any) -> Attachment:
    return Attachment("a.txt", source.pop("mime_type", "text/plain"), **source)


async def taken(files: FilesIn, attachment: Attachment) -> bytes:
    async with await files.open(attachment, WHERE) as opened:
        return await joined(opened.chunks)


async def refusal(files: FilesIn, attachment: Attachment) -> tuple[Code, bool, str, str]:
    """Code, whether to try again, field and rule of what is said of an attachment."""
    with pytest.raises(FileError) as caught:
        await taken(files, attachment)
    (fault,) = caught.value.fields
    return caught.value.known, caught.value.retryable, fault.path, fault.rule


# --- content and paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_bytes(b"hello")
    (tmp_path / "in" / "deep" / "b.txt").write_bytes(b"deep")
    (tmp_path / "in-secret").mkdir()
    (tmp_path / "in-secret" / "s.txt").write_bytes(b"secret")
    return (tmp_path / "in").resolve()


@pytest.fixture
def inside(folder: Path) -> FilesIn:
    return FilesIn(FilesPolicy(paths=(folder,), max_size=100))


async def test_content_of_a_command_is_its_own_source(inside: FilesIn) -> None:
    opened = await inside.open(file(content=b"hello"))
    assert (opened.name, opened.mime_type, opened.size) == ("a.txt", "text/plain", 5)
    assert await joined(opened.chunks) == b"hello"


async def test_large_content_comes_in_pieces() -> None:
    data = bytes(range(256)) * 20_000
    opened = await FilesIn(FilesPolicy()).open(file(content=data, mime_type="application/octet-stream"))
    pieces = [piece async for piece in opened.chunks]
    assert b"".join(pieces) == data
    assert len(pieces) > 1


async def test_files_of_allowed_folders_are_read(inside: FilesIn, folder: Path) -> None:
    assert await taken(inside, file(path=f"{folder}/a.txt")) == b"hello"
    assert await taken(inside, file(path=f"{folder}/deep/../deep/b.txt")) == b"deep"
    (folder / "link").symlink_to(folder / "deep" / "b.txt")
    assert await taken(inside, file(path=f"{folder}/link")) == b"deep"


async def test_a_file_is_closed_when_it_is_read_or_left(inside: FilesIn, folder: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    await joined((await inside.open(file(path=f"{folder}/a.txt"))).chunks)
    await (await inside.open(file(path=f"{folder}/a.txt"))).aclose()
    async with await inside.open(file(path=f"{folder}/a.txt")) as opened:
        await anext(opened.chunks)
    with pytest.raises(FileError):
        await inside.open(file(path=f"{folder}/a.txt", mime_type="image/png"))
    assert open_files() == before


OUTSIDE = "путь не входит в разрешённые"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{in}/../in-secret/s.txt",
        "{in}-secret/s.txt",
        "{in}",
        "{in}/",
        "/no/such/file",
        "{in}/out",
        "{in}/up/s.txt",
    ],
)
async def test_paths_outside_are_refused_whether_they_are_there_or_not(
    inside: FilesIn, folder: Path, path: str
) -> None:
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "up").symlink_to(folder.parent / "in-secret")
    known = (Code.ATTACHMENT_REFUSED, False, f"{WHERE}.path", OUTSIDE)
    assert await refusal(inside, file(path=path.replace("{in}", str(folder)))) == known


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("none", "файл не найден"),
        ("a.txt/b", "файл не найден"),
        ("deep", "это не обычный файл"),
        ("pipe", "это не обычный файл"),
    ],
)
async def test_what_is_no_file_is_refused(inside: FilesIn, folder: Path, name: str, rule: str) -> None:
    os.mkfifo(folder / "pipe")
    assert (await refusal(inside, file(path=f"{folder}/{name}")))[2:] == (f"{WHERE}.path", rule)


async def test_a_link_put_in_after_the_look_is_not_followed(
    inside: FilesIn, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "deep" / "b.txt").unlink()
    (folder / "deep").rmdir()
    (folder / "deep").symlink_to(folder.parent / "in-secret")
    monkeypatch.setattr("adapter.files.taking.os.path.realpath", lambda path: path)  # it was a folder when looked at
    assert (await refusal(inside, file(path=f"{folder}/deep/s.txt")))[:2] == (Code.ATTACHMENT_REFUSED, False)


@pytest.mark.parametrize("path", ["a.txt", "\0", "/a\0b"])
async def test_paths_have_to_be_absolute(inside: FilesIn, path: str) -> None:
    assert (await refusal(inside, file(path=path)))[2:] == (f"{WHERE}.path", "ожидается абсолютный путь")


async def test_nothing_is_allowed_by_default(folder: Path) -> None:
    files = FilesIn(FilesPolicy())
    assert (await refusal(files, file(path=f"{folder}/a.txt")))[3] == OUTSIDE
    assert (await refusal(files, file(url="https://example.org/a")))[3] == "узел не входит в разрешённые"


@pytest.mark.parametrize("source", ["path", "content"])
async def test_a_file_over_the_limit_is_refused_before_it_is_read(inside: FilesIn, folder: Path, source: str) -> None:
    (folder / "large").write_bytes(b"x" * 101)
    attachment = file(content=b"x" * 101) if source == "content" else file(path=f"{folder}/large")
    with pytest.raises(FileTooLargeError) as caught:
        await inside.open(attachment, WHERE)
    assert caught.value.fields[0].path == f"{WHERE}.{'content_base64' if source == 'content' else 'path'}"


async def test_a_content_type_that_lies_is_named(inside: FilesIn) -> None:
    lie = file(content=b"MZ\x90\0", mime_type="application/pdf")
    assert (await refusal(inside, lie))[::2] == (Code.ATTACHMENT_REFUSED, f"{WHERE}.mime_type")


@given(st.text(max_size=30))
def test_no_path_leads_out(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    folder = (tmp_path_factory.getbasetemp() / "only").resolve()
    folder.mkdir(exist_ok=True)
    files = FilesIn(FilesPolicy(paths=(folder,)))
    with pytest.raises(FileError):
        asyncio.run(taken(files, file(path=f"{folder}/{path}" if "\0" not in path else path)))


# --- urls


async def _hello(_request: web.Request) -> web.Response:
    return web.Response(body=b"hello")


def _policy(url: str, host: str = "{at}", **changes: Any) -> FilesIn:
    entry = host.replace("{at}", url.removeprefix("http://"))
    return FilesIn(FilesPolicy(hosts=(AllowedHost.parse(entry),), **{"max_size": 100, "stall": 5, **changes}))


async def _at(handler: Handler, *, path: str = "/a", host: str = "{at}", **changes: Any) -> tuple[Code, bool, str, str]:
    """What is said of a file that a server gives by ``handler``."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with serving(app) as url:
        return await refusal(_policy(url, host, **changes), file(url=url + path))


async def test_a_file_of_an_allowed_host_is_read() -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return await _hello(request)

    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    async with serving(app) as url:
        opened = await _policy(url).open(file(url=f"{url}/dir/a%20b?x=%D0%B0"))
        assert opened.size == 5
        assert await joined(opened.chunks) == b"hello"
    assert seen[0].raw_path == "/dir/a%20b?x=%D0%B0"
    assert seen[0].headers["Accept-Encoding"] == "identity"
    assert "Cookie" not in seen[0].headers


async def test_a_name_is_looked_up_once_and_connected_to_where_it_led(monkeypatch: pytest.MonkeyPatch) -> None:
    app = web.Application()
    app.router.add_get("/a", _hello)
    looked: list[str] = []

    async def lookup(host: str, port: int, **_: Any) -> list[Any]:
        looked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1" if len(looked) == 1 else "10.0.0.1", port))]

    async with serving(app) as url:
        port = url.rpartition(":")[2]
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
        files = _policy(url, f"files.example.org:{port}=127.0.0.0/8")
        assert await taken(files, file(url=f"http://files.example.org:{port}/a")) == b"hello"
    assert looked == ["files.example.org"]


INTERNAL = "узел находится во внутренней сети, которая для него не разрешена"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
async def test_an_allowed_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    async def lookup(_host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    files = FilesIn(FilesPolicy(hosts=(AllowedHost.parse("files.example.org"),)))
    for scheme in ("http", "https", "ftp"):
        known = (Code.ATTACHMENT_REFUSED, False, f"{WHERE}.url", INTERNAL)
        assert await refusal(files, file(url=f"{scheme}://files.example.org/a")) == known


async def test_a_name_that_leads_nowhere_may_lead_somewhere_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lookup(*_: Any, **__: Any) -> list[Any]:
        raise OSError

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    files = FilesIn(FilesPolicy(hosts=(AllowedHost.parse("files.example.org"),)))
    assert (await refusal(files, file(url="https://files.example.org/a")))[:2] == (Code.ATTACHMENT_UNAVAILABLE, True)


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/a",
        "https://files.example.org:8443/a",
        "https://files.example.org@other.example/a",
        "https://files.example.org\\@other.example/a",
        "https://files.example.org./a",
        "http://127.0.0.1/a",
        "http://2130706433/a",
        "http://[::1]/a",
        "http://0/a",
        "file:///etc/passwd",
        "https://user:secret@files.example.org/a",
        "https://files.example.org:99999/a",
        "https://",
        "",
        "ftp://files.example.org/",
        "ftp://files.example.org/a%0d%0aDELE%20b",
    ],
)
async def test_urls_that_are_not_allowed_are_refused_without_their_values(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    async def lookup(_host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    files = FilesIn(FilesPolicy(hosts=(AllowedHost.parse("files.example.org"),)))
    code, again, field, rule = await refusal(files, file(url=url))
    assert (code, again, field) == (Code.ATTACHMENT_REFUSED, False, f"{WHERE}.url")
    assert "example" not in rule
    assert "secret" not in rule


@given(st.text(max_size=40))
def test_no_url_crashes_the_reader(text: str) -> None:
    with pytest.raises(FileError):
        asyncio.run(taken(FilesIn(FilesPolicy()), file(url=text)))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_refused_and_not_followed(status: int) -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/b"})

    said = await _at(handler)
    assert said[:3] == (Code.ATTACHMENT_REFUSED, False, f"{WHERE}.url")
    assert asked == ["/a"]


@pytest.mark.parametrize(
    ("status", "again"), [(404, False), (403, False), (204, False), (500, True), (503, True), (429, True)]
)
async def test_what_a_server_says_decides_whether_to_ask_again(status: int, *, again: bool) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    code = Code.ATTACHMENT_UNAVAILABLE if again else Code.ATTACHMENT_REFUSED
    assert (await _at(handler))[:2] == (code, again)


async def test_a_compressed_answer_is_refused() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=b"hello", headers={"Content-Encoding": "gzip"})

    assert (await _at(handler))[3] == "сервер файла сжимает содержимое"


async def test_a_size_over_the_limit_is_refused_at_the_headers() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 101)

    assert "больше допустимого" in (await _at(handler))[3]


async def test_a_size_that_is_not_said_is_counted_while_it_streams() -> None:
    sent: list[int] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(1_000):
            await response.write(b"x" * 100_000)
            sent.append(number)
        return response

    assert "больше допустимого" in (await _at(handler))[3]
    assert len(sent) < 1_000


async def test_a_transfer_that_is_cut_may_be_tried_again() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "50"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.close()
        return response

    assert (await _at(handler))[:2] == (Code.ATTACHMENT_UNAVAILABLE, True)


async def test_a_silent_server_is_given_up() -> None:
    held = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        await held.wait()
        return web.Response()

    try:
        assert (await _at(handler, stall=0.2))[:2] == (Code.ATTACHMENT_UNAVAILABLE, True)
    finally:
        held.set()


async def test_a_server_that_never_ends_is_given_up() -> None:
    held = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await held.wait()
        return response

    try:
        assert (await _at(handler, whole=0.2))[:2] == (Code.ATTACHMENT_UNAVAILABLE, True)
    finally:
        held.set()


async def test_a_port_that_nobody_listens_on_may_be_tried_again() -> None:
    async with serving(web.Application()) as url:
        pass
    assert (await refusal(_policy(url), file(url=f"{url}/a")))[:2] == (Code.ATTACHMENT_UNAVAILABLE, True)
