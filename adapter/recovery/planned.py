"""Planned work, as people put it into the database; workers see it within seconds (adapter/pipeline/planned.py)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from adapter.journal.statements import sql
from adapter.recovery.errors import RecoveryError

if TYPE_CHECKING:
    import asyncpg

    from adapter.recovery.environment import Operator
    from adapter.workdays import Calendar

#: Order № 104, rules 16 and 34.
NOTICE: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Planned:
    """One announced time: ``service`` '' is the whole gateway, ``state`` what it is now."""

    id: int
    gateway: str
    service: str
    begins_at: datetime
    ends_at: datetime
    reason: str
    added_at: datetime
    added_by: str
    ended_at: datetime | None
    ended_by: str | None
    state: str


async def add_work(
    connection: asyncpg.Connection, gateway: str, service: str, times: tuple[datetime, datetime], operator: Operator
) -> int:
    """Plan work from the first of the ``times`` to the second and return its number; ``operator`` says why."""
    number: int = await connection.fetchval(
        sql("add_planned_work"), gateway, service, *times, operator.reason, f"{operator.name}@{operator.host}"
    )
    return number


async def list_work(connection: asyncpg.Connection, *, everything: bool = False) -> list[Planned]:
    """Return what is planned or goes on, by its beginning; ``everything`` also what is over."""
    return [Planned(**row) for row in await connection.fetch(sql("list_planned_work"), everything)]


async def end_work(connection: asyncpg.Connection, number: int, operator: Operator) -> bool:
    """End work early, or call it off when it has not begun: then true. Raises RecoveryError when there is none."""
    row = await connection.fetchrow(sql("end_planned_work"), number, f"{operator.name}@{operator.host}")
    if row is None:
        raise RecoveryError(f"no planned work {number} is ahead or goes on; adapter maintenance list --all shows it")
    return bool(row["ahead"])


def remarks(begins: datetime, ends: datetime, now: datetime, calendar: Calendar) -> list[str]:
    """Return what speaks against a time by the order's rules 16 and 34; nothing of it forbids the work."""
    found = []
    if begins - now < NOTICE:
        found.append("it begins within three days: the order wants it announced three days before (rules 16 and 34)")
    if not calendar.is_break_time(begins, ends):
        zone = f"{begins.astimezone(calendar.zone):%z}"
        found.append(f"part of it lies on a working day between 06:00 and 22:00 (UTC{zone}, rule 16)")
    return found
