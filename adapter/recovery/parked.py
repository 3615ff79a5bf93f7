"""Parked messages: replies and events that no queue took. They deliver themselves; here a person does it now."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapter.broker.connection import BROKER_ERRORS, BrokerAddress, connect
from adapter.broker.publisher import Message, Publisher, Sent
from adapter.journal.commit import commit
from adapter.journal.operations import Mark, Note
from adapter.journal.records import ProofRow, read_outbox
from adapter.journal.statements import sql
from adapter.recovery.arguments import printable
from adapter.recovery.errors import RecoveryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from uuid import UUID

    import asyncpg

    from adapter.journal.operations import Operation
    from adapter.recovery.arguments import Filter
    from adapter.recovery.environment import Operator

_WAIT: Final = 10.0
#: Seconds until a worker tries again by itself what a person could not deliver now.
_NEXT: Final = 60.0


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """One parked message in a list; ``kind`` is ``reply`` or ``event``, ``code`` why it is parked."""

    id: UUID
    created_at: datetime
    kind: str
    exchange_id: UUID
    action: str | None
    code: str
    at: datetime
    attempts: int
    target: str
    routing_key: str
    next_at: datetime | None
    size: int


async def list_parked(connection: asyncpg.Connection, wanted: Filter) -> list[ParkedMessage]:
    """Return the parked messages, oldest first."""
    rows = await connection.fetch(sql("parked_messages"), *wanted.columns)
    same = ("id", "created_at", "kind", "exchange_id", "action", "at", "attempts", "target", "routing_key", "next_at")
    return [
        ParkedMessage(**{name: row[name] for name in same}, code=row["code"] or "", size=row["bytes"]) for row in rows
    ]


async def load_body(connection: asyncpg.Connection, message: ParkedMessage) -> bytes:
    """Return the exact bytes of a parked message."""
    row = await connection.fetchrow(sql("load_message"), message.created_at, message.id)
    return bytes(row["body"]) if row else b""


@asynccontextmanager
async def open_publisher(address: BrokerAddress) -> AsyncIterator[Publisher]:
    """Open a publisher with confirms for one command. Raises RecoveryError when the broker cannot be reached."""
    unreachable = RecoveryError(f"cannot talk to {address.where}")
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(connect(address, "adapter dead"))
        except BROKER_ERRORS:
            raise unreachable from None
        publisher, stopping = Publisher(timeout=_WAIT), asyncio.Event()
        serving = asyncio.create_task(publisher.run(connection, stopping))
        ready = asyncio.create_task(publisher.ready.wait())
        try:
            await asyncio.wait({serving, ready}, timeout=_WAIT, return_when=asyncio.FIRST_COMPLETED)
            if not publisher.ready.is_set():
                raise unreachable
            yield publisher
        finally:
            stopping.set()
            ready.cancel()
            await asyncio.wait({serving}, timeout=_WAIT)
            serving.cancel()
            await asyncio.gather(serving, ready, return_exceptions=True)


async def replay_message(
    connection: asyncpg.Connection, publisher: Publisher, message: ParkedMessage, operator: Operator
) -> None:
    """Publish a parked message with a confirm, then mark it as sent; its row is locked meanwhile.

    A crash between the two leaves it parked: it goes out again, byte for byte under the same message_id. Raises
    RecoveryError when a worker holds it, or when the broker did not take it: then it stays parked.
    """
    async with connection.transaction():
        row = await connection.fetchrow(sql("lock_parked"), message.created_at, message.id)
        if row is None:
            raise RecoveryError("is not parked any more, or a worker is delivering it now")
        parked = read_outbox(row)
        (sent,) = await publisher.publish(
            [Message(parked.message_id, parked.target, parked.routing_key, parked.body, parked.properties)]
        )
        if sent is Sent.CONFIRMED:
            meta = operator.meta(what=message.kind)
            proof = ProofRow(message.exchange_id, "replayed", parked.message_id, meta=meta)
            marks: list[Operation[Any]] = [Mark(parked, "sent"), Note(proof=[proof])]
        else:
            marks = [Mark(parked, "parked", reason=sent.value, delay=_NEXT)]
        await commit(connection, message.exchange_id, marks)
    if sent is not Sent.CONFIRMED:
        raise RecoveryError(_REASONS[sent].format(queue=printable(message.routing_key)))


_REASONS: Final = {
    Sent.UNROUTABLE: "no queue takes it: declare {queue}; it stays parked",
    Sent.REFUSED: "the broker refuses it; it stays parked",
    Sent.UNKNOWN: "the broker did not confirm it; it stays parked and goes out again under the same message_id",
}
