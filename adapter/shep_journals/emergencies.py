"""Form 7, «Журнал регистрации внештатной ситуации»: a register that people keep, and that late messages enter alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapter.journal.statements import sql
from adapter.recovery.errors import RecoveryError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    import asyncpg

    from adapter.recovery.environment import Operator

#: What an entry has to say before it is closed, by the option that says it.
_NEEDED: Final = ("reason", "measures", "sent", "person")
_COLUMNS: Final = {"sent": "sent_at"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What people say of an entry; ``None`` leaves a field as it is. Texts are Russian, as the form has them."""

    received: datetime | None = None
    notified: datetime | None = None
    arrived: datetime | None = None
    reason: str | None = None
    measures: str | None = None
    sent: datetime | None = None
    person: str | None = None

    @property
    def columns(self) -> tuple[Any, ...]:
        """The parameters of the statements, in their order."""
        return self.received, self.notified, self.arrived, self.reason, self.measures, self.sent, self.person


@dataclass(frozen=True, slots=True)
class Emergency:
    """One entry. ``opened_by`` is ``adapter`` for a message that waited; ``exchange_id`` is that message's."""

    number: int
    opened_at: datetime
    opened_by: str
    exchange_id: UUID | None
    received_at: datetime
    notified_at: datetime | None
    arrived_at: datetime | None
    reason: str | None
    measures: str | None
    sent_at: datetime | None
    person: str | None
    changed_at: datetime
    changed_by: str
    closed_at: datetime | None


async def open_emergency(connection: asyncpg.Connection, said: Said, operator: Operator) -> int:
    """Make an entry and return its number; ``said.received`` is known."""
    number: int = await connection.fetchval(sql("shep_emergency_open"), _who(operator), *said.columns)
    return number


async def note_emergency(connection: asyncpg.Connection, number: int, said: Said, operator: Operator) -> None:
    """Say more of an open entry. Raises RecoveryError when there is none."""
    if await connection.fetchrow(sql("shep_emergency_note"), number, _who(operator), *said.columns) is None:
        raise RecoveryError(f"no open entry has the number {number}; adapter shep emergency list shows them")


async def close_emergency(connection: asyncpg.Connection, number: int, said: Said, operator: Operator) -> None:
    """Say what remains and close an entry. Raises RecoveryError when a field is empty: then nothing is written."""
    async with connection.transaction():
        row = await connection.fetchrow(sql("shep_emergency_note"), number, _who(operator), *said.columns)
        if row is None:
            raise RecoveryError(f"no open entry has the number {number}; adapter shep emergency list shows them")
        missing = [f"--{name}" for name in _NEEDED if row[_COLUMNS.get(name, name)] is None]
        if missing:
            raise RecoveryError(f"{', '.join(missing)}: is required before an entry is closed (form 7)")
        await connection.execute(sql("shep_emergency_close"), number)


async def list_emergencies(
    connection: asyncpg.Connection,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    is_open: bool = False,
) -> list[Emergency]:
    """Return the entries that were opened in a time, by number; ``is_open`` leaves out the closed ones."""
    return [Emergency(**row) for row in await connection.fetch(sql("shep_emergencies"), since, until, is_open)]


def emergencies_in(entries: Sequence[Emergency], zone: Any) -> list[list[Any]]:
    """Return the rows of the form: its ten columns, the last one for a signature by hand."""
    return [
        [
            *(one.number, f"{one.opened_at.astimezone(zone):%d.%m.%Y}", one.received_at, one.notified_at),
            *(one.arrived_at, one.reason, one.measures, one.sent_at, one.person, ""),
        ]
        for one in entries
    ]


def _who(operator: Operator) -> str:
    return f"{operator.name}@{operator.host}"
