"""The journal's front: two writers, a small pool for reading and claiming, and the worker's lease."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID, uuid4

import asyncpg
import structlog

from adapter.journal.operations import Lease
from adapter.journal.records import Exchange, OutboxRow, read_exchange, read_outbox
from adapter.journal.settlements import Settlements
from adapter.journal.statements import sql
from adapter.journal.writer import DATABASE_ERRORS, Availability, JournalUnavailableError, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapter.journal.operations import Operation

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

_COMMAND_TIMEOUT: Final = 15.0
#: Seconds that a frozen database may hold up the end of the process.
_FAREWELL: Final = 5.0
_DAYS_AHEAD: Final = 3
#: Identities that one statement forgets: few enough for the reads that wait behind it.
_SWEPT_AT_ONCE: Final = 5000


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where Postgres is: the keyword arguments of asyncpg's ``connect``."""

    arguments: Mapping[str, Any]

    async def connect(self) -> asyncpg.Connection:
        """Open one connection within the command timeout. Raises one of :data:`DATABASE_ERRORS`."""
        return await asyncpg.connect(
            **self.arguments,
            timeout=_COMMAND_TIMEOUT,
            command_timeout=_COMMAND_TIMEOUT,
            server_settings={"application_name": "adapter", "timezone": "UTC"},
        )


class Journal:
    """Everything the pipeline asks of Postgres."""

    def __init__(self, address: DatabaseAddress, *, worker_name: str, lease: float = 15.0) -> None:
        """``lease`` is the time in seconds after which a silent worker counts as dead; its id is new each start."""
        self._address = address
        self.worker = uuid4()
        self._worker_name = worker_name
        self._lease = lease
        #: Set while Postgres takes writes.
        self.available = Availability(2)
        self._moves = Writer(address.connect, self.worker, self.available)
        self._edge = Writer(address.connect, self.worker, self.available)
        #: Acks that are certain and not yet journaled.
        self.settlements = Settlements(self._edge.write, self.available)
        self._reader: asyncpg.Connection | None = None
        self._reading = asyncio.Lock()

    def write(self, operation: Operation[Result]) -> asyncio.Future[Result]:
        """Commit one operation; see :meth:`adapter.journal.writer.Writer.write`."""
        future = (self._edge if operation.edge else self._moves).write(operation)
        self.settlements.ride(operation, future)
        return future

    @property
    def batches(self) -> Mapping[str, tuple[int, int]]:
        """Commits made and operations in them, by writer: those of the queues' edge, and moves of exchanges."""
        writers = {"edge": self._edge, "moves": self._moves}
        return {name: (writer.batches, writer.operations) for name, writer in writers.items()}

    async def write_surely(self, operation: Operation[Result]) -> Result:
        """Commit one operation however long Postgres is away: for what is true already and known to nobody else.

        What did get committed with its answer lost is asked for again and then does not apply a second time.
        """
        while True:
            try:
                return await self.write(operation)
            except JournalUnavailableError:
                await self.available.wait()

    async def run(self) -> None:
        """Keep the writer and the lease alive until cancelled; gives the lease back at the end."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._moves.run())
                group.create_task(self._edge.run())
                group.create_task(self.settlements.run())
                group.create_task(self._keep_lease())
        finally:
            await self._give_up()

    async def _keep_lease(self) -> None:
        while True:
            try:
                await self.write(Lease(self.worker, self._worker_name, self._lease))
            except JournalUnavailableError:
                await self.available.wait()
            else:
                await asyncio.sleep(self._lease / 3)

    async def take_lease(self) -> None:
        """Take the lease before the first row is owned, with a partition for it. Raises JournalUnavailableError."""
        await self._fetch("ensure_partitions", _DAYS_AHEAD)
        await self._fetch("lease", self.worker, self._worker_name, timedelta(seconds=self._lease))

    async def _give_up(self) -> None:
        try:
            async with asyncio.timeout(_FAREWELL):
                await self._fetch("release_lease", self.worker)
        except (JournalUnavailableError, TimeoutError):
            log.warning("lease not released; it lapses by itself", lease_seconds=self._lease)
        finally:
            if self._reader is not None:
                self._reader.terminate()

    async def fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run one statement of ``queries/`` for a reader of its own subject. Raises JournalUnavailableError."""
        return await self._fetch(name, *arguments)

    async def _fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run one statement on the reading connection. Raises JournalUnavailableError."""
        async with self._reading:
            try:
                if self._reader is None or self._reader.is_closed():
                    self._reader = await self._address.connect()
                return list(await self._reader.fetch(sql(name), *arguments))
            except DATABASE_ERRORS as error:
                if self._reader is not None:
                    self._reader.terminate()
                    self._reader = None
                raise JournalUnavailableError(type(error).__name__) from None

    async def next_orphan(self, actions: Sequence[str], returned: str = "") -> bool | None:
        """Tell whether the row that :meth:`claim_orphan` would take is suspected of a crash, ``None`` without one."""
        rows = await self._fetch("next_orphan", list(actions), returned)
        return rows[0]["suspect"] if rows else None

    async def claim_orphan(self, actions: Sequence[str], returned: str = "", *, blame: bool = True) -> Exchange | None:
        """Take over one running row of a dead owner, or one that was handed back.

        ``returned`` is the dead-letter queue. ``blame`` counts a crash attempt for a row that will run alone.
        """
        rows = await self._fetch("claim_orphan", self.worker, list(actions), returned, blame)
        return read_exchange(rows[0]) if rows else None

    async def absolve(self, exchange_id: UUID) -> None:
        """Take back the crash attempt that :meth:`claim_orphan` counted: the row does not run alone any more."""
        await self._fetch("absolve", exchange_id, self.worker)

    async def claim_lost(self, running: Sequence[UUID], limit: int) -> list[Exchange]:
        """Return rows that are ours by owner but that nobody runs."""
        return [read_exchange(row) for row in await self._fetch("claim_lost", self.worker, list(running), limit)]

    async def claim_retries(self, actions: Sequence[str], limit: int) -> list[Exchange]:
        """Take over retrying rows whose turn has come."""
        rows = await self._fetch("claim_retries", self.worker, list(actions), limit)
        return [read_exchange(row) for row in rows]

    async def claim_expired(self, actions: Sequence[str], limit: int) -> list[Exchange]:
        """Take over waiting and retrying rows whose deadline has passed."""
        rows = await self._fetch("claim_expired", self.worker, list(actions), limit)
        return [read_exchange(row) for row in rows]

    async def ready_repeats(self, limit: int) -> list[Exchange]:
        """Return repeats whose command has ended without telling them."""
        return [read_exchange(row) for row in await self._fetch("ready_repeats", limit)]

    async def claim_outbox(self, publishing: Sequence[UUID], limit: int, most_bytes: int) -> list[OutboxRow]:
        """Take over outbox rows without a living publisher, and parked ones whose turn has come.

        Their bodies have ``most_bytes`` together, or there is only one.
        """
        rows = await self._fetch("claim_outbox", self.worker, list(publishing), limit, most_bytes)
        return [read_outbox(row) for row in rows]

    async def load(self, exchange_id: UUID) -> Exchange | None:
        """Return one exchange."""
        rows = await self._fetch("load_exchange", exchange_id)
        return read_exchange(rows[0]) if rows else None

    async def release(self, exchange_id: UUID) -> None:
        """Let go of an answered exchange: a worker that serves its action takes it up."""
        await self._fetch("release_answered", exchange_id, self.worker)

    async def about(self, gateway: str, gateway_id: str) -> Exchange | None:
        """Return the exchange whose request a gateway knows by this id."""
        rows = await self._fetch("find_by_gateway_id", gateway, gateway_id)
        return read_exchange(rows[0]) if rows else None

    async def proofs(self, exchange_id: UUID, *kinds: str) -> list[asyncpg.Record]:
        """Return the proof rows of these kinds, oldest first: at, kind, message_id, data, content, meta."""
        return await self._fetch("load_proof", exchange_id, list(kinds))

    async def request_size(self, exchange_id: UUID) -> int:
        """Return the bytes of the latest request of an exchange."""
        return int((await self._fetch("request_size", exchange_id))[0]["bytes"])

    async def sweep(self, dedupe_days: int) -> None:
        """Steady work: partitions ahead, old identities, lapsed leases."""
        await self._fetch("ensure_partitions", _DAYS_AHEAD)
        gone = _SWEPT_AT_ONCE
        while gone == _SWEPT_AT_ONCE:
            gone = (await self._fetch("dedupe_sweep", timedelta(days=dedupe_days), _SWEPT_AT_ONCE))[0]["count"]
        await self._fetch("forget_workers")
