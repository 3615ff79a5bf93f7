"""``adapter trace ID``: the way of one exchange, fact by fact, or all exchanges of a business id; no contents."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.recovery.arguments import printable
from adapter.recovery.door import carry_out
from adapter.recovery.environment import database_address, open_journal
from adapter.recovery.errors import RecoveryError
from adapter.recovery.history import find, find_subject, read_history

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from adapter.journal.records import Exchange
    from adapter.recovery.history import Fact, History

_SENTENCES: Final[Mapping[str, str]] = {
    "received": "command journaled",
    "incoming": "message of a gateway read",
    "request": "request journaled, then sent",
    "accepted": "taken by the gateway",
    "refused": "refused by the gateway",
    "retry": "attempt without an answer",
    "unanswered": "no answer: not repeated",
    "answer": "answer journaled",
    "status": "status journaled",
    "outcome": "outcome written",
    "replayed": "replayed by a person",
    "dropped": "dropped by a person",
    "resolved": "resolved by a person",
    "revealed": "contents revealed",
    "written": "message written",
    "published": "message published",
    "parked": "message parked",
    "pending": "message waits to be published",
}
_SHOWN: Final = ("to", "operation", "attempt", "sent", "attempts", "what", "by", "reason", "refusal")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("trace", help="the timeline of one exchange, found by any id of it")
    parser.add_argument(
        "id", metavar="ID", help="exchange id, message_id, correlation_id, the gateway's MessageID, or a business id"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for machines")
    parser.set_defaults(run=lambda options: carry_out(_trace(options)))


async def _trace(options: argparse.Namespace) -> int:
    async with open_journal(database_address(os.environ)) as connection:
        conversation = await find_subject(connection, options.id)
        found = await find(connection, options.id) if len(conversation) < 2 else []
        if not found and not conversation:
            raise RecoveryError("no exchange has this id")
        one = found or conversation
        history = await read_history(connection, one[0]) if len(one) == 1 else None
    if options.json:
        listed = {"matches": found} if found else {"conversation": conversation}
        told = _as_json(history) if history else {name: [*map(_head, them)] for name, them in listed.items()}
        print(orjson.dumps(told, default=str).decode())
    else:
        for line in _as_text(history) if history else _matches(found) if found else _conversation(conversation):
            print(printable(line))
    return 0


def _head(exchange: Exchange) -> dict[str, Any]:
    return {
        "id": str(exchange.id),
        "action": exchange.action,
        "direction": "in" if exchange.is_request else "out",
        "state": exchange.state,
        "code": exchange.outcome_code,
        "received_at": exchange.received_at,
        "deadline": exchange.deadline,
        "message_id": exchange.message_id,
        "correlation_id": exchange.correlation,
        "gateway": exchange.gateway,
        "gateway_id": exchange.gateway_id,
        "repeat_of": str(exchange.repeat_of) if exchange.repeat_of else None,
        "attempts": exchange.attempts,
        "crash_attempts": exchange.crash_attempts,
        "replies": exchange.replies,
    }


def _as_json(history: History) -> dict[str, Any]:
    timeline = [
        {
            "at": fact.at,
            "event": fact.name,
            "state": fact.state,
            "code": fact.code,
            "bytes": fact.size,
            "message_id": fact.message_id,
            "notes": fact.notes,
        }
        for fact in history.facts
    ]
    return {"exchange": _head(history.exchange), "timeline": timeline}


def _as_text(history: History) -> list[str]:
    told = _head(history.exchange)
    for name in ("received_at", "deadline"):
        told[name] = f"{told[name]:%Y-%m-%d %H:%M:%S} UTC"
    lines = [f"{name:<16}{value}" for name, value in told.items() if value is not None]
    return [*lines, "", *(_line(fact) for fact in history.facts)]


def _line(fact: Fact) -> str:
    size = "" if fact.size is None else f"{fact.size} B"
    notes = " ".join(f"{name}={fact.notes[name]}" for name in _SHOWN if name in fact.notes)
    moment = f"{fact.at:%Y-%m-%d %H:%M:%S}.{fact.at.microsecond // 1000:03}"
    sentence = _SENTENCES.get(fact.name, fact.name)
    return f"{moment}  {fact.state:<11}{sentence:<31}{size:>11}  {fact.code or '':<26}{notes}".rstrip()


def _matches(found: Sequence[Exchange]) -> list[str]:
    lines = [f"{len(found)} exchanges have this id; trace one of them:"]
    for exchange in found:
        repeat = f"  repeat of {exchange.repeat_of}" if exchange.repeat_of else ""
        received = f"{exchange.received_at:%Y-%m-%d %H:%M:%S}"
        lines.append(f"  {exchange.id}  {received}  {exchange.action}  {exchange.state}{repeat}")
    return lines


def _conversation(found: Sequence[Exchange]) -> list[str]:
    """Tell both directions of a business id in order: ``in`` began at a gateway, ``out`` by a command."""
    lines = [f"{len(found)} exchanges belong to this id, oldest first; trace one of them by its own id:"]
    for exchange in found:
        direction = "in " if exchange.is_request else "out"
        moment = f"{exchange.received_at:%Y-%m-%d %H:%M:%S}.{exchange.received_at.microsecond // 1000:03}"
        said = f"{exchange.state}{f' {exchange.outcome_code}' if exchange.outcome_code else ''}"
        repeat = f"  repeat of {exchange.repeat_of}" if exchange.repeat_of else ""
        lines.append(f"  {moment}  {direction}  {exchange.action:<28}  {said:<28}  {exchange.id}{repeat}")
    return lines
