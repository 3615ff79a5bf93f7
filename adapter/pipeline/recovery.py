"""What time does: retries whose turn has come, passed deadlines, rows of dead workers, replies still unpublished."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import structlog

from adapter.journal.writer import JournalUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from adapter.exchange import State
    from adapter.journal.journal import Journal
    from adapter.pipeline.dispatch import Dispatcher
    from adapter.pipeline.relay import Relay

log = structlog.get_logger(__name__)

_MOST: Final = 200
_SWEEP: Final = 3600.0


class Recovery:
    """Looks into the journal at a steady pace and hands due work to the dispatcher and the relay."""

    def __init__(  # noqa: PLR0913 — the composition root hands every room over
        self,
        journal: Journal,
        dispatcher: Dispatcher,
        relay: Relay,
        actions: Sequence[str],
        *,
        returned: str,
        pace: float = 0.5,
        dedupe_days: int = 30,
    ) -> None:
        """``returned`` is the dead-letter queue, ``pace`` the pause between two looks, in seconds."""
        self._journal = journal
        self._dispatcher = dispatcher
        self._relay = relay
        self._actions = actions
        self._returned = returned
        self._pace = pace
        self._dedupe_days = dedupe_days
        self._retrying: set[asyncio.Task[Any]] = set()
        self._suspects: set[tuple[UUID, State, int]] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        swept = -_SWEEP
        async with asyncio.TaskGroup() as group:
            group.create_task(self._rescue())
            while True:
                try:
                    await self._look()
                    if monotonic() - swept >= _SWEEP:
                        swept = monotonic()
                        await self._journal.sweep(self._dedupe_days)
                except JournalUnavailableError:
                    await self._journal.available.wait()
                await asyncio.sleep(self._pace)

    async def _look(self) -> None:
        await self._retry()
        for exchange in await self._journal.claim_expired(self._actions, _MOST):
            self._dispatcher.start(exchange)
        await self._take_up_lost()
        for repeat in await self._journal.ready_repeats(_MOST):
            self._dispatcher.start_repeat(repeat)
        self._relay.offer(await self._journal.claim_outbox(self._relay.held, _MOST))

    async def _retry(self) -> None:
        """Start what is due, with a bound on what runs: the rest of a gateway's outage waits in the journal."""
        self._retrying = {task for task in self._retrying if not task.done()}
        room = _MOST - len(self._retrying)
        if room:
            for exchange in await self._journal.claim_retries(self._actions, room):
                self._retrying.add(self._dispatcher.start(exchange))

    async def _take_up_lost(self) -> None:
        """Start rows that nobody runs: those that two looks in a row found in the same state.

        One look is not enough: between the list of what runs and the answer a row may be committed, started and moved.
        """
        found = await self._journal.claim_lost(self._dispatcher.running, _MOST)
        running = set(self._dispatcher.running)
        lost = {(row.id, row.state, row.attempts): row for row in found if row.id not in running}
        for name in lost.keys() & self._suspects:
            self._dispatcher.start(lost.pop(name))
        self._suspects = set(lost)

    async def _rescue(self) -> None:
        """Run rows of dead workers, one at a time: only a row that runs alone can be blamed for a crash."""
        while True:
            try:
                exchange = await self._journal.claim_orphan(self._actions, self._returned)
            except JournalUnavailableError:
                await self._journal.available.wait()
                exchange = None
            if exchange is None:
                await asyncio.sleep(self._pace)
                continue
            log.info("exchange rescued", exchange_id=str(exchange.id), state=exchange.state)
            await asyncio.wait([self._dispatcher.start(exchange)])
