"""Looks for messages of the ШЭП that wait for more than one working day: each becomes an entry of form 7 (rule 19)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from adapter.errors import Code, KnownError
from adapter.incoming import RegistersAwayError
from adapter.journal.statements import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter.exchange import Reply
    from adapter.incoming import Changes, Local, Session, Told
    from adapter.workdays import Calendar

log = structlog.get_logger(__name__)

#: Seconds between two looks: what is late by a day is not later by a minute.
_PACE: Final = 60.0


class EmergencyWatch:
    """Implements :class:`adapter.incoming.Register`: nobody asks it for anything, it does what falls due."""

    name = "shep-emergencies"

    def __init__(self, calendar: Calendar) -> None:
        """``calendar`` says what a working day is."""
        self._calendar = calendar

    async def carry_out(self, session: Session, step: Local) -> Reply:  # noqa: ARG002  — commands do not change it
        """Refuse. Raises KnownError."""
        raise KnownError(Code.INTERNAL, details={"operation": step.operation})

    async def run(self, changes: Changes) -> None:
        """Look at a steady pace until cancelled."""
        while True:
            try:
                opened = await changes.change(self.look)
            except RegistersAwayError:
                opened = 0
            if opened:
                log.warning("messages of the ШЭП wait for more than one working day", count=opened)
            await asyncio.sleep(_PACE)

    async def look(self, session: Session) -> tuple[int, Sequence[Told]]:
        """Open entries for what is late and note what was sent after all; return how many were opened."""
        await session.fetch(sql("shep_late_sent"))
        now = datetime.now(UTC)
        waiting = await session.fetch(sql("shep_late"))
        late = [row for row in waiting if self._calendar.day_after(row["received_at"]) <= now]
        if not late:
            return 0, ()
        columns = [row["id"] for row in late], [row["received_at"] for row in late]
        return len(await session.fetch(sql("shep_open_late"), *columns)), ()
