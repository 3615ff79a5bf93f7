"""Running exchanges: one task each, bounded in number for each gateway, every task owned."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import structlog

from adapter.log import bind_exchange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
    from uuid import UUID

    from adapter.exchange import Answer
    from adapter.journal.records import Exchange
    from adapter.pipeline.bulkhead import Bulkhead
    from adapter.pipeline.ports import Trace
    from adapter.pipeline.runner import Runner

    Work = Callable[[], Coroutine[Any, Any, None]]

log = structlog.get_logger(__name__)


#: Running exchanges from queues of no gateway: what the broker returned is mostly answered without a call.
_OTHERS: Final = 100
#: Seconds between two looks at who is still at work.
_LOOK: Final = 0.01


class _Room:
    """What may run at once of the queues that share one gateway: in number, and in bytes of their commands."""

    __slots__ = ("bytes", "free", "most", "most_bytes", "running")

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most, self.most_bytes = most, most_bytes
        self.running = self.bytes = 0
        self.free = asyncio.Event()
        self.free.set()

    def enter(self, size: int, count: int = 1) -> None:
        self.running += count
        self.bytes += size
        if self.running >= self.most or self.bytes >= self.most_bytes:
            self.free.clear()

    def leave(self, size: int, count: int = 1) -> None:
        self.running -= count
        self.bytes -= size
        if self.running < self.most and self.bytes < self.most_bytes:
            self.free.set()


class Dispatcher:
    """Starts exchanges and knows which ones are running."""

    def __init__(  # noqa: PLR0913  — bounds of what runs, all but the runner by name
        self,
        runner: Runner,
        *,
        most: int,
        most_bytes: int = sys.maxsize,
        queues: Mapping[str, str] | None = None,
        bulkheads: Collection[Bulkhead] = (),
        trace: Trace | None = None,
    ) -> None:
        """``most`` and ``most_bytes`` bound what runs, in equal shares for the gateways that ``queues`` names by queue.

        Past its share the intake of a gateway's queues stops: its backlog stays in the broker, others go on.
        ``bulkheads`` tell who only waits for the outside world; ``trace`` is entered around every run of a step.
        """
        self._runner = runner
        gateways = set((queues or {}).values())
        rooms = {gateway: _Room(most // len(gateways), most_bytes // len(gateways)) for gateway in gateways}
        self._rooms = {queue: rooms[gateway] for queue, gateway in (queues or {}).items()}
        self._others = _Room(_OTHERS if gateways else most, most_bytes // max(1, len(gateways)))
        self._bulkheads = bulkheads
        self._trace = trace
        self._running: dict[UUID, asyncio.Task[Any]] = {}
        self._next: dict[UUID, tuple[Exchange, Work]] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._lone: UUID | None = None
        self._held = 0

    @property
    def running(self) -> list[UUID]:
        """Ids of the exchanges that run here now."""
        return list(self._running)

    def room(self, largest: int) -> int:
        """Return how many commands of up to ``largest`` bytes may be fetched to run; one always may."""
        rooms = {*self._rooms.values(), self._others}
        return max(1, min(room.most_bytes - room.bytes for room in rooms) // largest)

    @asynccontextmanager
    async def admitting(self, queue: str, count: int, size: int) -> AsyncIterator[None]:
        """Wait until a batch of a queue may come in; inside the block, where it is made durable, its room is taken.

        A batch may pass over the bound, one at a time: whoever waited beside it looks again.
        """
        room = self._rooms.get(queue, self._others)
        while not (room.free.is_set() and self._open.is_set()):
            await room.free.wait()
            await self._open.wait()
        room.enter(size, count)
        try:
            yield
        finally:
            room.leave(size, count)

    @asynccontextmanager
    async def alone(self, patience: float) -> AsyncIterator[bool]:
        """Hold every start back for the length of a block, but :meth:`run_alone`; nothing that runs is stopped.

        Yields whether everything else has ended within ``patience`` seconds, but for those that wait for a gateway.
        Those that still wait for a signature by then do not count either.
        """
        self._open.clear()
        try:
            until = monotonic() + patience
            while self._at_work() and monotonic() < until:  # noqa: ASYNC110 — a count gives no signal
                await asyncio.sleep(_LOOK)
            yield self._at_work() <= sum(bulkhead.preparing for bulkhead in self._bulkheads)
        finally:
            self._lone = None
            self._open.set()

    def _at_work(self) -> int:
        return len(self._running) - self._held - sum(bulkhead.calling for bulkhead in self._bulkheads)

    def run_alone(self, exchange: Exchange) -> asyncio.Task[Any]:
        """Start an exchange inside the block of :meth:`alone`."""
        self._lone = exchange.id
        return self.start(exchange)

    def start(self, exchange: Exchange, answer: Answer | None = None) -> asyncio.Task[Any]:
        """Run an exchange from its state on; ``answer`` is the journaled one where it is still in memory."""
        return self._start(exchange, lambda: self._runner.run(exchange, answer))

    def start_repeat(self, exchange: Exchange) -> asyncio.Task[Any]:
        """Answer a repeat of a command, now or when the first ends."""
        return self._start(exchange, lambda: self._runner.answer_repeat(exchange))

    def _start(self, exchange: Exchange, work: Work) -> asyncio.Task[Any]:
        running = self._running.get(exchange.id)
        if running is not None:
            # An answer may overtake the end of the call that asked for it: go on when that has ended.
            self._next[exchange.id] = (exchange, work)
            return running
        task = asyncio.create_task(self._run(exchange, work))
        self._running[exchange.id] = task
        room = self._rooms.get(exchange.source, self._others)
        size = len(exchange.body or b"")
        room.enter(size)
        task.add_done_callback(lambda _: self._ended(exchange.id, room, size))
        return task

    async def _run(self, exchange: Exchange, work: Work) -> None:
        names = bind_exchange(
            action=exchange.action,
            command_id=exchange.message_id,
            exchange_id=str(exchange.id),
            message_id=exchange.gateway_id,
        )
        with names:
            if not self._open.is_set():
                await self._hold(exchange.id)
            if self._trace is None:
                await work()
                return
            with self._trace(exchange):
                await work()

    async def _hold(self, exchange_id: UUID) -> None:
        """Wait while another exchange runs alone."""
        while not self._open.is_set() and exchange_id != self._lone:
            self._held += 1
            try:
                await self._open.wait()
            finally:
                self._held -= 1

    def _ended(self, exchange_id: UUID, room: _Room, size: int) -> None:
        task = self._running.pop(exchange_id)
        room.leave(size)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("exchange task failed", error=type(error).__name__, exchange_id=str(exchange_id))
        following = self._next.pop(exchange_id, None)
        if following is not None and not task.cancelled():
            self._start(*following)

    async def drain(self) -> None:
        """Wait for what runs; the caller bounds the time and cancels the rest."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def cancel(self) -> None:
        """End what still runs: its rows stay ours in the journal and are taken up by the next worker."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
