"""Running exchanges: one task each, bounded in number, every task owned."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from adapter.log import bind_exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from uuid import UUID

    from adapter.exchange import Answer
    from adapter.journal.records import Exchange
    from adapter.pipeline.runner import Runner

    Work = Callable[[], Coroutine[Any, Any, None]]

log = structlog.get_logger(__name__)


class Dispatcher:
    """Starts exchanges and knows which ones are running."""

    def __init__(self, runner: Runner, *, most: int) -> None:
        """``most`` bounds the running exchanges; past it the intake stops and the backlog stays in the broker."""
        self._runner = runner
        self._most = most
        self._running: dict[UUID, asyncio.Task[Any]] = {}
        self._next: dict[UUID, tuple[Exchange, Work]] = {}
        self._room = asyncio.Event()
        self._room.set()

    @property
    def running(self) -> list[UUID]:
        """Ids of the exchanges that run here now."""
        return list(self._running)

    async def has_room(self) -> None:
        """Wait until another batch may come in."""
        await self._room.wait()

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
        if len(self._running) >= self._most:
            self._room.clear()
        task.add_done_callback(lambda _: self._ended(exchange.id))
        return task

    async def _run(self, exchange: Exchange, work: Work) -> None:
        names = bind_exchange(
            action=exchange.action,
            command_id=exchange.message_id,
            exchange_id=str(exchange.id),
            message_id=exchange.gateway_id,
        )
        with names:
            await work()

    def _ended(self, exchange_id: UUID) -> None:
        task = self._running.pop(exchange_id)
        if len(self._running) < self._most:
            self._room.set()
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
