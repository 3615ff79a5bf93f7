"""Files under FILES_ROOT: whole or not at all, shared by tasks and processes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import FileError, FileTooLargeError
from adapter.exchange import INLINE_FILE, StoredFile
from adapter.files import FileStore, disk
from adapter.files import store as room
from tests.unit.files.conftest import chunks, joined

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from io import FileIO
    from pathlib import Path


def files_of(root: Path, *, but: tuple[str, ...] = ("finished",)) -> set[str]:
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] not in but
    }


async def put(store: FileStore, *pieces: bytes, limit: int = 10**9) -> StoredFile:
    return await store.put(chunks(*pieces), name="a.txt", mime_type="text/plain", limit=limit)


async def test_a_file_lies_under_its_digest_and_reads_back(store: FileStore, tmp_path: Path) -> None:
    stored = await put(store, b"hel", b"lo")
    digest = hashlib.sha256(b"hello").hexdigest()
    assert stored == StoredFile("a.txt", "text/plain", 5, digest, f"{digest[:2]}/{digest}", b"hello")
    assert (tmp_path / stored.path).read_bytes() == b"hello"
    assert files_of(tmp_path) == {stored.path}
    assert await joined(store.open(stored.path)) == b"hello"
    assert (tmp_path / stored.path).stat().st_mode & 0o007 == 0


async def test_the_same_content_again_is_the_same_file(store: FileStore, tmp_path: Path) -> None:
    first, second = await asyncio.gather(put(store, b"x" * 3_000_000), put(store, b"x" * 1_000_000, b"x" * 2_000_000))
    assert first == second
    assert files_of(tmp_path) == {first.path}


@pytest.mark.parametrize("size", [0, 1, INLINE_FILE, INLINE_FILE + 1])
async def test_only_a_small_file_carries_its_content(store: FileStore, size: int) -> None:
    stored = await put(store, b"x" * size)
    assert (stored.size, stored.content) == (size, b"x" * size if size <= INLINE_FILE else None)


@pytest.mark.parametrize("pieces", [[11], [5, 6], [1] * 11, [5_000_000]])
async def test_a_file_over_the_limit_leaves_nothing(store: FileStore, tmp_path: Path, pieces: list[int]) -> None:
    with pytest.raises(FileTooLargeError):
        await put(store, *(b"x" * size for size in pieces), limit=10)
    assert not files_of(tmp_path)
    assert (await put(store, b"x" * 10, limit=10)).size == 10


async def test_a_source_that_breaks_leaves_nothing(store: FileStore, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put(broken(), name="a", mime_type="text/plain", limit=10**9)
    assert not files_of(tmp_path)


async def test_a_cancelled_put_leaves_nothing(store: FileStore, tmp_path: Path) -> None:
    reached = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.put(endless(), name="a", mime_type="text/plain", limit=10**9))
    await asyncio.wait_for(reached.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not files_of(tmp_path)


async def test_a_disk_that_refuses_is_a_named_error_to_be_tried_again(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/secret/place")

    monkeypatch.setattr(room._Part, "write", full)
    with pytest.raises(FileError, match="ENOSPC") as caught:
        await put(store, b"x")
    assert caught.value.retryable
    assert "secret" not in str(caught.value)
    assert not files_of(tmp_path)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "incoming/x.part", "ab/" + "0" * 63, "2c/../" + "a" * 64])
async def test_nothing_but_stored_files_is_opened(store: FileStore, path: str) -> None:
    with pytest.raises(FileError):
        await joined(store.open(path))


async def test_a_link_in_place_of_a_stored_file_is_not_followed(store: FileStore, tmp_path: Path) -> None:
    stored = await put(store, b"hello")
    (tmp_path / "other").write_bytes(b"secret")
    (tmp_path / stored.path).unlink()
    (tmp_path / stored.path).symlink_to(tmp_path / "other")
    with pytest.raises(FileError, match="ELOOP"):
        await joined(store.open(stored.path))


@given(st.lists(st.binary(max_size=3000), max_size=8))
def test_whatever_comes_in_pieces_comes_out(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    async def there_and_back() -> bytes:
        store = FileStore(tmp_path_factory.getbasetemp() / "any")
        return await joined(store.open((await put(store, *pieces)).path))

    assert asyncio.run(there_and_back()) == b"".join(pieces)


async def test_copies_join_a_download_that_runs(store: FileStore, tmp_path: Path) -> None:
    fetched, begun, go = [], asyncio.Event(), asyncio.Event()

    async def fetch() -> StoredFile:
        fetched.append(1)
        begun.set()
        await go.wait()
        return await put(store, b"hello")

    copies = [asyncio.create_task(store.once("message-1/file-1", fetch)) for _ in range(5)]
    await asyncio.wait_for(begun.wait(), 10)
    go.set()
    results = await asyncio.gather(*copies)
    assert len(fetched) == 1
    assert len(set(results)) == 1
    assert results[0].content == b"hello"
    assert await FileStore(tmp_path).once("message-1/file-1", fetch) == results[0]  # another worker, later
    assert len(fetched) == 1
    assert not store._waiting
    assert not list((tmp_path / "locks").iterdir())


async def test_one_who_waits_fetches_when_the_first_fails(store: FileStore) -> None:
    tries: list[int] = []

    async def fetch() -> StoredFile:
        tries.append(1)
        await asyncio.sleep(0)
        if len(tries) == 1:
            raise ConnectionResetError
        return await put(store, b"hello")

    first, second = await asyncio.gather(store.once("k", fetch), store.once("k", fetch), return_exceptions=True)
    assert isinstance(first, ConnectionResetError)
    assert isinstance(second, StoredFile)


async def test_a_file_that_is_gone_is_fetched_again(store: FileStore, tmp_path: Path) -> None:
    async def fetch() -> StoredFile:
        return await put(store, b"hello")

    stored = await store.once("k", fetch)
    (tmp_path / stored.path).unlink()
    assert await store.once("k", fetch) == stored
    assert (tmp_path / stored.path).exists()


async def test_a_record_that_is_no_record_is_overlooked(store: FileStore, tmp_path: Path) -> None:
    async def fetch() -> StoredFile:
        return await put(store, b"hello")

    await store.once("k", fetch)
    (record,) = (tmp_path / "finished").iterdir()
    for spoilt in (b"", b"[]", b'{"name": 1}', b'{"name":"a","mime_type":"b","size":5,"sha256":"c","path":"../x"}'):
        record.write_bytes(spoilt)
        assert (await store.once("k", fetch)).content == b"hello"


def turned_away(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return what is set when somebody has found a lock to be held by another process."""
    loop, event, original = asyncio.get_running_loop(), asyncio.Event(), disk.try_lock

    def watched(path: Path) -> FileIO | None:
        lock = original(path)
        if lock is None:
            loop.call_soon_threadsafe(event.set)
        return lock

    monkeypatch.setattr(disk, "try_lock", watched)
    return event


async def test_waiting_for_a_key_can_be_cancelled(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = turned_away(monkeypatch)
    async with store.locked("k"):
        waiting = asyncio.create_task(store.once("k", lambda: put(store, b"x")))
        other = asyncio.create_task(FileStore(tmp_path).once("k", lambda: put(store, b"x")))
        await asyncio.wait_for(turned.wait(), 10)
        for task in (waiting, other):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert (await asyncio.wait_for(store.once("k", lambda: put(store, b"x")), 10)).size == 1


_HOLDER = """
import asyncio, sys
from pathlib import Path
from adapter.files import FileStore

async def main():
    store = FileStore(Path(sys.argv[1]))
    async def endless():
        yield b"x" * 3_000_000
        print("holds", flush=True)
        await asyncio.Event().wait()
    async with store.locked("k"):
        await store.put(endless(), name="a", mime_type="text/plain", limit=10**9)

asyncio.run(main())
"""


async def test_a_crash_frees_its_keys_and_leaves_a_part_that_is_swept(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = turned_away(monkeypatch)
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLDER, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await asyncio.wait_for(holder.stdout.readline(), 30) == b"holds\n"
    parts = list((tmp_path / "incoming").iterdir())
    assert len(parts) == 1
    assert await store.sweep() == 0  # its holder lives
    assert list((tmp_path / "incoming").iterdir()) == parts
    turned.clear()
    waiting = asyncio.create_task(store.once("k", lambda: put(store, b"hello")))
    await asyncio.wait_for(turned.wait(), 10)
    assert not waiting.done()
    holder.kill()
    assert (await asyncio.wait_for(waiting, 10)).content == b"hello"
    await asyncio.wait_for(holder.wait(), 10)
    assert await store.sweep() == 1
    assert files_of(tmp_path) == {(await put(store, b"hello")).path}


async def test_old_records_are_swept(store: FileStore, tmp_path: Path) -> None:
    await store.once("k", lambda: put(store, b"hello"))
    (record,) = (tmp_path / "finished").iterdir()
    os.utime(record, (0, 0))
    assert await store.sweep() == 1
    assert not record.exists()


async def test_nothing_is_swept_where_nothing_is(tmp_path: Path) -> None:
    assert await FileStore(tmp_path / "none").sweep() == 0
