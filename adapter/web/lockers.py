"""The lockers' application at work: it answers commands, listens for lockers, and tells of what lies too long."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import orjson
import structlog
from aiohttp import web

from adapter.incoming import RegistersAwayError, Told
from adapter.lockers.register import NAME, LockerCommands
from adapter.lockers.store import CASE_OVERDUE, LockerStore, call_key
from adapter.web.postamat import LockerTokens, add_routes

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from adapter.exchange import Event, Reply
    from adapter.gateways.postamat.api import LockerCall
    from adapter.incoming import Changes, Local, Session
    from adapter.lockers.store import Verdict

log = structlog.get_logger(__name__)

#: Action of the exchange that a locker's call is journaled as.
CALL: Final = "postamat.call"
#: Cases that one transaction tells of.
_BATCH: Final = 100
#: Seconds between two looks for overdue cases, and between two attempts to listen.
_PACE: Final = 5.0
_LISTEN_AGAIN: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalOptions:
    """How lockers are served: ``listen`` is host and port, ``None`` not at all; ``window`` bounds their timestamps."""

    listen: tuple[str, int] | None
    tokens: LockerTokens = field(repr=False)
    window: timedelta | None
    storage_days: int
    tls: ssl.SSLContext | None = None
    pace: float = _PACE


class Desk:
    """Carries out calls of lockers: the step, its event and the journal's record are one transaction."""

    def __init__(self, changes: Changes, window: timedelta | None) -> None:
        """``window`` is how far a call's timestamp may be from now."""
        self._changes = changes
        self._window = window

    async def take(self, call: LockerCall, at: datetime) -> Verdict:
        """Make a call durable with all that it brings about, once. Raises RegistersAwayError."""

        async def work(session: Session) -> tuple[Verdict, Sequence[Told]]:
            verdict = await LockerStore(session).take(call, at, self._window)
            if verdict.event is None:
                return verdict, ()
            key, raw = call_key(call).hex(), call.target().encode()
            return verdict, (Told(NAME, key, CALL, raw, subject=call.casenum, events=(verdict.event,)),)

        return await self._changes.change(work)


class LockerPortal:
    """Portal mode: the register that commands change, its listener and its clock."""

    name = NAME

    def __init__(self, options: PortalOptions) -> None:
        """Nothing is opened before :meth:`run`."""
        self._options = options
        self._commands = LockerCommands(storage_days=options.storage_days)

    async def carry_out(self, session: Session, step: Local) -> Reply:
        """Do what a command asks for. Raises LockerRefusedError."""
        return await self._commands.carry_out(session, step)

    async def run(self, changes: Changes) -> None:
        """Listen and watch the clock until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(changes))
            if self._options.listen is not None:
                group.create_task(self._listen(Desk(changes, self._options.window), *self._options.listen))

    async def _listen(self, desk: Desk, host: str, port: int) -> None:
        """Serve lockers; a port that another worker of this machine has is taken when that one ends."""
        app = web.Application()
        add_routes(app, desk, self._options.tokens)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            while True:
                try:
                    await web.TCPSite(runner, host, port, ssl_context=self._options.tls).start()
                except OSError as error:
                    log.warning("lockers cannot be served yet", error=type(error).__name__, retry_in=_LISTEN_AGAIN)
                    await asyncio.sleep(_LISTEN_AGAIN)
                else:
                    break
            log.info("lockers are served")
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _watch(self, changes: Changes) -> None:
        """Tell of overdue cases, each once, whichever worker looks."""
        while True:
            try:
                while await changes.change(_tell_overdue) == _BATCH:
                    pass
            except RegistersAwayError as error:
                log.warning("overdue cases are told later", error=type(error).__name__)
            await asyncio.sleep(self._options.pace)


async def _tell_overdue(session: Session) -> tuple[int, Sequence[Told]]:
    """Mark cases and tell of them; none while another worker does."""
    store = LockerStore(session)
    if not await store.overdue_turn():
        return 0, ()
    events = await store.tell_overdue(datetime.now(UTC), _BATCH)
    return len(events), [_overdue(event) for event in events]


def _overdue(event: Event) -> Told:
    casenum = event.body["casenum"]
    raw = orjson.dumps(event.body)
    return Told(NAME, f"overdue:{casenum}", CASE_OVERDUE, raw, subject=casenum, events=(event,))
