"""Rows of the journal as the pipeline sees them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING

from adapter.exchange import Command, State

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg


@dataclass(slots=True)
class Exchange:
    """One exchange. ``body`` is ``None`` when it was over the limit; ``properties`` is the raw AMQP section."""

    id: UUID
    action: str
    source: str
    state: State
    received_at: datetime
    deadline: datetime
    body: bytes | None
    body_sha256: bytes
    body_size: int
    properties: bytes
    message_id: str | None = None
    correlation: str | None = None
    refusal: str | None = None
    repeat_of: UUID | None = None
    owner: UUID | None = None
    attempts: int = 0
    crash_attempts: int = 0
    gateway: str | None = None
    operation: str | None = None
    gateway_id: str | None = None
    minted_at: datetime | None = None
    lane: str | None = None
    outcome: bytes | None = None
    outcome_code: str | None = None
    finished_at: datetime | None = None
    replies: int = 0
    events: int = 0

    @property
    def command(self) -> Command:
        """The command as its service sees it."""
        return Command(self.id, self.action, self.body or b"", self.received_at, self.deadline)

    @property
    def is_late(self) -> bool:
        """A reply has gone before: the next one is marked late."""
        return self.replies > 0

    @property
    def is_request(self) -> bool:
        """It began at a gateway: no AMQP message asked for it, so nobody hears a reply."""
        return not self.properties

    def expired(self) -> bool:
        """Tell whether new submits have to stop."""
        return self.deadline <= datetime.now(UTC)


_columns = itemgetter(*Exchange.__slots__)
_STATES = {state.value: state for state in State}


def read_outbox(row: asyncpg.Record) -> OutboxRow:
    """Build an OutboxRow from a row of ``outbox``."""
    return OutboxRow(**{name: row[name] for name in OutboxRow.__slots__})


def read_exchange(row: asyncpg.Record) -> Exchange:
    """Build an Exchange from a row of ``exchanges``."""
    exchange = Exchange(*_columns(row))
    exchange.state = _STATES[exchange.state]
    return exchange


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message to publish; ``properties`` is a raw AMQP section, ``target`` a broker exchange ('' the default)."""

    id: UUID
    created_at: datetime
    exchange_id: UUID
    kind: str
    target: str
    routing_key: str
    message_id: str
    body: bytes
    properties: bytes
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class ProofRow:
    """One fact of an exchange: exact bytes sent or received, or a change of state. ``meta`` is JSON."""

    exchange_id: UUID
    kind: str
    message_id: str | None = None
    data: bytes | None = None
    content: bytes | None = None
    meta: bytes | None = None
