"""How much of a queue may stand in memory undurable: many small bodies, or as many of the largest as memory holds.

The broker bounds what it hands over by number alone. A number that is safe for bodies of the largest size is small, and
small batches cost: so more are asked for while bodies are small. Where they turn out to be large, the ones that fit are
kept, the rest is left to the broker, and for a while no more are asked for than fit whatever their size.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from adapter.broker.deliveries import Keep

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds for which bodies that were too large for the number asked for are expected to come again.
CAUTION: Final = 600.0


@dataclass(frozen=True, slots=True)
class Prefetch:
    """``sure`` bodies of ``max_body`` bytes fit the memory; ``most`` are asked for while bodies are smaller."""

    sure: int
    most: int
    max_body: int

    @property
    def bytes(self) -> int:
        """Bytes that may stand in memory undurable."""
        return self.sure * self.max_body


class Allowance:
    """Counts what one consumer holds; a session of it is one channel."""

    def __init__(self, prefetch: Prefetch, clock: Callable[[], float] = monotonic) -> None:
        """Nothing is held; ``clock`` is in seconds."""
        self._prefetch = prefetch
        self._clock = clock
        self._cautious_until = clock()
        self._held = 0
        #: Deliveries that the present session asks for.
        self.asked = prefetch.sure
        #: Set when more came than may be held: what came after is not kept, and a new session has to begin.
        self.exceeded = asyncio.Event()

    def begin(self) -> int:
        """Begin a session, which holds nothing yet; return how many deliveries it asks for."""
        cautious = self._clock() < self._cautious_until
        self.asked = self._prefetch.sure if cautious else self._prefetch.most
        self._held = 0
        self.exceeded = asyncio.Event()
        return self.asked

    @property
    def review(self) -> float:
        """Seconds until a session that asks for few should give way to one that asks for many; endless for others."""
        if self.asked == self._prefetch.most:
            return float("inf")
        return max(0.0, self._cautious_until - self._clock())

    def weigh(self, properties: int, body: int) -> Keep:
        """Tell what is kept of a delivery of so many bytes: one always is, whatever else came before it."""
        if self.exceeded.is_set():
            return Keep.NOTHING
        whole = body <= self._prefetch.max_body
        size = properties + (body if whole else 0)
        if self._held and self._held + size > self._prefetch.bytes and self.asked > self._prefetch.sure:
            self._cautious_until = self._clock() + CAUTION
            self.exceeded.set()
            return Keep.NOTHING
        self._held += size
        return Keep.WHOLE if whole else Keep.DIGEST

    def release(self, size: int) -> None:
        """Let go of so many bytes: they are durable."""
        self._held -= size
