"""Our delivery points as the gateway sees them: too many failed calls within its interval and it delivers no more.

Every fault and every late answer is one. That it comes near is an alarm before it happens; where it seems to have
happened, what waits at the gateway is fetched until it delivers again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog

from adapter.gateways.shep.sharing import AwayError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adapter.gateways.shep.sharing import Shared

log = structlog.get_logger(__name__)

#: Seconds after which a worker looks again what others have found to be switched off.
_AGAIN: Final = 5.0


@dataclass(frozen=True, slots=True)
class Watched:
    """A delivery point of ours: switched off after ``max_errors`` within ``interval`` seconds.

    ``services`` are delivered there.
    """

    point: int
    max_errors: int
    interval: float
    services: frozenset[str]


class Points:
    """Counts failed calls over all workers; of this one alone while the database is away."""

    def __init__(self, watched: Sequence[Watched], shared: Shared, count: Callable[[str], None]) -> None:
        """``count`` hears of every failed call, and of every alarm."""
        self._watched = watched
        self._shared = shared
        self._count = count
        self._errors: dict[int, deque[float]] = {one.point: deque() for one in watched}
        #: Services that are fetched, as far as this worker knows, and when it looked last.
        self._woken: set[str] = set()
        self._looked = -_AGAIN

    async def failed(self, service_id: str) -> None:
        """Note a call that was not answered well; without a known service it is one on every point."""
        self._count("shep-point-errors")
        for one in self._watched:
            if not service_id or service_id in one.services:
                await self._judge(one, await self._errors_of(one))

    async def delivered(self, service_id: str) -> None:
        """Note that the gateway delivers: nothing of this point has to be fetched."""
        services = [name for one in self._watched if service_id in one.services for name in one.services]
        try:
            if monotonic() - self._looked >= _AGAIN:
                self._woken = {row["service_id"] for row in await self._shared.fetch("pull_woken")}
                self._looked = monotonic()
            if self._woken.isdisjoint(services):
                return
            await self._shared.fetch("pull_rest", services)
        except AwayError:
            return
        self._woken.difference_update(services)
        log.info("shep.point-delivers-again")

    async def _judge(self, one: Watched, errors: int) -> None:
        if errors * 2 > one.max_errors:
            log.error("shep.point-in-danger", count=errors)
            self._count("shep-point-alarm")
        if errors >= one.max_errors and not one.services <= self._woken:
            log.error("shep.point-seems-off", count=errors)
            self._count("shep-point-off")
            try:
                await self._shared.fetch("pull_wake", sorted(one.services))
            except AwayError:
                return  # the next failed call tries again
            self._woken |= one.services

    async def _errors_of(self, one: Watched) -> int:
        now, own = monotonic(), self._errors[one.point]
        own.append(now)
        while own and now - own[0] > one.interval:
            own.popleft()
        try:
            rows = await self._shared.fetch("take_error", one.point, one.interval)
        except AwayError:
            return len(own)
        return max(len(own), int(rows[0]["count"]))
