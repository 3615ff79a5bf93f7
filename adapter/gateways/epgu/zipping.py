"""Zip archives written as a stream, and looked into where they lie."""

from __future__ import annotations

import asyncio
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Final, cast

from adapter.gateways.epgu.rules import is_archive

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Sequence
    from io import FileIO

#: The moment of every member: the same files give the same bytes.
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)
_HEAD: Final = 8
#: Members larger than this, unpacked, make an archive a bomb.
_UNPACKED_MAX: Final = 2**36
#: What reading a broken zip raises; OSError when its own offsets lead out of the file.
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    OSError,
)


class _Drain:
    """What zipfile writes to: a stream that cannot go back, emptied after each step."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def taken(self) -> bytes:
        data = b"".join(self._written)
        self._written.clear()
        return data


async def zipped(members: AsyncIterable[tuple[str, int, AsyncIterable[bytes]]]) -> AsyncIterator[bytes]:
    """Yield a flat zip archive of ``members``: name, about how many bytes, content.

    Always compressed: a reader of streams finds the end of a member only where it was, since sizes stand behind it.
    """
    drain = _Drain()
    with zipfile.ZipFile(cast("IO[bytes]", drain), "w", zipfile.ZIP_DEFLATED) as archive:
        async for name, size, pieces in members:
            info = zipfile.ZipInfo(name, _MOMENT)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            info.file_size = size
            with archive.open(info, "w") as member:
                async for piece in pieces:
                    await asyncio.to_thread(member.write, piece)
                    if data := drain.taken():
                        yield data
            if data := drain.taken():
                yield data
    if data := drain.taken():
        yield data


class BrokenZipError(Exception):
    """A file is no zip archive that could be sent: its text is the rule, in Russian."""


def look_into(file: FileIO, *, nested: bool) -> Sequence[str]:
    """Return the names in a zip archive; takes time, run it in a thread. Raises BrokenZipError.

    ``nested`` allows archives inside.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            if any(info.flag_bits & 1 for info in infos):
                raise BrokenZipError("архив зашифрован")
            if sum(info.file_size for info in infos) > _UNPACKED_MAX:
                raise BrokenZipError("файлы архива слишком велики")
            for info in infos:
                with archive.open(info) as member:
                    inside = is_archive(info.filename, member.read(_HEAD))
                if inside and not nested:
                    raise BrokenZipError("вложенный архив не допускается")
    except _UNREADABLE:
        raise BrokenZipError("файл не является zip-архивом") from None
    return [info.filename for info in infos]
