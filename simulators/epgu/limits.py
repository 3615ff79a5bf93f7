"""The restrictions of Приложение 3: requests of a system in calendar periods, orders in a sliding window."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

from simulators.epgu.profiles import MOSCOW

if TYPE_CHECKING:
    from datetime import datetime

    from simulators.epgu.settings import Settings

#: Name of a period and the fields of a moment that say which one it is.
_PERIODS = {"year": 1, "month": 2, "day": 3, "hour": 4, "minute": 5}


class RequestCounters:
    """Requests of each system in the present minute, hour, day, month and year of Moscow time."""

    def __init__(self) -> None:
        """Start at zero."""
        self._counts: dict[tuple[str, str], tuple[tuple[int, ...], int]] = {}

    def take(self, client_id: str, settings: Settings, now: datetime) -> str:
        """Count one request and return the period whose limit it breaks, "" when it breaks none.

        A request that is refused counts too: whoever goes on asking is not let in any sooner.
        """
        moment = now.astimezone(MOSCOW).timetuple()[:5]
        broken = ""
        for name, fields in _PERIODS.items():
            period = tuple(moment[:fields])
            known, number = self._counts.get((client_id, name), (period, 0))
            number = number + 1 if known == period else 1
            self._counts[client_id, name] = (period, number)
            if number > getattr(settings, f"limit_{name}"):
                broken = name
        return broken

    def told(self) -> list[dict[str, object]]:
        """Return the counters as JSON."""
        return [
            {"client_id": client_id, "period": name, "count": number}
            for (client_id, name), (_, number) in self._counts.items()
        ]

    def clear(self) -> None:
        """Start at zero again."""
        self._counts.clear()


class OrderWindows:
    """When each user made orders of each service, as far back as a window reaches."""

    def __init__(self) -> None:
        """Start with none."""
        self._made: dict[tuple[str, str], deque[datetime]] = {}

    def take(self, user: str, service_code: str, *, limit: int, window: float, now: datetime) -> bool:
        """Count one order, unless there are ``limit`` of the last ``window`` seconds already; tell whether it went."""
        made = self._made.setdefault((user, service_code), deque())
        while made and now - made[0] >= timedelta(seconds=window):
            made.popleft()
        if len(made) >= limit:
            return False
        made.append(now)
        return True

    def clear(self) -> None:
        """Forget all of them."""
        self._made.clear()
