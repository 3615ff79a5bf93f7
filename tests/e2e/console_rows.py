"""Rows that a worker leaves behind on a bad day, for the console to show and to put right."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from adapter.broker.codec import write_properties
from adapter.ids import new_id

if TYPE_CHECKING:
    import asyncpg

_INCOMING = ("body", "body_sha256", "body_size", "properties", "correlation", "message_id")


async def leave(database: asyncpg.Connection, action: str, body: Any, *, prefix: str = "", **more: Any) -> UUID:
    """Journal a command as it stands in ``more``; the broker is not asked for it any more."""
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    message_id = str(uuid4())
    row: dict[str, Any] = {
        "id": new_id(),
        "action": action,
        "source": f"{prefix}{action}",
        "state": "received",
        "deadline": datetime.now(UTC) + timedelta(minutes=30),
        "body": raw,
        "body_sha256": hashlib.sha256(raw).digest(),
        "body_size": len(raw),
        "message_id": message_id,
        "properties": write_properties(message_id=message_id.encode(), message_type=action.encode()),
        "fingerprint": message_id.encode(),
    } | more
    row.setdefault("fingerprint", message_id.encode())
    came = {"id": row["id"], **{name: row.pop(name) for name in _INCOMING if name in row}}
    for table, columns in (("incoming", came), ("exchanges", row)):
        places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        names = ", ".join(columns)
        await database.execute(f"insert into {table} ({names}) values ({places})", *columns.values())  # noqa: S608 — our own names
    return UUID(str(row["id"]))


async def leave_dead(database: asyncpg.Connection, action: str, body: Any, *, prefix: str = "") -> UUID:
    """Journal a command that has killed its workers: ``dead`` until somebody replays it."""
    outcome = json.dumps({"error": {"error_code": "ADAPTER-DEAD", "description": "Команда остановлена"}}).encode()
    ended = {"state": "dead", "outcome": outcome, "outcome_code": "ADAPTER-DEAD", "finished_at": datetime.now(UTC)}
    exchange_id = await leave(database, action, body, prefix=prefix, crash_attempts=3, replies=1, **ended)
    meta = b'{"from": "received", "state": "dead", "code": "ADAPTER-DEAD"}'
    await database.execute(
        "insert into proof (exchange_id, kind, data, meta) values ($1, 'outcome', $2, $3)", exchange_id, outcome, meta
    )
    return exchange_id


async def leave_uncertain(database: asyncpg.Connection, action: str, body: Any, *, prefix: str = "") -> UUID:
    """Journal a command whose call may have arrived or not, and may not be repeated."""
    call = {"gateway": "postamat", "operation": "issue", "gateway_id": str(uuid4()), "attempts": 1, "replies": 1}
    return await leave(database, action, body, prefix=prefix, state="uncertain", **call)


async def leave_parked(database: asyncpg.Connection, exchange_id: UUID, queue: str) -> UUID:
    """Journal a reply that no queue took."""
    message_id = new_id()
    await database.execute(
        "insert into outbox (id, exchange_id, kind, target, routing_key, message_id, body, properties, state, reason,"
        " attempts, next_at) values ($1, $2, 'reply', '', $3, $4, '{\"result\": []}', $5, 'parked', 'unroutable', 2,"
        " now() + interval '1 hour')",
        message_id,
        exchange_id,
        queue,
        str(message_id),
        write_properties(message_id=str(message_id).encode(), message_type=b"t"),
    )
    return message_id
