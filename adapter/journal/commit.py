"""One commit of the journal: all its operations in one call of ``journal_commit``, one round trip, one transaction."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import asyncpg

    from adapter.journal.operations import Operation

Rows = list[tuple[Any, ...]]


@dataclass(slots=True)
class Arrays:
    """The arguments of ``journal_commit`` by name, in its order; each row begins with its operation's number."""

    takes: Rows = field(default_factory=list)
    submits: Rows = field(default_factory=list)
    waits: Rows = field(default_factory=list)
    retries: Rows = field(default_factory=list)
    evidence: Rows = field(default_factory=list)
    finishes: Rows = field(default_factory=list)
    notes: list[int] = field(default_factory=list)
    marks: Rows = field(default_factory=list)
    settles: list[UUID] = field(default_factory=list)
    leases: Rows = field(default_factory=list)
    messages: Rows = field(default_factory=list)
    facts: Rows = field(default_factory=list)


_NAMES: Final = tuple(one.name for one in fields(Arrays))
_STATEMENT: Final = (
    f"select applied, verdicts from journal_commit({', '.join(f'${n + 1}' for n in range(len(_NAMES)))})"  # noqa: S608 — numbers
)


async def commit(connection: asyncpg.Connection, owner: UUID, operations: Sequence[Operation[Any]]) -> list[Any]:
    """Apply all of them or none; return one result each, in the order asked.

    ``owner`` publishes the messages written beside them. Raises what asyncpg raises.
    """
    arrays = Arrays()
    for op, operation in enumerate(operations):
        operation.put(arrays, op)
        for row in operation.outbox:
            arrays.messages.append(
                (
                    *(op, row.id, row.created_at, row.exchange_id, row.kind, row.target, row.routing_key),
                    *(row.message_id, row.body, row.properties, owner),
                )
            )
        for fact in operation.proof:
            arrays.facts.append((op, fact.exchange_id, fact.kind, fact.message_id, fact.data, fact.content, fact.meta))
    (said,) = await connection.fetch(_STATEMENT, *(getattr(arrays, name) for name in _NAMES))
    applied = set(said["applied"])
    verdicts: defaultdict[int, list[asyncpg.Record]] = defaultdict(list)
    for verdict in said["verdicts"]:
        verdicts[verdict["op"]].append(verdict)
    return [
        operation.result(applied=op in applied, verdicts=verdicts.get(op, ()))
        for op, operation in enumerate(operations)
    ]
