"""Planned work: while a gateway, or one service behind it, is announced to be away, commands to it wait.

What is planned stands in the database, where people put it (``adapter maintenance``); every worker looks there. A
command that has to wait is put aside durably: nothing is built, signed or sent for it, no attempt counts, and its
deadline holds.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from adapter.errors import Code
from adapter.exchange import State
from adapter.incoming import Naming
from adapter.journal.writer import JournalUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.exchange import Service
    from adapter.journal.journal import Journal
    from adapter.journal.records import Exchange

log = structlog.get_logger(__name__)

#: Seconds between two looks at what people have planned.
_PACE: Final = 2.0
#: Pause in seconds of a row that is claimed by its time alone: early ends are noticed within it.
_AGAIN: Final = 10.0


@dataclass(frozen=True, slots=True)
class Window:
    """Work that is planned: ``service`` '' is the whole ``gateway``; times by this process's monotonic clock."""

    id: int
    gateway: str
    service: str
    begins: float
    ends: float


class PlannedWork:
    """What this worker knows of the work that goes on now or begins within a minute."""

    def __init__(self, journal: Journal, *, clock: Callable[[], float] = monotonic) -> None:
        """Nothing is planned before the first look."""
        self._journal = journal
        self._clock = clock
        self._windows: tuple[Window, ...] = ()
        self._told: frozenset[int] = frozenset()

    async def look(self) -> None:
        """Read what is planned. Raises JournalUnavailableError: then what was known still holds."""
        now = self._clock()
        self._windows = tuple(
            Window(row["id"], row["gateway"], row["service"], now + row["begins_in"], now + row["ends_in"])
            for row in await self._journal.fetch("planned_work")
        )
        self._tell()

    async def run(self) -> None:
        """Look at a steady pace until cancelled."""
        while True:
            try:
                await self.look()
            except JournalUnavailableError:
                await self._journal.available.wait()
            await asyncio.sleep(_PACE)

    def _tell(self) -> None:
        """Log what has begun and what has ended since the last look."""
        now = {window.id: window for window in self._windows if window.begins <= self._clock() < window.ends}
        for number in now.keys() - self._told:
            log.info("planned work begins: commands wait", gateway=now[number].gateway, service=now[number].service)
        if self._told - now.keys():
            log.info("planned work has ended: commands go on", count=len(self._told - now.keys()))
        self._told = frozenset(now)

    def holds(self, gateway: str, *services: str) -> bool:
        """Tell whether the gateway, or one of the ``services`` behind it, is announced to be away now."""
        if not self._windows:
            return False
        now = self._clock()
        return any(
            window.gateway == gateway and window.begins <= now < window.ends and window.service in ("", *services)
            for window in self._windows
        )

    def names_services(self, gateway: str) -> bool:
        """Tell whether work on single services of the gateway is planned: then it matters which one is called."""
        return any(window.gateway == gateway and window.service for window in self._windows)

    async def put_aside(self, exchange: Exchange, *, unclaimed: bool) -> None:
        """Let an exchange of ours wait; ``unclaimed`` says that nobody claims its retries while the work goes on.

        Raises JournalUnavailableError.
        """
        first = exchange.state in (State.RECEIVED, State.SUBMITTING)
        # An attempt that a crash interrupted may have got through: the next one has to know.
        sent = exchange.state is State.SUBMITTING
        meta = {"code": Code.MAINTENANCE.wire, "attempt": exchange.attempts, "sent": sent}
        pause = _AGAIN if exchange.state is State.ANSWERED or not unclaimed else 0.0
        pause *= 0.75 + random.random() / 2  # noqa: S311  — spreads retries, guards nothing
        told = orjson.dumps(meta) if first else None
        await self._journal.fetch("put_aside", exchange.id, self._journal.worker, pause, told)
        log.info("exchange waits for the end of planned work", attempt=exchange.attempts)


def called_service(service: Service, exchange: Exchange) -> str:
    """Return which of the services behind its gateway a command calls, '' where that is not told apart."""
    if exchange.body is None or exchange.is_request or not isinstance(service, Naming):
        return ""
    return service.called_service(exchange.command)
