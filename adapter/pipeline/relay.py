"""The outbox goes out: published in batches, marked by what the broker said, parked rather than dropped."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from adapter.broker.publisher import Message, Publisher, Sent
from adapter.faultpoints import reach
from adapter.journal.operations import Mark
from adapter.journal.writer import JournalUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from adapter.journal.journal import Journal
    from adapter.journal.records import OutboxRow

log = structlog.get_logger(__name__)

_MOST: Final = 256
#: Pauses in seconds before a parked row is tried again; the last one repeats.
_PAUSES: Final = (1, 2, 5, 15, 30, 60, 300, 900)


class Relay:
    """Publishes outbox rows of this worker and those claimed from workers that are gone."""

    def __init__(self, journal: Journal, publisher: Publisher) -> None:
        """Rows come by :meth:`offer` right after their commit, or by recovery."""
        self._journal = journal
        self._publisher = publisher
        self._rows: dict[UUID, OutboxRow] = {}
        self._publishing: dict[UUID, OutboxRow] = {}
        self._signal = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.parked = 0

    def offer(self, rows: Iterable[OutboxRow]) -> None:
        """Queue committed rows; one that is already on its way is not queued again."""
        for row in rows:
            if row.id not in self._publishing:
                self._rows[row.id] = row
        if self._rows:
            self._idle.clear()
            self._signal.set()

    @property
    def held(self) -> list[UUID]:
        """Ids of the rows in memory, which recovery need not claim."""
        return [*self._rows, *self._publishing]

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._signal.wait()
            await self._publisher.ready.wait()
            batch = self._next()
            self._publishing = {row.id: row for row in batch}
            for row in batch:
                del self._rows[row.id]
            if not self._rows:
                self._signal.clear()
            try:
                await self._publish(batch)
            finally:
                self._publishing = {}
                if not self._rows:
                    self._idle.set()

    def _next(self) -> list[OutboxRow]:
        """Take one row of each message_id: a returned message is known by it, and the repeats of a command share it."""
        batch: dict[str, OutboxRow] = {}
        for row in islice(self._rows.values(), _MOST):
            batch.setdefault(row.message_id, row)
        return list(batch.values())

    async def drain(self) -> None:
        """Wait until nothing is left in memory; the caller bounds the time."""
        await self._idle.wait()

    async def _publish(self, batch: Sequence[OutboxRow]) -> None:
        results = await self._publisher.publish(
            [Message(row.message_id, row.target, row.routing_key, row.body, row.properties) for row in batch]
        )
        reach("publish")
        marks = [_mark(row, result) for row, result in zip(batch, results, strict=True)]
        self.parked += sum(mark.state == "parked" for mark in marks)
        reach("mark")
        # The rows are out: only a crash before the mark sends one again, byte for byte.
        outcomes = await asyncio.gather(*map(self._journal.submit, marks), return_exceptions=True)
        for mark, outcome in zip(marks, outcomes, strict=True):
            if isinstance(outcome, JournalUnavailableError):
                await self._journal.write_surely(mark)
            elif isinstance(outcome, BaseException):
                raise outcome


def _mark(row: OutboxRow, result: Sent) -> Mark:
    if result is Sent.CONFIRMED:
        return Mark(row, "sent")
    delay = _PAUSES[min(row.attempts, len(_PAUSES) - 1)]
    if result is Sent.UNKNOWN:
        return Mark(row, "pending", reason=result.value, delay=float(delay))
    log.warning("message parked", kind=row.kind, reason=result.value, retry_in=delay, exchange_id=str(row.exchange_id))
    return Mark(row, "parked", reason=result.value, delay=float(delay))
