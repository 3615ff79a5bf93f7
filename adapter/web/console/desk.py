"""What the pages ask of the journal and of the broker: reads, and deeds that are journaled with who and why."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import aiohttp

from adapter.broker.connection import BROKER_ERRORS, connect
from adapter.broker.upstream import tell
from adapter.http import make_session
from adapter.journal.lending import Lending
from adapter.journal.writer import JournalUnavailableError
from adapter.recovery import history
from adapter.recovery.environment import Operator
from adapter.web.console.statements import sql

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime

    import asyncpg

    from adapter.broker.connection import BrokerAddress
    from adapter.broker.topology import Names
    from adapter.exchange import Service
    from adapter.journal.journal import DatabaseAddress
    from adapter.journal.records import Exchange

#: Connections of PostgreSQL that a console opens at most.
_MOST_CONNECTIONS: Final = 8
#: Where replies to commands of the console go: the journal tells of them, nobody consumes the queue, it forgets.
REPLIES: Final = "adapter.console"
_HEALTH_PATIENCE: Final = 3.0
_BROKER_PATIENCE: Final = 5.0
#: Rows of the list of uncertain exchanges.
_MOST_UNCERTAIN: Final = 200


class AwayError(Exception):
    """PostgreSQL or RabbitMQ does not answer; ``part`` names which: database, broker."""

    def __init__(self, part: str) -> None:
        """Keep the part."""
        super().__init__(part)
        self.part = part


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """What one health listener says: ``failing`` parts, gateways ``away``; ``answers`` is false when it is silent."""

    url: str
    answers: bool
    ready: bool = False
    failing: tuple[str, ...] = ()
    away: tuple[str, ...] = ()


class Desk:
    """One console's hands."""

    def __init__(
        self,
        database: DatabaseAddress,
        broker: BrokerAddress,
        names: Names,
        services: Mapping[str, Service],
        workers: Sequence[str],
    ) -> None:
        """``services`` are those that commands may be sent to, ``workers`` the addresses of health listeners."""
        self._lending = Lending(database.connect, most=_MOST_CONNECTIONS)
        self.broker = broker
        self.names = names
        self.services = services
        self._workers = workers
        self._host = socket.gethostname()

    async def aclose(self) -> None:
        """Close what is open."""
        await self._lending.aclose()

    @asynccontextmanager
    async def journal(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection. Raises AwayError."""
        try:
            async with self._lending.lend() as connection:
                yield connection
        except JournalUnavailableError:
            raise AwayError("database") from None

    def operator(self, name: str, reason: str | None) -> Operator:
        """Return who acts, as the journal keeps it."""
        return Operator(name, self._host, reason)

    async def note(
        self, connection: asyncpg.Connection, operator: Operator, what: str, subject: str, detail: str = ""
    ) -> None:
        """Journal a deed of a person; what it allows is done after, or in the same transaction."""
        await connection.execute(sql("note"), operator.name, operator.host, what, subject, detail, operator.reason)

    async def rows(self, name: str, *arguments: Any) -> list[Mapping[str, Any]]:
        """Run one reading statement of ``queries/``. Raises AwayError."""
        async with self.journal() as connection:
            return [dict(row.items()) for row in await connection.fetch(sql(name), *arguments)]

    async def row(self, name: str, *arguments: Any) -> Mapping[str, Any] | None:
        """Return the first row of a statement, if there is one. Raises AwayError."""
        rows = await self.rows(name, *arguments)
        return rows[0] if rows else None

    async def exchange(self, exchange_id: UUID) -> tuple[Exchange, list[Mapping[str, Any]]] | None:
        """Return an exchange and what people did to it, newest first."""
        async with self.journal() as connection:
            found = await history.find(connection, str(exchange_id))
            own = next((one for one in found if one.id == exchange_id), None)
            if own is None:
                return None
            noted = await connection.fetch(sql("noted"), [f"exchange:{exchange_id}", f"message:{own.message_id}"])
        return own, [dict(row.items()) for row in noted]

    async def send(self, action: str, body: bytes, operator: Operator, *, dry_run: bool, detail: str) -> UUID:
        """Publish a command as an upstream system would, with a confirm; return its message_id.

        Who sends is journaled first. Raises AwayError, and LookupError when no queue takes the command.
        """
        message_id = uuid4()
        async with self.journal() as connection:
            await self.note(connection, operator, "published", f"message:{message_id}", detail)
        headers = {"x-dry-run": True} if dry_run else {}
        queue, replies = self.names.command(action), f"{self.names.prefix}{REPLIES}"
        try:
            routed = await tell(self.broker, queue, body, message_id=str(message_id), reply_to=replies, headers=headers)
        except BROKER_ERRORS:
            raise AwayError("broker") from None
        if not routed:
            raise LookupError(queue)
        return message_id

    async def find_sent(self, message_id: UUID) -> UUID | None:
        """Return the exchange of a command of ours, once a worker has journaled it."""
        row = await self.row("find_sent", str(message_id))
        return row["id"] if row else None

    async def uncertain(self) -> list[Mapping[str, Any]]:
        """Return the exchanges whose fate nobody knows, oldest first."""
        return await self.rows("uncertain", _MOST_UNCERTAIN)

    async def broker_answers(self) -> bool:
        """Tell whether the broker lets us in now."""
        try:
            async with asyncio.timeout(_BROKER_PATIENCE), connect(self.broker, "adapter console"):
                return True
        except BROKER_ERRORS:
            return False

    async def workers(self) -> list[WorkerHealth]:
        """Ask every health listener, all at once."""
        async with make_session(timeout=_HEALTH_PATIENCE) as session:
            return list(await asyncio.gather(*(_ask(session, url) for url in self._workers)))

    async def backlog(self, since: UUID) -> tuple[Mapping[str, Any], list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """Return what is unfinished, what came from id ``since`` on by action and state, and the workers."""
        async with self.journal() as connection:
            backlog = await connection.fetchrow(sql("backlog"))
            recent = await connection.fetch(sql("recent_states"), since)
            workers = await connection.fetch(sql("workers"))
        return (
            dict((backlog or {}).items()),
            [dict(row.items()) for row in recent],
            [dict(row.items()) for row in workers],
        )


async def _ask(session: aiohttp.ClientSession, url: str) -> WorkerHealth:
    try:
        async with session.get(f"{url}/readyz", allow_redirects=False) as response:
            said = await response.json(content_type=None)
        return WorkerHealth(
            url, answers=True, ready=bool(said["ready"]), failing=_names(said, "failing"), away=_names(said, "away")
        )
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
        return WorkerHealth(url, answers=False)


def _names(said: Mapping[str, Any], part: str) -> tuple[str, ...]:
    return tuple(str(name) for name in said.get(part, ()))


def first_id(at: datetime) -> UUID:
    """Return an id that no exchange of before ``at`` has: ids of exchanges are ordered by time."""
    return UUID(int=max(0, int(at.timestamp() * 1000)) << 80)
