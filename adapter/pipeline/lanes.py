"""Lanes inside one worker: the calls of one lane are made one at a time, in the order their commands came.

Between workers the journal keeps them apart (``journal_write``, submits); here nobody has to be turned away by it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapter.pipeline.bulkhead import Bulkhead


class Lanes:
    """The lanes that are in use."""

    def __init__(self) -> None:
        """Nobody is in a lane."""
        self._locks: dict[str, asyncio.Lock] = {}
        self._inside: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, lane: str, bulkhead: Bulkhead) -> AsyncIterator[None]:
        """Wait for one's turn and keep the lane for the length of the block; who waits counts as calling."""
        lock = self._locks.setdefault(lane, asyncio.Lock())
        self._inside[lane] = self._inside.get(lane, 0) + 1
        try:
            bulkhead.calling += 1
            try:
                await lock.acquire()
            finally:
                bulkhead.calling -= 1
            try:
                yield
            finally:
                lock.release()
        finally:
            self._inside[lane] -= 1
            if not self._inside[lane]:
                del self._inside[lane], self._locks[lane]
