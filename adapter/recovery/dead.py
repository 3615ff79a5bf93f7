"""Dead commands: listed, run again, closed. See docs/decisions/0015-replay-inside-the-journal.md.

A replay is a move inside the journal, in one transaction: it can be made or not, but not lost, and there is one row of
the command before and after it. Whether bytes may have left is carried over, so that the operation's repeat rule
decides as it would after a crash.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.broker.topology import Names
from adapter.errors import Code
from adapter.exchange import State
from adapter.journal.commit import commit
from adapter.journal.operations import Note
from adapter.journal.records import Exchange, ProofRow, read_exchange
from adapter.journal.statements import sql
from adapter.pipeline.envelope import read_envelope
from adapter.recovery.errors import RecoveryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    import asyncpg

    from adapter.recovery.arguments import Filter
    from adapter.recovery.environment import Operator

#: Died in one of these, bytes may have left and nothing in the journal says otherwise.
_MAY_HAVE_LEFT: Final = frozenset({State.SUBMITTING, State.WAITING})


@dataclass(frozen=True, slots=True)
class DeadCommand:
    """One dead command in a list. ``died_in`` is the state it died in, ``size`` counts the bytes of its body."""

    id: UUID
    action: str
    code: str
    at: datetime
    attempts: int
    crash_attempts: int
    died_in: str | None
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay does to a row: ``maybe_sent`` when an attempt may have reached the gateway."""

    state: State
    deadline: datetime
    span: timedelta
    maybe_sent: bool

    @property
    def sentence(self) -> str:
        """What a worker will do with it."""
        if self.state is State.ANSWERED:
            return "its answer is read again"
        if self.maybe_sent:
            return "its call may have been taken: it goes on by its repeat rule, under the same id"
        return "it is run again"


async def list_dead(connection: asyncpg.Connection, wanted: Filter) -> list[DeadCommand]:
    """Return the dead commands that nobody has dropped, oldest first."""
    rows = await connection.fetch(sql("parked_commands"), *wanted.columns)
    return [
        DeadCommand(
            id=row["id"],
            action=row["action"],
            code=row["code"] or "",
            at=row["at"],
            attempts=row["attempts"],
            crash_attempts=row["crash_attempts"],
            died_in=orjson.loads(row["meta"]).get("from") if row["meta"] else None,
            size=row["bytes"],
        )
        for row in rows
    ]


async def plan(connection: asyncpg.Connection, exchange: Exchange, more: timedelta | None, now: datetime) -> Plan:
    """Say what a replay would do. Raises RecoveryError when the row is not dead or its own deadline has passed."""
    if exchange.state is not State.DEAD:
        raise RecoveryError(f"is {exchange.state}, not dead: nothing to replay")
    facts = await connection.fetch(sql("load_proof"), exchange.id, ["outcome", "replayed", "answer"])
    metas = [(row["kind"], orjson.loads(row["meta"] or b"{}")) for row in facts]
    outcomes = [meta for kind, meta in metas if kind == "outcome"]
    died_in = outcomes[-1].get("from") if outcomes else None
    span = _span(exchange, [meta for kind, meta in metas if kind == "replayed"])
    answered = any(kind == "answer" and exchange.gateway_id in (None, meta.get("reference")) for kind, meta in metas)
    if answered:
        return Plan(State.ANSWERED, exchange.deadline, span, maybe_sent=False)
    maybe_sent = exchange.gateway_id is not None and (died_in is None or State(died_in) in _MAY_HAVE_LEFT)
    return Plan(State.RECEIVED, _deadline(exchange, span, more, now), span, maybe_sent)


def _span(exchange: Exchange, replays: Sequence[Mapping[str, Any]]) -> timedelta:
    """Return the time that the command was given at first; later deadlines are ours."""
    if replays and "span" in replays[0]:
        return timedelta(seconds=replays[0]["span"])
    return exchange.deadline - exchange.received_at


def _deadline(exchange: Exchange, span: timedelta, more: timedelta | None, now: datetime) -> datetime:
    if more is not None:
        return now + more
    if exchange.deadline > now:
        return exchange.deadline
    if read_envelope(exchange.properties, names=Names(), actions=()).deadline is not None:
        raise RecoveryError("its x-deadline has passed: give it time by --deadline, or tell its sender")
    return now + span


async def replay_command(
    connection: asyncpg.Connection, exchange_id: UUID, operator: Operator, *, more: timedelta | None = None
) -> Plan:
    """Hand a dead command back to the workers, in one transaction; ``more`` is time from now on.

    Raises RecoveryError when it is not dead (any more), or when its own deadline has passed and ``more`` is not given.
    """
    async with connection.transaction():
        row = await connection.fetchrow(sql("lock_exchange"), exchange_id)
        if row is None:
            raise RecoveryError("no exchange has this id")
        exchange = read_exchange(row)
        made = await plan(connection, exchange, more, datetime.now(UTC))
        await connection.fetch(sql("replay"), exchange_id, made.state, made.deadline)
        meta = operator.meta(
            what="command",
            **{"from": State.DEAD},
            state=made.state,
            code=exchange.outcome_code,
            crash_attempts=exchange.crash_attempts,
            span=made.span.total_seconds(),
        )
        proof = [ProofRow(exchange_id, "replayed", exchange.message_id, exchange.outcome, meta=meta)]
        if made.maybe_sent:
            # What a crash in the middle of a call leaves unsaid is said here: the repeat rule asks for it.
            lost = {"code": Code.DEAD.wire, "attempt": exchange.attempts, "sent": True, "state": made.state}
            proof.append(ProofRow(exchange_id, "retry", exchange.gateway_id, meta=orjson.dumps(lost)))
        await commit(connection, exchange_id, [Note(proof=proof)])
    return made


async def drop_command(connection: asyncpg.Connection, exchange_id: UUID, operator: Operator) -> None:
    """Close a dead command: it stays dead and is listed no more; nothing is deleted. Raises RecoveryError."""
    async with connection.transaction():
        row = await connection.fetchrow(sql("lock_exchange"), exchange_id)
        if row is None:
            raise RecoveryError("no exchange has this id")
        if row["state"] != State.DEAD:
            raise RecoveryError(f"is {row['state']}, not dead: nothing to drop")
        if await dropped(connection, exchange_id):
            raise RecoveryError("was dropped before")
        meta = operator.meta(what="command", state=State.DEAD, code=row["outcome_code"])
        await commit(connection, exchange_id, [Note(proof=[ProofRow(exchange_id, "dropped", meta=meta)])])


async def dropped(connection: asyncpg.Connection, exchange_id: UUID) -> bool:
    """Tell whether the last word on a dead command is that it was dropped."""
    facts = await connection.fetch(sql("load_proof"), exchange_id, ["outcome", "dropped"])
    return bool(facts) and facts[-1]["kind"] == "dropped"


async def note_revealed(connection: asyncpg.Connection, exchange_id: UUID, operator: Operator, what: str) -> None:
    """Journal that somebody is about to see contents, before they do."""
    proof = ProofRow(exchange_id, "revealed", meta=operator.meta(what=what))
    await commit(connection, exchange_id, [Note(proof=[proof])])


async def living_workers(connection: asyncpg.Connection) -> int:
    """Count the workers whose lease holds."""
    return int(await connection.fetchval(sql("living_workers")))
