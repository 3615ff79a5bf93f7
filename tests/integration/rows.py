"""What a worker would ask the journal to write, with little said."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from adapter.exchange import State
from adapter.journal.evidence import Evidence
from adapter.journal.operations import Submit, TakeIn
from adapter.journal.records import Exchange, ProofRow

if TYPE_CHECKING:
    import asyncpg

    from adapter.journal.journal import Journal


async def until(look: asyncpg.Connection, question: str, *arguments: object, seconds: float = 10) -> None:
    """Wait until Postgres answers a question with true."""
    async with asyncio.timeout(seconds):
        while not await look.fetchval(question, *arguments):  # noqa: ASYNC110 — a table gives no signal
            await asyncio.sleep(0.01)


def take(journal: Journal, body: bytes = b"{}", *, key: bytes | None = None, session: str = "s", **more: Any) -> TakeIn:
    redelivered = more.pop("redelivered", False)
    now = datetime.now(UTC)
    values = {
        "id": uuid4(),
        "action": "echo",
        "source": "echo",
        "state": State.RECEIVED,
        "received_at": now,
        "deadline": now + timedelta(minutes=5),
        "body": body,
        "body_sha256": hashlib.sha256(body).digest(),
        "body_size": len(body),
        "properties": b"p",
        "owner": journal.worker,
    }
    fingerprint = hashlib.sha256(b"echo" + body).digest()
    return TakeIn(Exchange(**(values | more)), key, fingerprint, session, redelivered)


def submit(
    journal: Journal,
    exchange_id: UUID,
    gateway_id: str = "g-1",
    *,
    owner: UUID | None = None,
    state: State = State.RECEIVED,
    attempts: int = 0,
) -> Submit:
    now = datetime.now(UTC)
    return Submit(exchange_id, owner or journal.worker, state, attempts, "gw", "Send", gateway_id, now)


def evidence(journal: Journal, gateway_id: str, key: bytes, *, final: bool = True) -> Evidence:
    record = ProofRow(uuid4(), "answer", "k", b"raw", b"content", b"{}")
    return Evidence("gw", gateway_id, key, b"sha", record, journal.worker, final, uuid4())
