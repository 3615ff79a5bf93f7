"""A bound on what goes on at once, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Places:
    """A semaphore that hands a place that is given back to whoever waits longest.

    For every place asyncio's own looks through all that it has woken and that have not run yet: where hundreds wait,
    and a commit of the journal ends hundreds of calls, that costs more than the calls.
    """

    def __init__(self, most: int) -> None:
        """``most`` are inside at once."""
        #: None while somebody waits.
        self._free = most
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        """Take a place, as soon as there is one."""
        if self._free:
            self._free -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._give_back()  # it had been handed over already
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the place to the next one."""
        self._give_back()

    def _give_back(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():  # nobody waits for it any more who was cancelled
                place.set_result(None)
                return
        self._free += 1
