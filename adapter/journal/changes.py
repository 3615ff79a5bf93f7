"""Transactions in which a register of ours changes together with the journal: all of it is committed, or nothing.

They run on connections of their own: a register's rows may have to be waited for, and the writers never wait.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg
import structlog

from adapter.errors import AdapterError
from adapter.journal.commit import commit
from adapter.journal.writer import MAYBE_THE_ROW, JournalUnavailableError, RowRefusedError, refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from adapter.journal.operations import Operation

    Work = Callable[[asyncpg.Connection], Awaitable[tuple["Result", Sequence[Operation[Any]]]]]

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

#: Transactions at once of one worker.
_MOST: Final = 4
_TRIES: Final = 4
#: Seconds for one of them, its place among the others not counted.
_TIMEOUT: Final = 15.0


class Moved(Exception):  # noqa: N818 — no fault: somebody else went on with the row
    """The row that the change belongs to has moved on: the change was undone."""


class Changes:
    """Runs work on a connection, then the journal's operations, in one transaction."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], owner: UUID) -> None:
        """``owner`` is the worker that publishes what is written beside the changes."""
        self._connect = connect
        self._owner = owner
        self._places = asyncio.Semaphore(_MOST)
        self._idle: list[asyncpg.Connection] = []

    async def run(self, work: Work[Result]) -> tuple[Result, list[Any]]:
        """Return what ``work`` returned and the results of its operations, committed.

        Raises JournalUnavailableError (whether it was committed is unknown), RowRefusedError, Moved when an operation
        does not apply, and any AdapterError of ``work``: but for the first, nothing has changed.
        """
        async with self._places:
            for _ in range(_TRIES - 1):
                try:
                    return await self._once(work)
                except asyncpg.TransactionRollbackError as error:
                    log.info("a change is made again", error=type(error).__name__)
            try:
                return await self._once(work)
            except asyncpg.TransactionRollbackError as error:
                raise JournalUnavailableError(type(error).__name__) from None

    async def _once(self, work: Work[Result]) -> tuple[Result, list[Any]]:
        connection: asyncpg.Connection | None = None
        try:
            async with asyncio.timeout(_TIMEOUT):
                connection = await self._take()
                async with connection.transaction():
                    result, operations = await work(connection)
                    results = await self._journal(connection, operations)
        except (AdapterError, Moved, asyncpg.TransactionRollbackError):
            self._give_back(connection)
            raise
        except MAYBE_THE_ROW as error:
            self._drop(connection)
            state = refusal(error)
            if state is None:
                raise JournalUnavailableError(type(error).__name__) from None
            raise RowRefusedError(state) from None
        except BaseException:
            self._drop(connection)
            raise
        self._give_back(connection)
        return result, results

    async def _journal(self, connection: asyncpg.Connection, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Return the operations' results. Raises Moved unless all of them apply."""
        results = await commit(connection, self._owner, operations) if operations else []
        if not all(results):
            raise Moved
        return results

    async def _take(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await self._connect()

    def _give_back(self, connection: asyncpg.Connection | None) -> None:
        if connection is not None:
            self._idle.append(connection)

    @staticmethod
    def _drop(connection: asyncpg.Connection | None) -> None:
        if connection is not None:
            connection.terminate()

    async def aclose(self) -> None:
        """Let go of the connections."""
        while self._idle:
            self._idle.pop().terminate()
