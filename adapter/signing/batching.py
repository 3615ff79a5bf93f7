"""Batching: what gathers while an earlier request runs, or has just begun, goes out together as the next one.

An idle line sends at once (a fixed wait was measured to double latency); a busy one begins no request within a few
milliseconds of the one before, so its requests are fuller: each costs both ends more than the items in it. A second
request at once is for a service that is slow, or for more items than one request holds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Seconds between the beginnings of two requests, unless the second is full. Far below what a gateway takes.
_APART: Final = 0.01
#: Seconds an item waits before a further request is opened beside the one that is slow.
_SLOW: Final = 0.1


class ClosedError(Exception):
    """The line was closed before the item was answered."""


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    size: int
    since: float
    result: asyncio.Future[Result]


class Line(Generic[Item, Result]):
    """One line of items to one kind of request.

    ``send`` gets the items of one request and returns one result, or one exception, per item in the same order;
    what it raises is raised to every caller of that request. At most ``width`` requests run at once, each of at most
    ``max_items`` items and ``max_bytes`` (a larger item goes alone). An item that could not leave within ``patience``
    seconds gets TimeoutError; how long a request lasts is the sender's matter.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        max_items: int,
        max_bytes: int,
        width: int = 2,
        patience: float = 60,
    ) -> None:
        """Nothing runs until the first item."""
        self._send = send
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._width = width
        self._patience = patience
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._waiting_bytes = 0
        self._running: set[asyncio.Task[None]] = set()
        self._began = float("-inf")
        self._next_one: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._closed = False

    async def submit(self, item: Item, size: int) -> Result:
        """Return the result of ``item`` (``size`` bytes). Raises what ``send`` gave for it, TimeoutError, ClosedError.

        A cancelled caller leaves the line; its item is not sent if it was still waiting.
        """
        if self._closed:
            raise ClosedError
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Item, Result] = _Waiting(item, size, loop.time(), loop.create_future())
        self._waiting.append(waiting)
        self._waiting_bytes += size
        if self._is_full():
            self._open()
        elif not self._running and self._next_one is None:
            self._open_after(loop, self._began + _APART - waiting.since)
        if self._look is None and self._running:
            self._look = loop.call_later(min(_SLOW, self._patience), self._look_after)
        return await waiting.result

    async def close(self) -> None:
        """Stop: running requests are cancelled and every caller still waiting gets ClosedError."""
        self._closed = True
        for timer in (self._look, self._next_one):
            if timer is not None:
                timer.cancel()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        while self._waiting:
            _fail(self._next(), ClosedError())

    def _is_full(self) -> bool:
        """Tell whether what waits would fill a request by itself."""
        return len(self._waiting) >= self._max_items or self._waiting_bytes >= self._max_bytes

    def _open_after(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Start a request when the one before has begun long enough ago."""
        if seconds <= 0:
            self._open()
        else:
            self._next_one = loop.call_later(seconds, self._open)

    def _open(self) -> None:
        """Start another request if the width allows it."""
        if self._next_one is not None:
            self._next_one.cancel()
            self._next_one = None
        if self._waiting and not self._closed and len(self._running) < self._width:
            task = asyncio.create_task(self._run())
            self._running.add(task)

    def _look_after(self) -> None:
        """Give up what has waited too long, and help what has waited long."""
        loop = asyncio.get_running_loop()
        self._look = None
        while self._waiting and loop.time() - self._waiting[0].since >= self._patience:
            _fail(self._next(), TimeoutError())
        if self._waiting:
            if loop.time() - self._waiting[0].since >= _SLOW:
                self._open()
            self._look = loop.call_later(min(_SLOW, self._patience), self._look_after)

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  — a coroutine that runs has a task; this tells the type checker
        try:
            await self._request()
        finally:
            # Here and not in a callback: for that moment an item would wait for a task that has ended.
            self._running.discard(task)
        if self._waiting and self._next_one is None:
            loop = asyncio.get_running_loop()
            self._open_after(loop, 0 if self._is_full() else self._began + _APART - loop.time())

    async def _request(self) -> None:
        """Make one request of what waits."""
        if batch := self._take():
            self._began = asyncio.get_running_loop().time()
            try:
                results = await self._send([waiting.item for waiting in batch])
                if len(results) != len(batch):
                    raise RuntimeError(f"{len(results)} results for {len(batch)} items")  # noqa: TRY301  — same fate
            except asyncio.CancelledError:
                for waiting in batch:
                    _fail(waiting, ClosedError())
                raise
            except Exception as error:  # noqa: BLE001  — handed to every caller of this request, nothing is swallowed
                for waiting in batch:
                    _fail(waiting, error)
                return
            for waiting, result in zip(batch, results, strict=True):
                if isinstance(result, Exception):
                    _fail(waiting, result)
                elif not waiting.result.done():
                    waiting.result.set_result(result)

    def _take(self) -> list[_Waiting[Item, Result]]:
        batch: list[_Waiting[Item, Result]] = []
        size = 0
        while self._waiting and len(batch) < self._max_items:
            following = self._waiting[0]
            if following.result.done():  # its caller was cancelled
                self._next()
                continue
            if batch and size + following.size > self._max_bytes:
                break
            batch.append(self._next())
            size += following.size
        return batch

    def _next(self) -> _Waiting[Item, Result]:
        waiting = self._waiting.popleft()
        self._waiting_bytes -= waiting.size
        return waiting


def _fail(waiting: _Waiting[Item, Result], error: Exception) -> None:
    if not waiting.result.done():
        waiting.result.set_exception(error)
