"""multipart/form-data whose file is a part of one at rest: its length is known, its bytes are read as they leave."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import aiohttp
import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import FileIO

    from aiohttp.abc import AbstractStreamWriter

#: Bytes read at once.
_PIECE: Final = 1 << 19


class FileForm(aiohttp.Payload):
    """Fields and a range of a file. Made for one request; the file stays its owner's."""

    def __init__(  # noqa: PLR0913  — the parts of a form
        self,
        file: FileIO,
        *,
        start: int,
        size: int,
        name: str,
        fields: Mapping[str, str],
        meta: Mapping[str, str] | None,
    ) -> None:
        """``size`` bytes from ``start`` on are sent as ``file``, under ``name``; ``meta`` goes as JSON."""
        boundary = uuid4().hex
        super().__init__(file, content_type=f"multipart/form-data; boundary={boundary}")
        self._file = file
        self._start = start
        self._length = size
        head = [_part(boundary, f'name="{title}"', "", value.encode()) for title, value in fields.items()]
        if meta is not None:
            head.insert(0, _part(boundary, 'name="meta"', "application/json", orjson.dumps(meta)))
        described = f'name="file"; filename="{name}"'
        self._head = b"".join(head) + _part(boundary, described, "application/octet-stream", b"")[:-2]
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._size = len(self._head) + size + len(self._tail)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002  — the port's signature
        """Refuse: what is streamed is no text."""
        raise TypeError("a streamed form is no text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all of it, reading a piece while the one before leaves. Raises OSError."""
        await writer.write(self._head)
        place, end = self._start, self._start + self._length
        reading: asyncio.Future[bytes] | None = None
        try:
            while place < end:
                piece = await (reading or self._read(place, end))
                if not piece:
                    raise OSError("the stored archive is shorter than it was")
                place += len(piece)
                reading = asyncio.ensure_future(self._read(place, end)) if place < end else None
                await writer.write(piece)
        finally:
            if reading is not None:
                await asyncio.wait([reading])  # the owner may close the file next
        await writer.write(self._tail)

    async def _read(self, place: int, end: int) -> bytes:
        return await asyncio.to_thread(os.pread, self._file.fileno(), min(_PIECE, end - place), place)


def _part(boundary: str, described: str, content_type: str, content: bytes) -> bytes:
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    head = f"--{boundary}\r\nContent-Disposition: form-data; {described}\r\n{kind}\r\n"
    return head.encode() + content + b"\r\n"
