"""One commit of the journal: its operations in one statement, one round trip, one transaction.

A crowd of them is one call of ``journal_commit``, whose arguments are arrays of rows. A few are a call of a function
each, with the values of one row: arrays for every kind of operation would cost more than what is written.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import asyncpg

    from adapter.journal.operations import Operation

Row = tuple[Any, ...]
Rows = list[Row]


class Arrays:
    """The arguments of ``journal_commit`` by name; each row begins with its operation's number. Empty until asked for.

    ``births`` and ``joins`` stand before them in ``journal_commit_requests``, which is called when there are any, and
    ``untils`` before those in ``journal_commit_untils``.
    """

    takes: Rows
    submits: Rows
    waits: Rows
    retries: Rows
    evidence: Rows
    finishes: Rows
    notes: list[int]
    marks: Rows
    settles: list[UUID]
    leases: Rows
    messages: Rows
    facts: Rows
    births: Rows
    joins: Rows
    untils: Rows

    def __getattr__(self, name: str) -> list[Any]:
        """Begin an array when it is first asked for: most commits hold a few kinds of operations."""
        rows: list[Any] = []
        setattr(self, name, rows)
        return rows


_MORE: Final = ("births", "joins")
_MOST: Final = ("untils", *_MORE)
_NAMES: Final = tuple(name for name in Arrays.__annotations__ if name not in _MOST)


def _statement(function: str, arguments: int) -> str:
    return f"select applied, verdicts from {function}({', '.join(f'${n + 1}' for n in range(arguments))})"  # noqa: S608 — names of ours


_STATEMENT: Final = _statement("journal_commit", len(_NAMES))
_STATEMENT_WITH_MORE: Final = _statement("journal_commit_requests", len(_MORE) + len(_NAMES))
_STATEMENT_WITH_MOST: Final = _statement("journal_commit_untils", len(_MOST) + len(_NAMES))
#: Operations that are still cheaper one by one.
_FEW: Final = 4
#: Functions for one operation by the rows that it writes, in the order in which ``journal_commit`` goes through them.
_ALONE: Final = {
    ("takes",): (0, "journal_alone_take"),
    ("submits", "facts"): (1, "journal_alone_submit"),
    ("waits", "facts"): (2, "journal_alone_wait"),
    ("evidence",): (3, "journal_alone_evidence"),
    ("finishes", "messages", "facts"): (4, "journal_alone_finish"),
    ("marks",): (5, "journal_alone_mark"),
}


async def commit(connection: asyncpg.Connection, owner: UUID, operations: Sequence[Operation[Any]]) -> list[Any]:
    """Apply all of them or none; return one result each, in the order asked.

    ``owner`` publishes the messages written beside them. Raises what asyncpg raises.
    """
    if len(operations) <= _FEW:
        calls = [call for operation in operations if (call := _alone(operation, owner)) is not None]
        if len(calls) == len(operations):
            return await _one_by_one(connection, operations, calls)
    return await _at_once(connection, owner, operations)


async def _at_once(connection: asyncpg.Connection, owner: UUID, operations: Sequence[Operation[Any]]) -> list[Any]:
    arrays = Arrays()
    for op, operation in enumerate(operations):
        _put(arrays, op, operation, owner)
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


def _put(arrays: Arrays, op: int, operation: Operation[Any], owner: UUID) -> None:
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


def _alone(operation: Operation[Any], owner: UUID) -> tuple[int, str, list[Any]] | None:
    """Return the place, the function and the values of an operation that has a function of its own."""
    arrays = Arrays()
    _put(arrays, 0, operation, owner)
    filled = {name: rows for name, rows in vars(arrays).items() if rows}
    place, function = _ALONE.get(tuple(filled), (0, ""))
    if not function or operation.concerns_others or any(len(rows) > 1 for rows in filled.values()):
        return None
    return place, function, [value for rows in filled.values() for value in rows[0]]


async def _one_by_one(
    connection: asyncpg.Connection, operations: Sequence[Operation[Any]], calls: Sequence[tuple[int, str, list[Any]]]
) -> list[Any]:
    # What is redelivered is looked for in what this very commit journals, too.
    order = sorted(range(len(calls)), key=lambda op: (calls[op][0], operations[op].single))
    statement = _calls(tuple((calls[op][1], len(calls[op][2])) for op in order))
    (answers,) = await connection.fetch(statement, *(value for op in order for value in calls[op][2]))
    said = dict(zip(order, answers, strict=True))
    return [
        operation.result(applied=bool(said[op]["applied"]), verdicts=said[op]["verdicts"])
        for op, operation in enumerate(operations)
    ]


@cache
def _calls(functions: tuple[tuple[str, int], ...]) -> str:
    numbers = count(1)
    calls = (f"{function}({', '.join(f'${next(numbers)}' for _ in range(values))})" for function, values in functions)
    return f"select {', '.join(calls)}"
