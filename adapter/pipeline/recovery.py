"""What time does: retries whose turn has come, passed deadlines, rows of dead workers, replies still unpublished."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import cycle
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import structlog

from adapter.journal.writer import JournalUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from adapter.exchange import State
    from adapter.journal.journal import Journal
    from adapter.journal.records import Exchange
    from adapter.pipeline.bulkhead import Bulkhead
    from adapter.pipeline.dispatch import Dispatcher
    from adapter.pipeline.relay import Relay

log = structlog.get_logger(__name__)

_MOST: Final = 200
_SWEEP: Final = 3600.0
#: One look in so many is for rows that nobody runs: it sends along the ids of all that runs.
_SELDOM: Final = 4
#: Rows of one gateway that run at once of those that were handed back.
_BACK_AT_ONCE: Final = 20
#: Seconds that a rescue waits for what runs beside it, that it runs alone, and that rescues in a row hold up the rest.
_PATIENCE: Final = 1.0
_ALONE: Final = 2.0
_IN_A_ROW: Final = 0.5


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
        bulkheads: Mapping[str, Bulkhead] | None = None,
        max_body: int = 2**20,
        pace: float = 0.5,
        dedupe_days: int = 30,
    ) -> None:
        """``returned`` is the dead-letter queue, ``pace`` the pause between two looks, in seconds.

        ``bulkheads`` maps an action to its gateway's; actions without one share their bounds. ``max_body`` is the most
        that a command may have, in bytes.
        """
        self._journal = journal
        self._dispatcher = dispatcher
        self._relay = relay
        self._actions = actions
        self._returned = returned
        self._pace = pace
        self._dedupe_days = dedupe_days
        self._bulkheads = bulkheads or {}
        self._max_body = max_body
        self._retrying: dict[Bulkhead | None, set[asyncio.Task[Any]]] = defaultdict(set)
        self._rescued: dict[Bulkhead | None, set[asyncio.Task[Any]]] = defaultdict(set)
        self._lingering: dict[Bulkhead | None, asyncio.Task[Any]] = {}
        self._suspects: set[tuple[UUID, State, int]] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        swept, seldom = -_SWEEP, cycle(range(_SELDOM))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._rescue())
            while True:
                try:
                    await self._look()
                    if next(seldom) == 0:
                        await self._take_up_lost()
                    if monotonic() - swept >= _SWEEP:
                        swept = monotonic()
                        await self._journal.sweep(self._dedupe_days)
                except JournalUnavailableError:
                    await self._journal.available.wait()
                await asyncio.sleep(self._pace)

    async def _look(self) -> None:
        await self._retry()
        for exchange in await self._journal.claim_expired(self._actions, self._most):
            self._dispatcher.start(exchange)
        for repeat in await self._journal.ready_repeats(self._most):
            self._dispatcher.start_repeat(repeat)
        room, room_bytes = min(_MOST, self._relay.room), self._relay.room_bytes
        if room and room_bytes > 0:
            self._relay.offer(await self._journal.claim_outbox(self._relay.held, room, room_bytes))

    @property
    def _most(self) -> int:
        """Rows that one look may bring: large commands a few at a time."""
        return min(_MOST, self._dispatcher.room(self._max_body))

    async def _retry(self) -> None:
        """Start what is due, with a bound on what runs: the rest of a gateway's outage waits in the journal."""
        due: dict[Bulkhead | None, list[str]] = defaultdict(list)
        for action in self._actions:
            due[self._bulkheads.get(action)].append(action)
        for bulkhead, actions in due.items():
            tasks = self._retrying[bulkhead] = {task for task in self._retrying[bulkhead] if not task.done()}
            room = max(0, self._most - len(tasks))
            if bulkhead is not None:
                room = bulkhead.retries(room)
            if room:
                for exchange in await self._journal.claim_retries(actions, room):
                    tasks.add(self._dispatcher.start(exchange))

    async def _take_up_lost(self) -> None:
        """Start rows that nobody runs: those that two looks in a row found in the same state.

        One look is not enough: between the list of what runs and the answer a row may be committed, started and moved.
        """
        found = await self._journal.claim_lost(self._dispatcher.running, self._most)
        running = set(self._dispatcher.running)
        lost = {(row.id, row.state, row.attempts): row for row in found if row.id not in running}
        for name in lost.keys() & self._suspects:
            self._dispatcher.start(lost.pop(name))
        self._suspects = set(lost)

    async def _rescue(self) -> None:
        """Take up the rows of workers that are gone, until cancelled."""
        while True:
            try:
                rescued = await self._rescue_next()
            except JournalUnavailableError:
                await self._journal.available.wait()
                rescued = False
            if not rescued:
                await asyncio.sleep(self._pace)

    async def _rescue_next(self) -> bool:
        """Take up some rows; false when there was none.

        A row whose worker died is a suspect: it runs alone, so that only the guilty burn crash attempts. Rows that a
        worker handed back at its end are none and run beside everything else.
        """
        actions = self._rescuable()
        suspect = await self._journal.next_orphan(actions, self._returned)
        if suspect is None:
            return False
        if suspect:
            await self._rescue_suspects(actions)
            return True
        exchange = await self._journal.claim_orphan(actions, self._returned, blame=False)
        if exchange is not None:
            self._note_rescue(exchange)
            self._rescued[self._bulkheads.get(exchange.action)].add(self._dispatcher.start(exchange))
        return True

    def _rescuable(self) -> list[str]:
        """Return the actions whose gateway does not hold up an earlier rescue: a slow one is waited for by its own."""
        self._lingering = {bulkhead: task for bulkhead, task in self._lingering.items() if not task.done()}
        for tasks in self._rescued.values():
            tasks -= {task for task in tasks if task.done()}
        full = {bulkhead for bulkhead, tasks in self._rescued.items() if len(tasks) >= _BACK_AT_ONCE}
        full |= self._lingering.keys()
        return [action for action in self._actions if self._bulkheads.get(action) not in full]

    async def _rescue_suspects(self, actions: Sequence[str]) -> None:
        """Run suspects one at a time while everything else is held back, for a bounded time."""
        async with self._dispatcher.alone(_PATIENCE) as alone:
            until = monotonic() + _IN_A_ROW
            while monotonic() < until:
                exchange = await self._journal.claim_orphan(actions, self._returned, blame=alone)
                if exchange is None:
                    return
                self._note_rescue(exchange)
                task = self._dispatcher.run_alone(exchange)
                _, running = await asyncio.wait([task], timeout=_ALONE if alone else 0)
                if running:
                    self._lingering[self._bulkheads.get(exchange.action)] = task
                    if alone:
                        await self._absolve(exchange)
                    return

    async def _absolve(self, exchange: Exchange) -> None:
        """Take back the crash attempt of a row that goes on in company; until that is durable it stays alone."""
        while True:
            try:
                await self._journal.absolve(exchange.id)
            except JournalUnavailableError:
                await self._journal.available.wait()
            else:
                return

    @staticmethod
    def _note_rescue(exchange: Exchange) -> None:
        log.info("exchange rescued", exchange_id=str(exchange.id), state=exchange.state)
