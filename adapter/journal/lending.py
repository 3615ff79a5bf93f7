"""Connections lent for single statements to rooms with small tables of their own: limits, tokens."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from adapter.journal.writer import DATABASE_ERRORS, JournalUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import asyncpg

#: Connections of one worker.
_MOST: Final = 2
#: Seconds to wait for one that another holds.
_PATIENCE: Final = 15.0


class Lending:
    """Lends connections; each statement commits by itself."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], most: int = _MOST) -> None:
        """Nothing is opened before the first use; ``most`` connections are open at once."""
        self._connect = connect
        self._places = asyncio.Semaphore(most)
        self._idle: list[asyncpg.Connection] = []

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection. Raises JournalUnavailableError where the database does not answer, also to its use."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._places.acquire()
        except TimeoutError:
            raise JournalUnavailableError from None
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
            whole = False
            try:
                yield connection
                whole = True
            finally:
                if whole and not connection.is_closed():
                    self._idle.append(connection)
                else:
                    connection.terminate()
        except DATABASE_ERRORS:
            raise JournalUnavailableError from None
        finally:
            self._places.release()

    async def aclose(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().terminate()
