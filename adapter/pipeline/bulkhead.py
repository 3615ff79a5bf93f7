"""Bulkheads: what one gateway may take of the worker, so that its troubles stay with its own commands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from adapter.pipeline.breaker import Breaker
from adapter.pipeline.places import Places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.pipeline.planned import PlannedWork
    from adapter.pipeline.ports import Limits, Observer, Registry

#: Calls at once whose bytes are megabytes: files inside the message are in memory from their preparation to the answer.
_HEAVY: Final = 8
#: Retries at once of a gateway whose signing service is away: those that are signed already can go on.
_FEW: Final = 20


class Bulkhead:
    """One gateway's places for calls, and the breakers of the gateway and of the signing that its calls need.

    ``calling`` exchanges hold a place or wait for one, ``preparing`` ones wait for their request to be built and
    signed: they are idle until the outside world says something.
    """

    def __init__(self, gateway: str, places: int, observer: Observer, planned: PlannedWork | None = None) -> None:
        """``places`` calls are in flight at once; a place is held while the intent is journaled and the call lasts.

        ``heavy`` is taken before that by calls of many bytes, from before these are made. ``planned`` knows when the
        gateway is announced to be away.
        """
        self.gateway = gateway
        self.places = Places(places)
        self.heavy = asyncio.Semaphore(_HEAVY)
        self.calls = Breaker(gateway, observer)
        self.signing = Breaker(f"{gateway} signing", observer)
        self.planned = planned
        self.calling = 0
        self.preparing = 0

    @property
    def away(self) -> list[str]:
        """Names of what is away now: the gateway, its signing, or neither; planned work on the gateway counts."""
        told = [f"{self.gateway} planned work"] if self.waits() else []
        return told + [breaker.name for breaker in (self.calls, self.signing) if not breaker.closed]

    def waits(self, *services: str) -> bool:
        """Tell whether planned work on the gateway, or on one of the services behind it, goes on now."""
        return self.planned is not None and self.planned.holds(self.gateway, *services)

    def retries(self, most: int) -> int:
        """Return how many retries may start now: none while nothing gets through or work is planned.

        One goes to ask whether the other side is back.
        """
        if self.calls.refuses or self.waits():
            return 0
        if not self.calls.closed:
            return min(most, 1)
        return most if self.signing.closed else min(most, _FEW)


def make_bulkheads(
    registry: Registry, limits: Limits, observer: Observer, planned: PlannedWork | None = None
) -> Mapping[str, Bulkhead]:
    """Return a bulkhead for every gateway, by its name."""
    places = registry.places
    return {name: Bulkhead(name, places.get(name, limits.per_gateway), observer, planned) for name in registry.gateways}
