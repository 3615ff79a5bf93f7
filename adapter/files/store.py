"""FILES_ROOT: where received files lie under their SHA-256, shared by every worker of a deployment.

``incoming/<uuid>.part`` is a file on its way in, locked by whoever writes it; ``<first two digits>/<sha256>`` a
finished one; ``finished/`` remembers what a key brought, ``locks/`` holds the locks of keys. All work on the disk is
done in threads.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar
from uuid import uuid4

import orjson

from adapter.errors import Code, FileError, FileTooLargeError
from adapter.exchange import INLINE_FILE, StoredFile
from adapter.files import disk

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
    from io import FileIO
    from pathlib import Path

_P = ParamSpec("_P")
_Result = TypeVar("_Result")

_INCOMING: Final = "incoming"
_FINISHED: Final = "finished"
_LOCKS: Final = "locks"
#: Bytes gathered before a thread writes and hashes them, and read at once.
_PIECE: Final = 1 << 20
#: Seconds between two looks at a lock that another process holds.
_LOOK: Final = (0.02, 0.5)
#: Seconds for which it is remembered what a key brought: far longer than a gateway goes on redelivering.
_REMEMBERED: Final = 7 * 86_400.0
_PLACE: Final = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}")


@dataclass(slots=True)
class Held:
    """A key that is held: ``found`` is what an earlier holder left under it."""

    found: StoredFile | None
    _record: Path

    async def keep(self, stored: StoredFile) -> None:
        """Leave ``stored`` to those who hold the key later, in this process or another. Raises FileError."""
        await _do(_write_record, self._record, stored)
        self.found = stored


class FileStore:
    """Files by their digest. Safe for any number of tasks and processes on one ``root``."""

    def __init__(self, root: Path) -> None:
        """``root`` has to be there; nothing is made before the first use."""
        self._root = root
        self._waiting: dict[str, tuple[asyncio.Lock, int]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def put(self, chunks: AsyncIterable[bytes], *, name: str, mime_type: str, limit: int) -> StoredFile:
        """Take ``chunks`` in and return the file at rest: on the disk for good, whole, in constant memory.

        Raises FileTooLargeError beyond ``limit`` bytes, FileError when the disk refuses (retryable), and whatever
        ``chunks`` raise; nothing is left behind then. A crash leaves a ``.part`` that :meth:`sweep` removes.
        """
        part = await _do(_Part, self._root / _INCOMING / f"{uuid4().hex}.part")
        writing: asyncio.Task[None] | None = None
        try:
            async for piece in _pieces(chunks, limit):
                if writing is not None:
                    await writing
                writing = asyncio.create_task(_do(part.write, piece))
            if writing is not None:
                await writing
            sha256 = part.digest()
            place = f"{sha256[:2]}/{sha256}"
            await _do(part.finish, self._root / place)
        except BaseException:
            ending = asyncio.create_task(_abandon(part, writing))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)
            raise
        return StoredFile(name, mime_type, part.size, sha256, place, part.content)

    async def open(self, path: str) -> AsyncIterator[bytes]:
        """Yield the content of the stored file ``path`` (as in StoredFile) in pieces of at most a megabyte.

        Raises FileError when it is not there or cannot be read. Left early, it is to be closed (``aclose``).
        """
        file = await self.handle(path)
        try:
            while piece := await _do(file.read, _PIECE):
                yield piece
        finally:
            file.close()

    async def handle(self, path: str) -> FileIO:
        """Return the stored file ``path`` open for reading anywhere in it, in threads; the caller closes it.

        Raises FileError when it is not there or cannot be read.
        """
        if not _PLACE.fullmatch(path):
            raise FileError(Code.INTERNAL, "Путь не указывает на сохранённый файл", retryable=False)
        return await _do(disk.open_beneath, self._root, path)

    @asynccontextmanager
    async def locked(self, key: str) -> AsyncIterator[Held]:
        """Hold ``key`` alone, among the tasks of this process and the processes on this root.

        Waits for whoever holds it, without a bound of its own: a download may take long. Gives what an earlier holder
        left with :meth:`Held.keep`. A process that dies lets go of its keys. Raises FileError when the disk refuses.
        """
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        lock, users = self._waiting.get(digest, (asyncio.Lock(), 0))
        self._waiting[digest] = (lock, users + 1)
        try:
            async with lock:
                lockfile = await self._foreign(self._root / _LOCKS / digest)
                try:
                    record = self._root / _FINISHED / digest
                    yield Held(await _do(self._recorded, record), record)
                finally:
                    disk.unlock(self._root / _LOCKS / digest, lockfile)
        finally:
            lock, users = self._waiting[digest]
            if users == 1:
                del self._waiting[digest]
            else:
                self._waiting[digest] = (lock, users - 1)

    async def once(self, key: str, fetch: Callable[[], Awaitable[StoredFile]]) -> StoredFile:
        """Return what ``key`` brought before, or have it fetched; others who ask meanwhile wait and share it.

        Raises what ``fetch`` raises; the next who waits then fetches by itself.
        """
        async with self.locked(key) as held:
            if held.found is None:
                await held.keep(await fetch())
            if held.found is None:
                raise FileError(Code.INTERNAL, retryable=False)
            return held.found

    async def sweep(self) -> int:
        """Remove what dead processes left: unfinished files, locks and old records. Returns how many were removed."""
        return await _do(self._sweep)

    async def _foreign(self, path: Path) -> FileIO:
        """Take the lock that keeps other processes off; polled, so that waiting can be cancelled."""
        pause, longest = _LOOK
        while (lockfile := await _do(disk.try_lock, path)) is None:
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
        return lockfile

    def _recorded(self, record: Path) -> StoredFile | None:
        """Read what a key brought; ``None`` when that is not known, or the file is not there any more."""
        try:
            if time.time() - record.stat().st_mtime > _REMEMBERED:
                return None
            facts = orjson.loads(record.read_bytes())
            stored = StoredFile(facts["name"], facts["mime_type"], facts["size"], facts["sha256"], facts["path"])
            file = self._root / stored.path
            if not _PLACE.fullmatch(stored.path) or file.stat().st_size != stored.size:
                return None
            if stored.size > INLINE_FILE:
                return stored
            content = file.read_bytes()
        except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
            return None
        return StoredFile(stored.name, stored.mime_type, stored.size, stored.sha256, stored.path, content)

    def _sweep(self) -> int:
        removed = 0
        for folder in (_INCOMING, _LOCKS):
            for path in disk.listed(self._root / folder):
                lockfile = disk.try_lock(path)
                if lockfile is not None:
                    disk.unlock(path, lockfile)
                    removed += 1
        for path in disk.listed(self._root / _FINISHED):
            if time.time() - path.stat().st_mtime > _REMEMBERED:
                path.unlink(missing_ok=True)
                removed += 1
        return removed


class _Part:
    """A file on its way in. Its methods block and are called one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = disk.create_locked(path)
        self._sha256 = hashlib.sha256()
        self._head: list[bytes] | None = []
        self.size = 0

    def write(self, piece: bytes) -> None:
        left = memoryview(piece)
        while left:
            left = left[self._file.write(left) :]
        self._sha256.update(piece)
        self.size += len(piece)
        if self._head is not None:
            self._head.append(piece)
            if self.size > INLINE_FILE:
                self._head = None

    def digest(self) -> str:
        return self._sha256.hexdigest()

    @property
    def content(self) -> bytes | None:
        """The whole of a small file."""
        return None if self._head is None else b"".join(self._head)

    def finish(self, target: Path) -> None:
        """Make it durable under its name: a reply must never speak of a file that a power cut takes back."""
        os.fsync(self._file.fileno())
        disk.make_folder(target.parent)
        self._path.replace(target)
        disk.sync_folder(target.parent)
        self._file.close()

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()


async def _abandon(part: _Part, writing: asyncio.Task[None] | None) -> None:
    """Remove an unfinished file. The thread that writes it cannot be stopped: it is waited for."""
    if writing is not None:
        await asyncio.wait([writing])
        if not writing.cancelled():
            writing.exception()  # looked at: the first error of all is the one that is raised
    await _do(part.discard)


async def _pieces(chunks: AsyncIterable[bytes], limit: int) -> AsyncIterator[bytes]:
    """Join ``chunks`` to pieces that are worth a thread's turn. Raises FileTooLargeError."""
    gathered: list[bytes] = []
    size = total = 0
    async for chunk in chunks:
        size += len(chunk)
        total += len(chunk)
        if total > limit:
            raise FileTooLargeError(limit)
        gathered.append(chunk)
        if size >= _PIECE:
            yield gathered[0] if len(gathered) == 1 else b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)


def _write_record(path: Path, stored: StoredFile) -> None:
    disk.make_folder(path.parent)
    facts = {name: getattr(stored, name) for name in ("name", "mime_type", "size", "sha256", "path")}
    fresh = path.with_suffix(f".{uuid4().hex}")
    try:
        fresh.write_bytes(orjson.dumps(facts))
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


async def _do(work: Callable[_P, _Result], *arguments: _P.args, **named: _P.kwargs) -> _Result:
    """Do blocking work in a thread. Raises FileError for OSError, whose text would name places of this machine."""
    try:
        return await asyncio.to_thread(work, *arguments, **named)
    except OSError as error:
        why = errno.errorcode.get(error.errno or 0, type(error).__name__)
        raise FileError(Code.ATTACHMENT_UNAVAILABLE, f"Хранилище файлов недоступно: {why}", retryable=True) from error
