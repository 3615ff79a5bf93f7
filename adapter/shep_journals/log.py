"""Form 6, «Журнал логирования»: every message that went to the ШЭП or came from it, from the journal of exchanges.

A message to the ШЭП was received from the upstream system and then sent; one from the ШЭП was received from the gateway
and then passed on. Passwords and business data are never read out of the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.journal.statements import sql
from adapter.shep_journals.header import Header, read_header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from datetime import datetime

    import asyncpg

    from adapter.settings.shep_registry import ShepRegistry

_GATEWAYS: Final = ["shep", "vshep"]
_MESSAGE: Final = "shep.message"
_STATUS: Final = "shep.status"
_REQUEST: Final = "shep.sync"
_AT_ONCE: Final = 50
_CONTOURS: Final = {"shep": "ШЭП", "vshep": "ВШЭП"}
_STATES: Final = {
    "ON_DELIVERY": "На доставке",
    "DELIVERED": "Доставлено",
    "NOT_DELIVERED": "Не доставлено",
    "DELIVERY_STOPPED": "Доставка остановлена",
}
_KINDS: Final = {
    "sendDeliveryNotification": "Уведомление о доставке",
    "getMessageStatus": "Запрос состояния",
    "getMessages": "Запрос сообщений",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the form, after its number; moments are aware, ``None`` what has not happened."""

    message_id: str
    channel: str
    received: datetime | None
    sent: datetime | None
    kind: str
    sender: str
    receiver: str
    state: str
    service: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Parties:
    """Who is who: names of the registry by service, and our own login."""

    registry: ShepRegistry | None
    own: str

    def owner_of(self, service_id: str) -> str:
        """Return the information system that has a service, and the service's key."""
        service = self.registry.service(service_id) if self.registry else None
        if service is None or self.registry is None:
            return service_id
        system = next((row.short_name for row in self.registry.systems if row.key == service.system), service.system)
        return f"{system} ({service_id})"

    def contour_of(self, service_id: str) -> str:
        """Return where a service is published."""
        service = self.registry.service(service_id) if self.registry else None
        return "ШЭП" if service is None else service.contour


async def read_log(
    connection: asyncpg.Connection, since: datetime, until: datetime, parties: Parties, service_id: str | None = None
) -> list[Entry]:
    """Return the messages of a time, oldest first; ``service_id`` asks for those of one service."""
    states = await _delivery_states(connection, since)
    found: list[Entry] = []
    async with connection.transaction(readonly=True, isolation="repeatable_read"):
        sent = _rows(connection, "shep_sent", since, until, _GATEWAYS)
        found += [_sent(row, parties, states) async for row in sent]
        answers = _rows(connection, "shep_answers", since, until, _GATEWAYS)
        found += [entry async for row in answers for entry in _answered(row, parties)]
        brought = _rows(connection, "shep_brought", since, until, [_MESSAGE, _STATUS, _REQUEST])
        found += [_brought(row, parties) async for row in brought]
        words = _rows(connection, "shep_words", since, until, [_REQUEST])
        found += [_word(row, parties) async for row in words]
    wanted = [entry for entry in found if service_id is None or entry.service == service_id]
    return sorted(wanted, key=lambda entry: entry.at)


async def _rows(connection: asyncpg.Connection, name: str, *arguments: Any) -> AsyncIterator[asyncpg.Record]:
    """Yield rows a few at a time: a message may have megabytes."""
    async for row in connection.cursor(sql(name), *arguments, prefetch=_AT_ONCE):
        yield row


async def _delivery_states(connection: asyncpg.Connection, since: datetime) -> dict[str, str]:
    """Return the newest state that the gateway told of each message of ours since a moment."""
    rows = await connection.fetch(sql("shep_states"), since, _STATUS)
    facts = [orjson.loads(row["meta"])["facts"] for row in rows]
    return {str(fact.get("message_id", "")): str(fact.get("message_state", "")) for fact in facts}


def _sent(row: asyncpg.Record, parties: Parties, states: Mapping[str, str]) -> Entry:
    header = read_header(bytes(row["request"] or b""))
    answer = _json(row["answer"])
    is_message = header.operation == "sendMessage"
    number = str(answer.get("message_id") or "") if is_message else header.message_id
    kind = header.message_type if is_message else _KINDS.get(header.operation, "REQUEST")
    return Entry(
        message_id=number,
        channel=_channel(header, _CONTOURS.get(row["gateway"], "ШЭП")),
        received=row["received_at"],
        sent=row["at"],
        kind=kind,
        sender=header.sender_id or parties.own,
        receiver=parties.owner_of(header.service_id) if header.service_id else _CONTOURS.get(row["gateway"], "ШЭП"),
        state=_STATES.get(states.get(number, "") if is_message else "") or _state(row, answered=bool(answer)),
        service=header.service_id,
        at=row["at"],
    )


def _state(row: asyncpg.Record, *, answered: bool) -> str:
    """Tell what became of a message that was sent."""
    if answered:
        return "Принято ШЭП"
    state, code = row["state"], row["outcome_code"]
    told = {
        "submitting": "Отправляется",
        "retrying": "Ожидает повторной отправки",
        "waiting": "Принято ШЭП",
        "uncertain": "Неизвестно, принято ли ШЭП",
        "expired": "Срок истёк до ответа",
    }
    return told.get(state) or (f"Отказ: {code}" if code else "Отправлено")


def _answered(row: asyncpg.Record, parties: Parties) -> Iterator[Entry]:
    """Yield the messages in an answer: the answer of a service, or what was fetched; receipts are none.

    A later message of a chain is an exchange of its own, which was brought.
    """
    answer, header = _json(row["answer"]), read_header(bytes(row["request"] or b""))
    infos: list[Mapping[str, Any]] = []
    if header.operation == "SendMessage" and "response_info" in answer:
        infos = [{"message_type": "RESPONSE", "service_id": header.service_id, **answer["response_info"]}]
    elif header.operation == "getMessages":
        infos = [message.get("message_info") or {} for message in answer.get("messages") or []]
    for info in infos:
        service_id = str(info.get("service_id") or header.service_id)
        sender = (info.get("sender") or {}).get("sender_id") or info.get("sender_id") or parties.owner_of(service_id)
        yield Entry(
            message_id=str(info.get("message_id") or ""),
            channel=_channel(header, _CONTOURS.get(row["gateway"], "ШЭП")),
            received=row["at"],
            sent=row["passed_at"],
            kind=str(info.get("message_type") or ""),
            sender=str(sender),
            receiver=header.sender_id or parties.own,
            state=_passed(row["passed_at"]),
            service=service_id,
            at=row["at"],
        )


def _brought(row: asyncpg.Record, parties: Parties) -> Entry:
    facts = orjson.loads(row["meta"])["facts"]
    service_id, action = str(facts.get("service_id") or ""), row["action"]
    kind = str(facts.get("message_type") or "REQUEST")
    own = parties.owner_of(service_id) if kind == "REQUEST" else parties.own
    passed = row["passed_at"] or (row["finished_at"] if row["state"] == "replied" else None)
    contour = parties.contour_of(service_id)
    channel = "Синхронный" if action == _REQUEST else "Асинхронный"
    state = _passed(passed) if row["state"] != "dead" else f"Остановлено: {row['outcome_code'] or ''}".rstrip(": ")
    if action == _STATUS:
        kind, own = "Уведомление о статусе", parties.own
        state = _STATES.get(str(facts.get("message_state") or ""), state)
    return Entry(
        message_id=str(facts.get("message_id") or ""),
        channel=f"{channel} ({contour})",
        received=row["at"],
        sent=passed,
        kind=kind,
        sender=contour if action == _STATUS else str(facts.get("sender_id") or ""),
        receiver=own,
        state=state,
        service=service_id,
        at=row["at"],
    )


def _word(row: asyncpg.Record, parties: Parties) -> Entry:
    """Return our answer to a synchronous request."""
    facts = orjson.loads(row["meta"])["facts"]
    service_id = str(facts.get("service_id") or "")
    return Entry(
        message_id=str(facts.get("message_id") or ""),
        channel=f"Синхронный ({parties.contour_of(service_id)})",
        received=row["received_at"],
        sent=row["at"],
        kind="RESPONSE",
        sender=parties.owner_of(service_id),
        receiver=str(facts.get("sender_id") or ""),
        state="Ответ дан",
        service=service_id,
        at=row["at"],
    )


def _channel(header: Header, contour: str) -> str:
    return f"{'Синхронный' if header.operation == 'SendMessage' else 'Асинхронный'} ({contour})"


def _passed(at: datetime | None) -> str:
    return "Ожидает передачи получателю" if at is None else "Передано получателю"


def _json(content: bytes | None) -> Mapping[str, Any]:
    """Return an answer's JSON object; an empty one where there is none."""
    try:
        tree = orjson.loads(content) if content else {}
    except orjson.JSONDecodeError:
        return {}
    return tree if isinstance(tree, dict) else {}


def entries_in(entries: Sequence[Entry]) -> list[list[Any]]:
    """Return the rows of the form, numbered from 1: its nine columns."""
    return [
        [number, one.message_id, one.channel, one.received, one.sent, one.kind, one.sender, one.receiver, one.state]
        for number, one in enumerate(entries, 1)
    ]
