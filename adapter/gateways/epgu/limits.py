"""The restrictions of Приложение 3, held before ЕПГУ has to refuse: over all workers where a database holds them.

Requests are counted in calendar periods of Moscow time, orders of one account and one service in a sliding window.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from adapter.gateways.epgu.options import Clock, utc_now
from adapter.gateways.epgu.profiles import MOSCOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.gateways.epgu.keeping import Shared

#: Seconds of the sliding window.
WINDOW: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The numbers: requests of the system by calendar period, ``orders`` of one account and service in ten minutes.

    ``by_service`` are those of services whose own specification says another number.
    """

    minute: int = 2_000
    hour: int = 120_000
    day: int = 2_880_000
    month: int = 86_400_000
    year: int = 1_036_800_000
    orders: int = 20
    by_service: Mapping[str, int] = field(default_factory=dict)

    @property
    def periods(self) -> tuple[int, int, int, int, int]:
        """Limits of minute, hour, day, month and year."""
        return self.minute, self.hour, self.day, self.month, self.year

    def of(self, service_code: str) -> int:
        """Return how many orders of a service go into a window."""
        return self.by_service.get(service_code, self.orders)


class Limits(Protocol):
    """Counts what is about to be sent. Each method returns 0 when it counted, else the seconds to wait."""

    async def take_request(self) -> float:
        """Count one request to ЕПГУ."""
        ...

    async def take_order(self, account: str, service_code: str) -> float:
        """Count one order of ``account``, the organisation or person whose it is."""
        ...


class LimitsInMemory:
    """Limits of one process alone."""

    def __init__(self, bounds: Bounds, clock: Clock = utc_now) -> None:
        """Start at zero."""
        self._bounds = bounds
        self._clock = clock
        self._requests: dict[str, tuple[datetime, int]] = {}
        self._orders: dict[tuple[str, str], deque[datetime]] = {}

    async def take_request(self) -> float:
        """Count one request, unless a period is full."""
        moment = self._clock().astimezone(MOSCOW)
        counts, wait = {}, 0.0
        for (name, began, ends), limit in zip(periods(moment), self._bounds.periods, strict=True):
            known, count = self._requests.get(name, (began, 0))
            count = count if known == began else 0
            if count >= limit:
                wait = max(wait, (ends - moment).total_seconds())
            counts[name] = (began, count + 1)
        if not wait:
            self._requests = counts
        return wait

    async def take_order(self, account: str, service_code: str) -> float:
        """Count one order, unless the window is full."""
        now, window = self._clock(), timedelta(seconds=WINDOW)
        made = self._orders.setdefault((account, service_code), deque())
        while made and now - made[0] >= window:
            made.popleft()
        most = self._bounds.of(service_code)
        if len(made) >= most:
            return (made[-most] + window - now).total_seconds() if most else WINDOW
        made.append(now)
        return 0.0


class LimitsInDatabase:
    """Limits of all workers, by the database's clock. Its methods raise AwayError."""

    def __init__(self, bounds: Bounds, shared: Shared) -> None:
        """Nothing is asked yet."""
        self._bounds = bounds
        self._shared = shared

    async def take_request(self) -> float:
        """Count one request, unless a period is full."""
        rows = await self._shared.fetch("take_request", list(self._bounds.periods))
        return float(rows[0]["wait"])

    async def take_order(self, account: str, service_code: str) -> float:
        """Count one order, unless the window is full."""
        whose = hashlib.sha256(account.encode()).digest()
        most = self._bounds.of(service_code)
        if not most:
            return WINDOW
        rows = await self._shared.fetch("take_order", whose, service_code, most, WINDOW)
        return float(rows[0]["wait"])


def periods(moment: datetime) -> list[tuple[str, datetime, datetime]]:
    """Return name, beginning and end of the calendar periods that ``moment`` lies in."""
    minute = moment.replace(second=0, microsecond=0)
    hour = minute.replace(minute=0)
    day = hour.replace(hour=0)
    month = day.replace(day=1)
    year = month.replace(month=1)
    next_month = (month + timedelta(days=32)).replace(day=1)
    return [
        ("minute", minute, minute + timedelta(minutes=1)),
        ("hour", hour, hour + timedelta(hours=1)),
        ("day", day, day + timedelta(days=1)),
        ("month", month, next_month),
        ("year", year, year.replace(year=year.year + 1)),
    ]
