"""Natural batching: what gathers while earlier requests run goes out together as the next one.

No timer: an idle line sends at once, a busy one sends fuller requests (a fixed wait was measured to double latency).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")


class ClosedError(Exception):
    """The line was closed before the item was answered."""


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    size: int
    result: asyncio.Future[Result]


class Line(Generic[Item, Result]):
    """One line of items to one kind of request.

    ``send`` gets the items of one request and returns one result, or one exception, per item in the same order;
    what it raises is raised to every caller of that request. At most ``width`` requests run at once, each of at most
    ``max_items`` items and ``max_bytes`` (a larger item goes alone).
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        max_items: int,
        max_bytes: int,
        width: int = 2,
    ) -> None:
        """Nothing runs until the first item."""
        self._send = send
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._width = width
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    async def submit(self, item: Item, size: int) -> Result:
        """Return the result of ``item`` (``size`` bytes). Raises what ``send`` gave for it, or ClosedError.

        A cancelled caller leaves the line; its item is not sent if it was still waiting.
        """
        if self._closed:
            raise ClosedError
        waiting: _Waiting[Item, Result] = _Waiting(item, size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if len(self._running) < self._width:
            task = asyncio.create_task(self._run(), name="signing-line")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await waiting.result

    async def close(self) -> None:
        """Stop: running requests are cancelled and every caller still waiting gets ClosedError."""
        self._closed = True
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        while self._waiting:
            _fail(self._waiting.popleft(), ClosedError())

    async def _run(self) -> None:
        while batch := self._take():
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
                continue
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
                self._waiting.popleft()
                continue
            if batch and size + following.size > self._max_bytes:
                break
            batch.append(self._waiting.popleft())
            size += following.size
        return batch


def _fail(waiting: _Waiting[Item, Result], error: Exception) -> None:
    if not waiting.result.done():
        waiting.result.set_exception(error)
