"""The transitions of the journal. Each kind is applied for a whole batch at once, inside one transaction.

A transition is fenced: it applies only while its row is still owned by the worker that asks and in a state the move
may start from. What did not apply is told to the caller, never forced.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from adapter.exchange import State
from adapter.journal.records import Exchange, OutboxRow, ProofRow, read_exchange
from adapter.journal.statements import sql

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    import asyncpg

Result = TypeVar("Result")


@dataclass(slots=True)
class Operation(ABC, Generic[Result]):
    """A transition with what is written beside it; ``apply`` answers for a batch of one kind."""

    outbox: Sequence[OutboxRow] = field(default=(), kw_only=True)
    proof: Sequence[ProofRow] = field(default=(), kw_only=True)
    #: Order inside a transaction: ways in first, marks last.
    rank: ClassVar[int] = 5

    @property
    def weight(self) -> int:
        """Bytes that it carries, roughly."""
        size = sum(len(row.body) for row in self.outbox)
        return size + sum(len(row.data or b"") + len(row.content or b"") for row in self.proof)

    @classmethod
    @abstractmethod
    async def apply(cls, connection: asyncpg.Connection, batch: Sequence[Any]) -> list[Result]:
        """Apply all and return one result each. Raises what asyncpg raises."""

    @staticmethod
    def applied(result: Any) -> bool:
        """Tell whether the outbox and proof rows of the operation are to be written."""
        return bool(result)


class TakenAs(Enum):
    """What a delivery turned out to be."""

    NEW = "new"
    REPEAT = "repeat"
    """The same command again: its outcome goes to this publisher too."""
    REUSED = "reused"
    """Another body under a used identity: refused."""
    REDELIVERED = "redelivered"
    """The broker brought a journaled delivery again: only the ack was lost."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Verdict of the intake.

    ``exchange_id`` is the row that stands for the delivery, ``exchange`` the row as it was journaled for it: none for
    a redelivery.
    """

    kind: TakenAs
    exchange_id: UUID
    exchange: Exchange | None = None


@dataclass(slots=True)
class TakeIn(Operation[Taken]):
    """Journal one delivery. ``key`` is its identity or ``None``; ``fingerprint`` covers queue, properties and body."""

    exchange: Exchange
    key: bytes | None
    fingerprint: bytes
    session: str
    redelivered: bool
    rank: ClassVar[int] = 0

    @property
    def weight(self) -> int:
        """Bytes of the command."""
        return len(self.exchange.body or b"")

    @classmethod
    async def apply(cls, connection: asyncpg.Connection, batch: Sequence[TakeIn]) -> list[Taken]:
        """Tell new commands from repeats, reuse and redeliveries; journal all but the last."""
        holders = await _take_keys(connection, [take for take in batch if take.key is not None])
        fresh: dict[bytes, list[TakeIn]] = {}
        results = []
        for take in batch:
            taken = await _find_copy(connection, take, fresh) if take.redelivered else None
            if taken is None:
                taken = _judge(take, holders)
                fresh.setdefault(take.fingerprint, []).append(take)
            results.append(taken)
        rows = [(take, taken.exchange) for take, taken in zip(batch, results, strict=True) if taken.exchange]
        if rows:
            await connection.execute(sql("take_in"), *_columns(rows))
        return results


async def _take_keys(connection: asyncpg.Connection, keyed: Sequence[TakeIn]) -> dict[bytes, Any]:
    """Claim identities; return the holders of those that were taken before this batch or twice in it."""
    if not keyed:
        return {}
    keys = [take.key for take in keyed]
    fresh = await connection.fetch(
        sql("take_keys"), keys, [take.exchange.id for take in keyed], [take.exchange.body_sha256 for take in keyed]
    )
    if len(fresh) == len(keyed):
        return {}
    rows = await connection.fetch(sql("known_keys"), keys)
    return {row["key"]: row for row in rows}


async def _find_copy(connection: asyncpg.Connection, take: TakeIn, fresh: dict[bytes, list[TakeIn]]) -> Taken | None:
    """Find the row of a delivery whose ack was lost: in this batch (its session has just ended) or before it."""
    here = fresh.get(take.fingerprint, ())
    for earlier in here:
        if earlier.session != take.session:
            fresh[take.fingerprint].remove(earlier)
            return Taken(TakenAs.REDELIVERED, earlier.exchange.id)
    match = await connection.fetchval(sql("match_redelivery"), take.fingerprint, take.session)
    return None if match is None else Taken(TakenAs.REDELIVERED, match)


def _judge(take: TakeIn, holders: dict[bytes, Any]) -> Taken:
    """Judge by identity. ``take`` stays as it is: a batch that is refused is judged again in halves."""
    exchange = take.exchange
    holder = holders.get(take.key) if take.key is not None else None
    if holder is None or holder["exchange_id"] == exchange.id:
        return Taken(TakenAs.NEW, exchange.id, exchange)
    if holder["body_sha256"] != exchange.body_sha256:
        return Taken(TakenAs.REUSED, exchange.id, replace(exchange, refusal="message-id-reused"))
    repeat = replace(exchange, repeat_of=holder["exchange_id"], state=State.WAITING, owner=None)
    return Taken(TakenAs.REPEAT, exchange.id, repeat)


def _columns(rows: Sequence[tuple[TakeIn, Exchange]]) -> list[list[Any]]:
    exchanges = [exchange for _, exchange in rows]
    names = ("id", "action", "source", "state", "received_at", "deadline", "body", "body_sha256", "body_size")
    columns = [[getattr(exchange, name) for exchange in exchanges] for name in (*names, "properties")]
    columns += [[exchange.correlation for exchange in exchanges], [exchange.message_id for exchange in exchanges]]
    columns += [[take.fingerprint for take, _ in rows], [take.session for take, _ in rows]]
    columns += [[getattr(exchange, name) for exchange in exchanges] for name in ("refusal", "repeat_of", "owner")]
    return columns


@dataclass(slots=True)
class Submit(Operation[bool]):
    """Record the intent with the exact bytes (in ``proof``) before they leave.

    ``from_state`` and ``attempts`` are the row as the caller knows it: a caller whose knowledge is old makes no call.
    """

    id: UUID
    owner: UUID
    from_state: State
    attempts: int
    gateway: str
    operation: str
    gateway_id: str
    minted_at: datetime
    rank: ClassVar[int] = 1

    @classmethod
    async def apply(cls, connection: asyncpg.Connection, batch: Sequence[Submit]) -> list[bool]:
        """Move to ``submitting``."""
        firsts = _firsts(batch)
        names = ("id", "owner", "from_state", "attempts", "gateway", "operation", "gateway_id", "minted_at")
        columns = [[getattr(submit, name) for submit in firsts] for name in names]
        rows = await connection.fetch(sql("submit"), *columns, _event_counts(firsts))
        return _who_applied(batch, firsts, rows)


@dataclass(slots=True)
class Wait(Operation[bool]):
    """The gateway took the request; the answer comes later."""

    id: UUID
    owner: UUID
    rank: ClassVar[int] = 2

    @classmethod
    async def apply(cls, connection: asyncpg.Connection, batch: Sequence[Wait]) -> list[bool]:
        """Move to ``waiting`` and let go of the row."""
        firsts = _firsts(batch)
        columns = [[wait.id for wait in firsts], [wait.owner for wait in firsts], _event_counts(firsts)]
        return _who_applied(batch, firsts, await connection.fetch(sql("wait"), *columns))


@dataclass(slots=True)
class Retry(Operation[bool]):
    """Try again after ``delay`` seconds; ``remint`` forgets the id, because nothing got through under it."""

    id: UUID
    owner: UUID
    delay: float
    remint: bool = False
    rank: ClassVar[int] = 2

    @classmethod
    async def apply(cls, connection: asyncpg.Connection, batch: Sequence[Retry]) -> list[bool]:
        """Move to ``retrying`` and let go of the row."""
        firsts = _firsts(batch)
        rows = await connection.fetch(
            sql("retry"),
            [retry.id for retry in firsts],
            [retry.owner for retry in firsts],
            [timedelta(seconds=retry.delay) for retry in firsts],
            [retry.remint for retry in firsts],
        )
        return _who_applied(batch, firsts, rows)


@dataclass(frozen=True, slots=True)
class Finished:
    """Whether the outcome was written, and the repeats of that command which now wait for it."""

    applied: bool
    repeats: Sequence[Exchange] = ()


@dataclass(slots=True)
class Finish(Operation[Finished]):
    """Write the outcome and its outbox rows. ``outcome`` ``None`` keeps the one already written."""

    id: UUID
    owner: UUID | None
    from_state: State
    state: State
    outcome: bytes | None
    code: str | None
    replies: int = 1
    rank: ClassVar[int] = 4

    @staticmethod
    def applied(result: Any) -> bool:
        """Write the reply only when the outcome was written."""
        return bool(result.applied)

    @classmethod
    async def apply(cls, connection: asyncpg.Connection, batch: Sequence[Finish]) -> list[Finished]:
        """Move to a final state and find the repeats that were waiting for it."""
        firsts = _firsts(batch)
        names = ("id", "owner", "from_state", "state", "outcome", "code", "replies")
        columns = [[getattr(finish, name) for finish in firsts] for name in names]
        rows = await connection.fetch(sql("finish"), *columns, _event_counts(firsts))
        repeats: dict[UUID, list[Exchange]] = {}
        for row in await connection.fetch(sql("waiting_repeats"), [row["id"] for row in rows]):
            repeats.setdefault(row["repeat_of"], []).append(read_exchange(row))
        applied = _who_applied(batch, firsts, rows)
        return [
            Finished(done, repeats.get(finish.id, ()) if done else ())
            for finish, done in zip(batch, applied, strict=True)
        ]


@dataclass(slots=True)
class Mark(Operation[bool]):
    """What became of a publish: ``sent``, or ``parked`` with a reason until ``delay`` seconds have passed."""

    row: OutboxRow
    state: str
    reason: str | None = None
    delay: float = 0.0
    rank: ClassVar[int] = 6

    @classmethod
    async def apply(cls, connection: asyncpg.Connection, batch: Sequence[Mark]) -> list[bool]:
        """Mark outbox rows."""
        await connection.execute(
            sql("mark"),
            [mark.row.created_at for mark in batch],
            [mark.row.id for mark in batch],
            [mark.state for mark in batch],
            [mark.reason for mark in batch],
            [timedelta(seconds=mark.delay) for mark in batch],
        )
        return [True] * len(batch)


@dataclass(slots=True)
class Lease(Operation[bool]):
    """The worker lives for ``seconds`` more; beside other writes, because a worker that cannot write serves nobody."""

    worker: UUID
    name: str
    seconds: float
    rank: ClassVar[int] = 8

    @classmethod
    async def apply(cls, connection: asyncpg.Connection, batch: Sequence[Lease]) -> list[bool]:
        """Renew the leases."""
        for lease in batch:
            await connection.execute(sql("lease"), lease.worker, lease.name, timedelta(seconds=lease.seconds))
        return [True] * len(batch)


@dataclass(slots=True)
class Settle(Operation[bool]):
    """The broker has processed the acks of these rows."""

    ids: Sequence[UUID]
    rank: ClassVar[int] = 7

    @classmethod
    async def apply(cls, connection: asyncpg.Connection, batch: Sequence[Settle]) -> list[bool]:
        """Mark rows settled."""
        await connection.execute(sql("settle"), [exchange_id for settle in batch for exchange_id in settle.ids])
        return [True] * len(batch)


@dataclass(slots=True)
class Note(Operation[bool]):
    """Add proof or outbox rows; the state stays as it is."""

    rank: ClassVar[int] = 5

    @classmethod
    async def apply(cls, connection: asyncpg.Connection, batch: Sequence[Note]) -> list[bool]:
        """Number the events; the rows themselves are written beside it."""
        events = [row.exchange_id for note in batch for row in note.outbox if row.kind == "event"]
        if events:
            await connection.execute(sql("count_events"), events, [1] * len(events))
        return [True] * len(batch)


def _event_counts(batch: Sequence[Operation[Any]]) -> list[int]:
    return [sum(row.kind == "event" for row in operation.outbox) for operation in batch]


def _firsts(batch: Sequence[Any]) -> list[Any]:
    """Return the first operation about each row: of two in one statement both would be told that they applied."""
    return list({operation.id: operation for operation in reversed(batch)}.values())


def _who_applied(batch: Sequence[Any], firsts: Sequence[Any], rows: Sequence[Any]) -> list[bool]:
    moved = {row["id"] for row in rows}
    applied = {id(operation) for operation in firsts if operation.id in moved}
    return [id(operation) in applied for operation in batch]


async def write_beside(connection: asyncpg.Connection, owner: UUID, operations: Sequence[Operation[Any]]) -> None:
    """Write the outbox and proof rows of the operations that applied."""
    outbox = [row for operation in operations for row in operation.outbox]
    if outbox:
        names = ("id", "created_at", "exchange_id", "kind", "target", "routing_key", "message_id", "body", "properties")
        columns = [[getattr(row, name) for row in outbox] for name in names]
        await connection.execute(sql("outbox"), *columns, [owner] * len(outbox))
    proof = [row for operation in operations for row in operation.proof]
    if proof:
        parts = ("exchange_id", "kind", "message_id", "data", "content", "meta")
        await connection.execute(sql("proof"), *([getattr(row, name) for row in proof] for name in parts))
