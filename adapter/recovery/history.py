"""One exchange as it went: found by any id of it, told as a row of facts. Shared by ``trace`` and ``proof``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.exchange import State
from adapter.journal.records import Exchange, read_exchange
from adapter.journal.statements import sql
from adapter.recovery.arguments import identity, printable, uuid_of
from adapter.recovery.errors import RecoveryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import asyncpg

#: What an answer can still change (adapter/journal/queries/evidence.sql).
_ANSWERABLE: Final = frozenset({State.SUBMITTING, State.WAITING, State.RETRYING, State.UNCERTAIN, State.EXPIRED})
#: Facts that say which state they led to; the others keep it.
_LED_TO: Final[Mapping[str, State]] = {
    "request": State.SUBMITTING,
    "accepted": State.WAITING,
    "retry": State.RETRYING,
}
#: Who has looked is not a part of what happened.
LOOKED: Final = "revealed"
_MOST_MATCHES: Final = 50
_MOST_OF_A_SUBJECT: Final = 1000


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened to an exchange.

    ``name`` is the proof's kind, or ``received``, ``written``, ``published``, ``parked``, ``pending`` for what the
    inbox and the outbox say. ``size`` counts the bytes that came or went, ``None`` where none did. ``data``,
    ``content`` and ``properties`` are there when the history was read with its bytes.
    """

    at: datetime
    name: str
    state: State
    code: str | None = None
    size: int | None = None
    message_id: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    data: bytes | None = None
    content: bytes | None = None
    properties: bytes | None = None


@dataclass(frozen=True, slots=True)
class History:
    """An exchange and its facts, oldest first."""

    exchange: Exchange
    facts: Sequence[Fact]


async def find(connection: asyncpg.Connection, text: str) -> list[Exchange]:
    """Return the exchanges that an id may mean, oldest first: a row's own id means that row alone."""
    known = identity(text)
    rows = await connection.fetch(sql("find_exchanges"), uuid_of(text), known, _MOST_MATCHES)
    found = [read_exchange(row) for row in rows]
    own = [exchange for exchange in found if exchange.id == uuid_of(text)]
    return own or found


async def find_subject(connection: asyncpg.Connection, text: str) -> list[Exchange]:
    """Return every exchange of a business id, oldest first, with those that have it as an id of their own."""
    rows = await connection.fetch(sql("find_subject"), identity(text), _MOST_OF_A_SUBJECT)
    if not rows:
        return []
    found = {exchange.id: exchange for exchange in [*map(read_exchange, rows), *await find(connection, text)]}
    return sorted(found.values(), key=lambda exchange: (exchange.received_at, exchange.id))


async def find_one(connection: asyncpg.Connection, text: str) -> Exchange:
    """Return the one command that an id means, its repeats left aside. Raises RecoveryError for none and several."""
    found = await find(connection, text)
    commands = [exchange for exchange in found if exchange.repeat_of is None] or found
    if not commands:
        raise RecoveryError("no exchange has this id")
    if len(commands) > 1:
        listed = "\n".join(f"  {exchange.id}  {printable(exchange.action)}  {exchange.state}" for exchange in commands)
        raise RecoveryError(f"several exchanges have this id; name one of them:\n{listed}")
    return commands[0]


async def read_history(connection: asyncpg.Connection, exchange: Exchange, *, with_bytes: bool = False) -> History:
    """Read every fact of an exchange; ``with_bytes`` also what was sent and received."""
    proof = [dict(row.items()) for row in await connection.fetch(sql("history_proof"), exchange.id, with_bytes)]
    outbox = [dict(row.items()) for row in await connection.fetch(sql("history_outbox"), exchange.id, with_bytes)]
    return History(exchange, _fold(exchange, proof, outbox, with_bytes=with_bytes))


def _fold(
    exchange: Exchange, proof: Sequence[Mapping[str, Any]], outbox: Sequence[Mapping[str, Any]], *, with_bytes: bool
) -> list[Fact]:
    """Put the three tables into one order and say the state after each fact."""
    state = State.WAITING if exchange.repeat_of else State.RECEIVED
    facts = [
        Fact(
            exchange.received_at,
            "received",
            state,
            size=exchange.body_size,
            message_id=exchange.message_id,
            notes=_kept({"queue": exchange.source, "refusal": exchange.refusal, "repeat_of": exchange.repeat_of}),
            data=exchange.body if with_bytes else None,
            properties=exchange.properties if with_bytes else None,
        )
    ]
    moments = [(row["at"], 0, row) for row in proof] + [entry for row in outbox for entry in _outbox_moments(row)]
    for at, order, row in sorted(moments, key=lambda entry: (entry[0], entry[1])):
        if order == 0:
            fact = _proof_fact(row, state)
            state = fact.state
        else:
            fact = _outbox_fact(at, order, row, state)
        facts.append(fact)
    return facts


def _outbox_moments(row: Mapping[str, Any]) -> Iterator[tuple[datetime, int, Mapping[str, Any]]]:
    yield row["created_at"], 1, row
    if row["sent_at"] is not None:
        yield row["sent_at"], 2, row


def _proof_fact(row: Mapping[str, Any], before: State) -> Fact:
    meta = orjson.loads(row["meta"]) if row["meta"] else {}
    kind = row["kind"]
    state = State(meta["state"]) if "state" in meta else _LED_TO.get(kind, before)
    if kind == "answer" and before in _ANSWERABLE:
        state = State.ANSWERED
    fault = meta.get("fault") or {}
    names = ("operation", "attempt", "sent", "from", "kind", "source", "by", "host", "reason", "verdicts", "what")
    return Fact(
        row["at"],
        kind,
        state,
        code=meta.get("code") or fault.get("error_code"),
        size=row["bytes"],
        message_id=row["message_id"],
        notes=_kept({name: meta.get(name) for name in names}),
        data=row["data"],
        content=row["content"],
    )


def _outbox_fact(at: datetime, order: int, row: Mapping[str, Any], state: State) -> Fact:
    notes = {"to": row["routing_key"], "kind": row["kind"]}
    if order == 2:
        return Fact(at, "published", state, size=row["bytes"], message_id=row["message_id"], notes=notes)
    name = "written" if row["state"] == "sent" else row["state"]
    return Fact(
        at,
        name,
        state,
        code=row["reason"] if row["state"] == "parked" else None,
        size=row["bytes"],
        message_id=row["message_id"],
        notes=_kept(notes | {"attempts": row["attempts"] or None}),
        data=row["body"],
        properties=row["properties"],
    )


def _kept(notes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in notes.items() if value is not None and value != []}
