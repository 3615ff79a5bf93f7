"""The outbox goes out: published in batches, marked by what the broker said, parked rather than dropped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from adapter.broker.publisher import Message, Publisher, Sent
from adapter.faultpoints import reach
from adapter.journal.operations import Mark
from adapter.journal.writer import JournalUnavailableError, let_go

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence
    from uuid import UUID

    from adapter.journal.journal import Journal
    from adapter.journal.records import OutboxRow

log = structlog.get_logger(__name__)

_MOST: Final = 256
#: Rows under way up to which another one leaves at once, without waiting for their confirms, and its bytes: what is
#: heavy takes its turn.
_FEW: Final = 4
_LIGHT: Final = 2**16
_MOST_HELD: Final = 4096
#: Bytes of messages that wait in memory, and of those that leave at once; one message always goes.
_MOST_BYTES: Final = 32 * 2**20
_HEAVY: Final = 8 * 2**20
#: Rows are due in the journal five seconds after their commit (journal_commit); these are certainly not.
_FRESH: Final = timedelta(seconds=4)
#: Pauses in seconds before a parked row is tried again; the last one repeats.
_PAUSES: Final = (1, 2, 5, 15, 30, 60, 300, 900)


class Relay:
    """Publishes outbox rows of this worker and those claimed from workers that are gone."""

    def __init__(self, journal: Journal, publisher: Publisher) -> None:
        """Rows come by :meth:`offer` right after their commit, or by recovery."""
        self._journal = journal
        self._publisher = publisher
        self._waiting: dict[UUID, OutboxRow] = {}
        #: Being published, or published and not yet marked.
        self._leaving: dict[UUID, OutboxRow] = {}
        #: message_ids that are being published.
        self._unconfirmed: set[str] = set()
        self._group: asyncio.TaskGroup | None = None
        self._signal = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._bytes = 0
        self.parked = 0

    def offer(self, rows: Iterable[OutboxRow]) -> None:
        """Queue committed rows, or send them at once where few are under way; one on its way is not queued again.

        Past :attr:`room` they stay in the journal, from where recovery brings them when there is room.
        """
        for row in rows:
            if row.id not in self._leaving and row.id not in self._waiting and self.room and self.room_bytes > 0:
                self._waiting[row.id] = row
                self._bytes += len(row.body)
        if not self._waiting:
            return
        self._idle.clear()
        few = len(self._waiting) + len(self._unconfirmed) <= _FEW and self._bytes <= _LIGHT
        if few and self._group is not None and self._publisher.open and (batch := self._cut()):
            self._group.create_task(self._send(batch, self._publisher.begin(_messages(batch))))
        if self._waiting:
            self._signal.set()

    @property
    def held(self) -> list[UUID]:
        """Ids of the rows in memory that recovery could claim by now: fresh ones are not due in the journal yet."""
        ripe = datetime.now(UTC) - _FRESH
        return [row.id for rows in (self._waiting, self._leaving) for row in rows.values() if row.created_at < ripe]

    @property
    def room(self) -> int:
        """How many rows more may wait in memory: an outage of the broker is spent in the journal."""
        return _MOST_HELD - len(self._waiting)

    @property
    def room_bytes(self) -> int:
        """How many bytes more may wait in memory; one row may pass over it."""
        return _MOST_BYTES - self._bytes

    async def run(self) -> None:
        """Publish until cancelled. In a crowd a batch waits for the confirms of the one before, not for its marks."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                while True:
                    await self._signal.wait()
                    await self._publisher.ready.wait()
                    batch = self._cut()
                    if not batch:
                        self._signal.clear()
                        continue
                    marks = await self._published(batch, self._publisher.publish(_messages(batch)))
                    group.create_task(self._mark(marks))
            finally:
                self._group = None

    def _cut(self) -> list[OutboxRow]:
        """Take one row of each message_id: a returned message is known by it, and the repeats of a command share it."""
        batch: dict[str, OutboxRow] = {}
        size = 0
        for row in islice(self._waiting.values(), _MOST):
            size += len(row.body)
            if batch and size > _HEAVY:
                break
            if row.message_id not in self._unconfirmed:
                batch.setdefault(row.message_id, row)
        for row in batch.values():
            self._leaving[row.id] = self._waiting.pop(row.id)
            self._bytes -= len(row.body)
        self._unconfirmed |= batch.keys()
        return list(batch.values())

    async def drain(self) -> None:
        """Wait until nothing is left in memory; the caller bounds the time."""
        await self._idle.wait()

    async def _send(self, batch: Sequence[OutboxRow], outcome: Awaitable[list[Sent]]) -> None:
        await self._mark(await self._published(batch, outcome))

    async def _published(self, batch: Sequence[OutboxRow], outcome: Awaitable[list[Sent]]) -> list[Mark]:
        results = await outcome
        self._unconfirmed.difference_update(row.message_id for row in batch)
        if self._waiting:
            self._signal.set()
        reach("publish")
        marks = [_mark(row, result) for row, result in zip(batch, results, strict=True)]
        self.parked += sum(mark.state == "parked" for mark in marks)
        reach("mark")
        return marks

    async def _mark(self, marks: Sequence[Mark]) -> None:
        """Write what became of a batch. It is out: only a crash before this sends a row again, byte for byte."""
        written = [self._journal.write(mark) for mark in marks]
        try:
            for mark, future in zip(marks, written, strict=True):
                await self._surely(mark, future)
                del self._leaving[mark.row.id]
        finally:
            let_go(written)
        if not self._waiting and not self._leaving:
            self._idle.set()

    async def _surely(self, mark: Mark, written: asyncio.Future[bool]) -> None:
        try:
            await written
        except JournalUnavailableError:
            await self._journal.write_surely(mark)


def _messages(batch: Sequence[OutboxRow]) -> list[Message]:
    return [Message(row.message_id, row.target, row.routing_key, row.body, row.properties) for row in batch]


def _mark(row: OutboxRow, result: Sent) -> Mark:
    if result is Sent.CONFIRMED:
        return Mark(row, "sent")
    delay = _PAUSES[min(row.attempts, len(_PAUSES) - 1)]
    if result is Sent.UNKNOWN:
        return Mark(row, "pending", reason=result.value, delay=float(delay))
    log.warning("message parked", kind=row.kind, reason=result.value, retry_in=delay, exchange_id=str(row.exchange_id))
    return Mark(row, "parked", reason=result.value, delay=float(delay))
