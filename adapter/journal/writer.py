"""The one group-committing writer: whatever gathered while the last commit ran goes into the next one."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg
import structlog

from adapter.journal.commit import commit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from uuid import UUID

    from adapter.journal.operations import Operation

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

_MOST: Final = 512
#: Bytes of one transaction: a crowd of large bodies must not become one message that neither side can hold.
_HEAVY: Final = 16 * 2**20
#: Turns of the loop before a batch of fewer than ``_FEW`` is cut: what one moment brings (an acceptance, the answer
#: behind it) is one commit. In a crowd a turn is long and there is enough to commit.
_TURNS: Final = 3
_FEW: Final = 4
#: Seconds that operations which hurry nobody wait for others to go with.
_PATIENCE: Final = 0.02
_TRIES: Final = 4
_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
#: What a database that went away raises; asyncpg reports a connection lost between two steps as its own internal error.
DATABASE_ERRORS: Final[tuple[type[Exception], ...]] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
#: What may also be the fault of one row.
MAYBE_THE_ROW: Final[tuple[type[Exception], ...]] = (*DATABASE_ERRORS, UnicodeError, ValueError, OverflowError)


class JournalUnavailableError(Exception):
    """Postgres could not take the write; whether it did is unknown. Give the row up: recovery reads it again."""


class RowRefusedError(Exception):
    """Postgres refuses this very row for good; carries the SQLSTATE, never the values."""

    def __init__(self, sqlstate: str) -> None:
        """Keep the SQLSTATE, ``22021`` for what could not even be encoded."""
        super().__init__(f"SQLSTATE {sqlstate}")
        self.sqlstate = sqlstate


class Availability(asyncio.Event):
    """Set while every writer of the journal has a connection."""

    def __init__(self, writers: int) -> None:
        """``writers`` have to be there."""
        super().__init__()
        self._writers = writers
        self._there: set[Writer] = set()

    def add(self, writer: Writer) -> None:
        """Note that a writer takes writes."""
        self._there.add(writer)
        if len(self._there) == self._writers:
            self.set()

    def remove(self, writer: Writer) -> None:
        """Note that a writer takes none."""
        self._there.discard(writer)
        self.clear()


class Writer:
    """Takes operations, commits them in groups on one connection, answers each."""

    def __init__(
        self, connect: Callable[[], Awaitable[asyncpg.Connection]], owner: UUID, availability: Availability
    ) -> None:
        """``connect`` opens a connection for ``owner``; ``availability`` hears when writes are taken.

        The connection bounds the time of each statement.
        """
        self._connect = connect
        self._owner = owner
        self._availability = availability
        self._waiting: list[tuple[Operation[Any], asyncio.Future[Any]]] = []
        self._signal = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._failures = 0
        #: Commits made and operations in them, since the start.
        self.batches = 0
        self.operations = 0

    def write(self, operation: Operation[Result]) -> asyncio.Future[Result]:
        """Queue an operation for the next commit; the future ends with its result once that is committed.

        One that does not hurry waits a moment for others to go with. The future raises JournalUnavailableError when the
        database went away, RowRefusedError when it refuses this row alone.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((operation, future))
        if operation.hurries:
            self._signal.set()
        elif self._later is None:
            self._later = loop.call_later(_PATIENCE, self._signal.set)
        return future

    async def run(self) -> None:
        """Commit until cancelled; reconnects with growing pauses until Postgres takes a write again."""
        try:
            while True:
                try:
                    connection = await self._connect()
                except DATABASE_ERRORS as error:
                    self._fail_waiting()
                    await self._pause(error)
                    continue
                # A connection that dies while nothing is written is replaced before the next write.
                connection.add_termination_listener(lambda _: self._signal.set())
                self._availability.add(self)
                try:
                    await self._serve(connection)
                except DATABASE_ERRORS as error:
                    self._availability.remove(self)
                    await self._pause(error)
                finally:
                    self._availability.remove(self)
                    connection.terminate()
        finally:
            self._fail_waiting()

    async def _pause(self, error: Exception) -> None:
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        log.warning("journal is away", error=type(error).__name__, retry_in=pause)
        await asyncio.sleep(pause)

    async def _serve(self, connection: asyncpg.Connection) -> None:
        """Commit batches until the connection ends; raises what a failed commit raised."""
        while True:
            await self._signal.wait()
            if connection.is_closed():
                return
            if not self._waiting:
                self._rest()
                continue
            for _ in range(_TURNS if len(self._waiting) < _FEW else 0):
                await asyncio.sleep(0)
            batch = self._cut()
            try:
                await self._commit(connection, batch)
            except BaseException:
                _fail(batch)
                raise
            self._failures = 0
            self.batches += 1
            self.operations += len(batch)
            del batch  # its bodies are not held until the next one comes

    def _cut(self) -> list[tuple[Operation[Any], asyncio.Future[Any]]]:
        """Take the next batch, bounded in number and in bytes; the first one always goes."""
        count, size, single = 0, 0, False
        for operation, _ in islice(self._waiting, _MOST):
            size += operation.weight
            if (count and size > _HEAVY) or (single and operation.single):
                break
            single = single or operation.single
            count += 1
        batch = self._waiting[:count]
        del self._waiting[:count]
        if not self._waiting:
            self._rest()
        return batch

    def _rest(self) -> None:
        """Nothing waits any more, not even what hurries nobody."""
        self._signal.clear()
        if self._later is not None:
            self._later.cancel()
            self._later = None

    async def _commit(
        self, connection: asyncpg.Connection, batch: Sequence[tuple[Operation[Any], asyncio.Future[Any]]]
    ) -> None:
        try:
            results = await self._apply_surely(connection, [operation for operation, _ in batch])
        except MAYBE_THE_ROW as error:
            state = refusal(error)
            if state is None:
                raise
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._commit(connection, batch[:middle])
                await self._commit(connection, batch[middle:])
                return
            log.error(  # noqa: TRY400 — the exception's text holds the row's values
                "journal refuses a row", operation=type(batch[0][0]).__name__, sqlstate=state
            )
            if not batch[0][1].done():
                batch[0][1].set_exception(RowRefusedError(state))
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def _apply_surely(self, connection: asyncpg.Connection, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Apply all; a transaction that another worker's stood in the way of (SQLSTATE class 40) is made again."""
        for _ in range(_TRIES - 1):
            try:
                return await commit(connection, self._owner, operations)
            except asyncpg.TransactionRollbackError as error:
                log.info("journal makes a transaction again", error=type(error).__name__)
        return await commit(connection, self._owner, operations)

    def _fail_waiting(self) -> None:
        batch, self._waiting = self._waiting, []
        self._rest()
        _fail(batch)


def refusal(error: Exception) -> str | None:
    """Return the SQLSTATE when the data is at fault (classes 22 and 23, or an encode error), else ``None``."""
    if isinstance(error, asyncpg.PostgresError):
        state = str(getattr(error, "sqlstate", "") or "")
        return state if state[:2] in ("22", "23") else None
    if isinstance(error, UnicodeError | ValueError | OverflowError):
        return "22021"
    return None


def let_go(written: Iterable[asyncio.Future[Any]]) -> None:
    """Stop waiting for writes, which go on: what became of them is nobody's business any more."""
    for future in written:
        if not future.cancel() and not future.cancelled():
            future.exception()


def _fail(batch: Sequence[tuple[Operation[Any], asyncio.Future[Any]]]) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(JournalUnavailableError())
