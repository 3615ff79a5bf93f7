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
    """The arguments of ``journal_commit`` by name, in its order; each row begins with its operation's number.

    ``births`` and ``joins`` stand before them in ``journal_commit_requests``, which is called when there are any, and
    ``untils`` before those in ``journal_commit_untils``.
    """

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
    births: Rows = field(default_factory=list)
    joins: Rows = field(default_factory=list)
    untils: Rows = field(default_factory=list)


_MORE: Final = ("births", "joins")
_MOST: Final = ("untils", *_MORE)
_NAMES: Final = tuple(one.name for one in fields(Arrays) if one.name not in _MOST)


def _statement(function: str, arguments: int) -> str:
    return f"select applied, verdicts from {function}({', '.join(f'${n + 1}' for n in range(arguments))})"  # noqa: S608 — names of ours


_STATEMENT: Final = _statement("journal_commit", len(_NAMES))
_STATEMENT_WITH_MORE: Final = _statement("journal_commit_requests", len(_MORE) + len(_NAMES))
_STATEMENT_WITH_MOST: Final = _statement("journal_commit_untils", len(_MOST) + len(_NAMES))


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
    statement, names = _STATEMENT, _NAMES
    if arrays.untils:
        statement, names = _STATEMENT_WITH_MOST, (*_MOST, *_NAMES)
    elif arrays.births or arrays.joins:
        statement, names = _STATEMENT_WITH_MORE, (*_MORE, *_NAMES)
    (said,) = await connection.fetch(statement, *(getattr(arrays, name) for name in names))
    applied = set(said["applied"])
    verdicts: defaultdict[int, list[asyncpg.Record]] = defaultdict(list)
    for verdict in said["verdicts"]:
        verdicts[verdict["op"]].append(verdict)
    return [
        operation.result(applied=op in applied, verdicts=verdicts.get(op, ()))
        for op, operation in enumerate(operations)
    ]
