"""A wire that can be cut, reset or frozen: TCP from a port of ours to the real service."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_RESET = struct.pack("ii", 1, 0)


class Wire:
    """Carries bytes both ways between its clients and one service."""

    def __init__(self, host: str, port: int) -> None:
        """``host`` and ``port`` are the service's."""
        self._target = (host, port)
        self._flows = asyncio.Event()
        self._flows.set()
        self._links: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self._server: asyncio.Server | None = None
        self.port = 0
        self.opened = 0
        #: Bytes carried so far, both ways.
        self.carried = 0
        self.refuses = False

    @classmethod
    @asynccontextmanager
    async def laid(cls, host: str, port: int) -> AsyncIterator[Wire]:
        """Listen on a free loopback port for the length of a block."""
        wire = cls(host, port)
        await wire.pick_up()
        try:
            yield wire
        finally:
            wire.thaw()
            wire.hang_up()
            wire.reset()
            await asyncio.gather(*wire._links, return_exceptions=True)

    async def pick_up(self) -> None:
        """Listen, again on the same port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def hang_up(self) -> None:
        """Listen no more: new connections are refused, open ones stay."""
        if self._server is not None:
            self._server.close()

    async def linked(self) -> None:
        """Wait until a connection is open."""
        while not self._links:  # noqa: ASYNC110 — a list gives no signal
            await asyncio.sleep(0.01)

    async def has_carried(self, count: int, seconds: float = 60) -> None:
        """Wait until so many bytes have passed."""
        async with asyncio.timeout(seconds):
            while self.carried < count:  # noqa: ASYNC110 — a number gives no signal
                await asyncio.sleep(0.02)

    def reset(self) -> int:
        """Reset every open connection (RST, not FIN); return how many."""
        links = list(self._links.items())
        for task, writers in links:
            for writer in writers:
                sock = writer.get_extra_info("socket")
                if sock is not None:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()
            task.cancel()
        return len(links)

    def freeze(self) -> None:
        """Carry nothing more: both ends keep a connection on which nothing arrives (half-open)."""
        self._flows.clear()

    def thaw(self) -> None:
        """Carry again, what was held back first."""
        self._flows.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self.opened += 1
        link = asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))
        task = asyncio.create_task(_settle(link))
        self._links[task] = (writer, far_writer)
        try:
            await asyncio.wait({task})
        finally:
            self._links.pop(task, None)
            for end in (writer, far_writer):
                end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flows.wait()
            writer.write(data)
            await writer.drain()
            self.carried += len(data)
        writer.transport.abort()


async def _settle(link: asyncio.Future[list[None]]) -> None:
    """End quietly: a cut wire is what this is for."""
    await asyncio.gather(link, return_exceptions=True)
