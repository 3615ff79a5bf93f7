"""Throttling of delivery points: what the registry declares, our own sends are held to, over all workers.

The gateway throttles the delivery itself, and what is over waits there or is refused; a declared point says so, no
other one is held to anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.gateways.shep.sharing import AwayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.gateways.shep.sharing import Shared


@dataclass(frozen=True, slots=True)
class Pace:
    """A throttled delivery point: at most ``requests`` within ``window`` seconds."""

    point: int
    requests: int
    window: float


class Pacing:
    """Counts what is about to leave for throttled points."""

    def __init__(self, paces: Mapping[tuple[str, str], Pace], shared: Shared) -> None:
        """``paces`` are by service and route ('' for a service without routes)."""
        self._paces = paces
        self._shared = shared

    async def take(self, service_id: str, route_id: str) -> float:
        """Count a send and return 0, or the seconds until there is room; uncounted sends wait for the database."""
        pace = self._paces.get((service_id, route_id))
        if pace is None:
            return 0.0
        try:
            rows = await self._shared.fetch("take_send", pace.point, pace.requests, pace.window)
        except AwayError:
            return 1.0
        return float(rows[0]["wait"])
