"""Orphans: verified messages of gateways about requests that this journal has not sent. Kept, confirmed, shown here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from adapter.journal.statements import sql
from adapter.recovery.dead import note_revealed
from adapter.recovery.errors import RecoveryError

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    import asyncpg

    from adapter.recovery.environment import Operator


@dataclass(frozen=True, slots=True)
class Orphan:
    """One message: ``reference`` is the request that it names, ``kind`` what it is to that, ``size`` its bytes."""

    id: UUID
    at: datetime
    source: str
    message_id: str
    reference: str
    kind: str
    code: str | None
    size: int


async def list_orphans(
    connection: asyncpg.Connection, since: datetime, until: datetime | None = None, message_id: str | None = None
) -> list[Orphan]:
    """Return the orphans of a time, oldest first; ``message_id`` asks for the one that has this id."""
    found = []
    for row in await connection.fetch(sql("orphans"), since, until, message_id):
        meta = orjson.loads(row["meta"])
        found.append(
            Orphan(
                id=row["id"],
                at=row["at"],
                source=meta["source"],
                message_id=row["message_id"],
                reference=meta["reference"],
                kind=meta["kind"],
                code=meta.get("fault", {}).get("error_code"),
                size=row["bytes"] or 0,
            )
        )
    return found


async def read_orphan(connection: asyncpg.Connection, orphan: Orphan, operator: Operator) -> bytes:
    """Return the exact bytes as they came; who reads them and why is journaled first. Raises RecoveryError."""
    await note_revealed(connection, orphan.id, operator, "orphan")
    data = await connection.fetchval(sql("orphan_bytes"), orphan.id)
    if data is None:
        raise RecoveryError("its bytes are not kept any more")
    return bytes(data)
