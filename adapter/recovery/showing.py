"""What ``adapter dead show`` tells of one parked thing: why it stands, how often it was tried, where its bytes are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapter.exchange import State
from adapter.recovery.dead import dropped, note_revealed, plan
from adapter.recovery.errors import RecoveryError
from adapter.recovery.history import read_history
from adapter.recovery.masking import masked_body, masked_outcome, readable
from adapter.recovery.parked import load_body

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

    from adapter.journal.records import Exchange
    from adapter.recovery.environment import Operator
    from adapter.recovery.parked import ParkedMessage


async def show_command(
    connection: asyncpg.Connection, exchange: Exchange, now: datetime, reveal: Operator | None
) -> dict[str, Any]:
    """Return what a person needs to judge a dead command; contents masked unless ``reveal`` says who asks and why.

    The revealing is journaled before anything is returned. Raises RecoveryError for a command that is not dead.
    """
    if exchange.state is not State.DEAD:
        raise RecoveryError(f"{exchange.id} is {exchange.state}, not dead; adapter trace tells its way")
    if reveal is not None:
        await note_revealed(connection, exchange.id, reveal, "command and outcome")
    history = await read_history(connection, exchange)
    ends = [fact for fact in history.facts if fact.name == "outcome"]
    try:
        replay = (await plan(connection, exchange, None, now)).sentence
    except RecoveryError as error:
        replay = str(error)
    return {
        "id": str(exchange.id),
        "what": "command",
        "action": exchange.action,
        "state": "dead, dropped" if await dropped(connection, exchange.id) else "dead",
        "code": exchange.outcome_code,
        "died_in": ends[-1].notes.get("from") if ends else None,
        "received_at": exchange.received_at.isoformat(),
        "died_at": exchange.finished_at.isoformat() if exchange.finished_at else None,
        "attempts": exchange.attempts,
        "crash_attempts": exchange.crash_attempts,
        "replies": exchange.replies,
        "message_id": exchange.message_id,
        "correlation_id": exchange.correlation,
        "gateway_id": exchange.gateway_id,
        "on_replay": replay,
        "bytes": [
            {"at": fact.at.isoformat(), "fact": fact.name, "bytes": fact.size}
            for fact in history.facts
            if fact.size is not None
        ],
        "outcome": readable(exchange.outcome) if reveal else masked_outcome(exchange.outcome),
        "body": readable(exchange.body) if reveal else masked_body(exchange.body),
    }


async def show_message(
    connection: asyncpg.Connection, message: ParkedMessage, reveal: Operator | None
) -> dict[str, Any]:
    """Return what a person needs to judge a parked message, its body masked unless ``reveal`` says who and why."""
    if reveal is not None:
        await note_revealed(connection, message.exchange_id, reveal, message.kind)
    body = await load_body(connection, message)
    return {
        "id": str(message.id),
        "what": message.kind,
        "action": message.action,
        "state": "parked",
        "code": message.code,
        "exchange_id": str(message.exchange_id),
        "parked_at": message.at.isoformat(),
        "attempts": message.attempts,
        "next_at": message.next_at.isoformat() if message.next_at else None,
        "exchange_on_broker": message.target or "(default)",
        "routing_key": message.routing_key,
        "on_replay": "it is published again under the same message_id",
        "bytes": [{"at": message.created_at.isoformat(), "fact": "outbox", "bytes": message.size}],
        "body": readable(body) if reveal else masked_outcome(body) if message.kind == "reply" else masked_body(body),
    }
