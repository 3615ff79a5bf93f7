"""Acks that the broker has processed, on their way into the journal: with the next move of their row where one comes.

Each row's mark on its own would be one more change of a row that changes five times anyway.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from adapter.journal.operations import Settle
from adapter.journal.writer import JournalUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from adapter.journal.operations import Finish, Operation, Retry, Wait

#: Seconds between two looks at what found no move to ride on: unmarked for long, a row that a crash leaves behind may
#: pass for a later command that looks the same.
_PACE: Final = 0.1


class Settlements:
    """The rows of one worker whose ack is certain and not yet journaled."""

    def __init__(
        self, write: Callable[[Settle], asyncio.Future[bool]], available: asyncio.Event, *, pace: float = _PACE
    ) -> None:
        """``write`` commits what found no move within ``pace`` to two ``pace`` seconds, while ``available`` is set."""
        self._write = write
        self._available = available
        self._pace = pace
        self._open: set[UUID] = set()
        self._added = asyncio.Event()
        self._writing = asyncio.Lock()

    def add(self, ids: Iterable[UUID]) -> None:
        """Note that the broker has processed the acks of these rows."""
        self._open.update(ids)
        if self._open:
            self._added.set()

    def ride(self, operation: Operation[Any], future: asyncio.Future[Any]) -> None:
        """Let a move of an open row carry its mark; when it does not get through the row is open again."""
        if self._open and operation.carries:
            move = cast("Wait | Retry | Finish", operation)
            if move.id in self._open:
                self._open.discard(move.id)
                move.settled = True
                future.add_done_callback(partial(self._landed, move.id))

    def _landed(self, row: UUID, done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None or not done.result():
            self.add((row,))

    async def run(self) -> None:
        """Write what rides on nothing, until cancelled."""
        while True:
            await self._added.wait()
            early = set(self._open)
            await asyncio.sleep(self._pace)
            await self._write_those(early)
            if not self._open:
                self._added.clear()

    async def drain(self) -> None:
        """Write what is open; the caller bounds the time."""
        while self._open or self._writing.locked():
            await self._write_those(set(self._open))

    async def _write_those(self, ids: set[UUID]) -> None:
        async with self._writing:
            late = ids & self._open
            if not late:
                return
            self._open -= late
            try:
                await self._write(Settle(list(late)))
            except JournalUnavailableError:
                self.add(late)
                await self._available.wait()
            except BaseException:
                self.add(late)
                raise
