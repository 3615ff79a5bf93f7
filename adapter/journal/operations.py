"""The transitions of the journal: what each one asks of ``journal_commit`` and what it makes of the answer.

A transition is fenced: it applies only while its row is still owned by the worker that asks and in a state the move
may start from. What did not apply is told to the caller, never forced. ``settled`` carries along that the broker has
processed the ack of the row's delivery. The rules themselves stand in one place,
``migrations/0003_commit.pre.sql``; ``0007_alone.pre.sql`` holds what a single command needs of them once more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from adapter.exchange import State
from adapter.journal.records import Exchange, OutboxRow, ProofRow, read_exchange

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    import asyncpg

    from adapter.journal.commit import Arrays

Result = TypeVar("Result")


@dataclass(slots=True)
class Operation(ABC, Generic[Result]):
    """A transition with what is written beside it, and only when it applies."""

    outbox: Sequence[OutboxRow] = field(default=(), kw_only=True)
    proof: Sequence[ProofRow] = field(default=(), kw_only=True)
    #: Written on the connection of the ways in and out, beside that of the calls and their answers. What one row goes
    #: through at one moment is written on one of them: two that change the same rows would wait for each other.
    edge: ClassVar[bool] = False
    #: Its class has a field ``settled``.
    carries: ClassVar[bool] = False
    #: Somebody waits for what comes after it.
    hurries: ClassVar[bool] = True

    @property
    def single(self) -> bool:
        """Whether no second one like it may be in a commit."""
        return False

    @property
    def concerns_others(self) -> bool:
        """Whether what the commit's other operations write bears on it, so that they are judged at once."""
        return False

    @property
    def weight(self) -> int:
        """Bytes that it carries, roughly."""
        size = sum(len(row.body) for row in self.outbox)
        return size + sum(len(row.data or b"") + len(row.content or b"") for row in self.proof)

    @abstractmethod
    def put(self, arrays: Arrays, op: int) -> None:
        """Add itself to the arrays of one commit; ``op`` is its number there."""

    @abstractmethod
    def result(self, *, applied: bool, verdicts: Sequence[asyncpg.Record]) -> Result:
        """Return the caller's answer; ``verdicts`` (op, kind, id, command) are what Postgres said of this operation."""


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
    edge: ClassVar[bool] = True

    @property
    def single(self) -> bool:
        """Whether its row may have to be waited for: one at a time, so that nothing else is held meanwhile."""
        return self.redelivered

    @property
    def weight(self) -> int:
        """Bytes of the command."""
        return len(self.exchange.body or b"")

    def put(self, arrays: Arrays, op: int) -> None:
        """Tell new commands from repeats, reuse and redeliveries; journal all but the last."""
        one = self.exchange
        arrays.takes.append(
            (
                *(op, one.id, one.action, one.source, one.received_at, one.deadline, one.body, one.body_sha256),
                *(one.body_size, one.properties, one.correlation, one.message_id, self.fingerprint, self.session),
                *(self.redelivered, one.refusal, one.owner, self.key),
            )
        )

    def result(self, *, applied: bool, verdicts: Sequence[asyncpg.Record]) -> Taken:  # noqa: ARG002 — verdicts say all
        """Return the row as it was journaled; ``exchange`` itself stays: a refused batch is judged again in halves."""
        kind, other = TakenAs(verdicts[0]["kind"]), verdicts[0]["id"]
        exchange = self.exchange
        if kind is TakenAs.NEW:
            return Taken(kind, exchange.id, exchange)
        if kind is TakenAs.REDELIVERED:
            return Taken(kind, other)
        if kind is TakenAs.REUSED:
            return Taken(kind, exchange.id, replace(exchange, refusal="message-id-reused"))
        return Taken(kind, exchange.id, replace(exchange, repeat_of=other, state=State.WAITING, owner=None))


@dataclass(slots=True)
class Move(Operation[bool]):
    """A transition that either applies or does not."""

    def result(self, *, applied: bool, verdicts: Sequence[asyncpg.Record]) -> bool:  # noqa: ARG002 — nothing to add
        """Tell whether it applied."""
        return applied


@dataclass(slots=True)
class Submit(Move):
    """The intent to call, with the exact bytes as a proof row: from here on bytes may leave.

    ``from_state`` and ``attempts`` are the row as its runner knows it: a copy that is older must not call. In a
    ``lane`` it does not apply while an earlier exchange of the lane has a call to make.
    """

    id: UUID
    owner: UUID
    from_state: State
    attempts: int
    gateway: str
    operation: str
    gateway_id: str
    minted_at: datetime
    lane: str | None = None
    subject: str = ""
    note: str = ""

    @property
    def concerns_others(self) -> bool:
        """Whether it is in a lane, where the earliest one goes first."""
        return self.lane is not None

    def put(self, arrays: Arrays, op: int) -> None:
        """Move to ``submitting``; an exchange with a subject is joined to it."""
        if self.subject:
            arrays.joins.append((op, self.subject, self.id, self.note))
        fence = (op, self.id, self.owner, self.from_state, self.attempts)
        arrays.submits.append((*fence, self.gateway, self.operation, self.gateway_id, self.minted_at, self.lane))


@dataclass(slots=True)
class Wait(Move):
    """The gateway took the request; the answer comes later, until ``until`` where it has a deadline of its own.

    ``ties`` are subjects and notes that the row is found by from now on, whether or not the move applies.
    """

    id: UUID
    owner: UUID
    ties: Sequence[tuple[str, str]] = field(default=(), kw_only=True)
    until: datetime | None = field(default=None, kw_only=True)
    settled: bool = field(default=False, kw_only=True)
    carries: ClassVar[bool] = True

    def put(self, arrays: Arrays, op: int) -> None:
        """Move to ``waiting`` and let go of the row."""
        arrays.joins.extend((op, subject, self.id, note) for subject, note in self.ties)
        if self.until is not None:
            arrays.untils.append((op, self.id, self.until))
        arrays.waits.append((op, self.id, self.owner, self.settled))


@dataclass(slots=True)
class Retry(Move):
    """Try again after ``delay`` seconds; ``remint`` forgets the id, because nothing got through under it."""

    id: UUID
    owner: UUID
    delay: float
    remint: bool = False
    settled: bool = field(default=False, kw_only=True)
    carries: ClassVar[bool] = True

    def put(self, arrays: Arrays, op: int) -> None:
        """Move to ``retrying`` and let go of the row."""
        arrays.retries.append((op, self.id, self.owner, timedelta(seconds=self.delay), self.remint, self.settled))


@dataclass(frozen=True, slots=True)
class Finished:
    """Whether the outcome was written, the repeats of that command which now wait for it, and whether others began."""

    applied: bool
    repeats: Sequence[Exchange] = ()
    began: bool = False

    def __bool__(self) -> bool:
        """Tell whether it applied."""
        return self.applied


@dataclass(slots=True)
class Finish(Operation[Finished]):
    """Write the outcome and its outbox rows. ``outcome`` ``None`` keeps the one already written.

    ``ties`` are subjects and notes that the row is found by from now on, ``births`` exchanges that begin with its end.
    """

    id: UUID
    owner: UUID | None
    from_state: State
    state: State
    outcome: bytes | None
    code: str | None
    replies: int = 1
    ties: Sequence[tuple[str, str]] = field(default=(), kw_only=True)
    births: Sequence[Operation[Any]] = field(default=(), kw_only=True)
    settled: bool = field(default=False, kw_only=True)
    carries: ClassVar[bool] = True
    edge: ClassVar[bool] = True

    def put(self, arrays: Arrays, op: int) -> None:
        """Move to a final state and find the repeats that were waiting for it."""
        arrays.joins.extend((op, subject, self.id, note) for subject, note in self.ties)
        for birth in self.births:
            birth.put(arrays, op)
        fence = (op, self.id, self.owner, self.from_state)
        arrays.finishes.append((*fence, self.state, self.outcome, self.code, self.replies, self.settled))

    def result(self, *, applied: bool, verdicts: Sequence[asyncpg.Record]) -> Finished:
        """Return the repeats, which the caller answers now."""
        repeats = [verdict["command"] for verdict in verdicts if verdict["command"] is not None]
        began = any(verdict["kind"] == "new" for verdict in verdicts)
        return Finished(applied, [read_exchange(repeat) for repeat in repeats], began)


@dataclass(slots=True)
class Always(Operation[bool]):
    """What is written whatever the rows look like."""

    def result(self, *, applied: bool, verdicts: Sequence[asyncpg.Record]) -> bool:  # noqa: ARG002 — nothing may refuse it
        """Tell that it was written."""
        return True


@dataclass(slots=True)
class Mark(Always):
    """What became of a publish: ``sent``, or ``parked`` with a reason until ``delay`` seconds have passed."""

    row: OutboxRow
    state: str
    reason: str | None = None
    delay: float = 0.0
    edge: ClassVar[bool] = True
    hurries: ClassVar[bool] = False

    def put(self, arrays: Arrays, op: int) -> None:
        """Mark an outbox row."""
        delay = timedelta(seconds=self.delay)
        arrays.marks.append((op, self.row.created_at, self.row.id, self.state, self.reason, delay))


@dataclass(slots=True)
class Lease(Always):
    """The worker lives for ``seconds`` more; beside other writes, because a worker that cannot write serves nobody."""

    worker: UUID
    name: str
    seconds: float

    def put(self, arrays: Arrays, op: int) -> None:
        """Renew the lease."""
        arrays.leases.append((op, self.worker, self.name, timedelta(seconds=self.seconds)))


@dataclass(slots=True)
class Settle(Always):
    """The broker has processed the acks of these rows, of which none has changed meanwhile."""

    ids: Sequence[UUID]
    edge: ClassVar[bool] = True

    def put(self, arrays: Arrays, op: int) -> None:  # noqa: ARG002 — needs no answer of its own
        """Mark rows settled."""
        arrays.settles.extend(self.ids)


@dataclass(slots=True)
class Note(Always):
    """Add proof or outbox rows; the state stays as it is."""

    def put(self, arrays: Arrays, op: int) -> None:
        """Ask for nothing but the rows beside it."""
        arrays.notes.append(op)
