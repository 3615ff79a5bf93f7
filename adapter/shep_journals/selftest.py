"""The protocol of a test exchange (order № 104, rules 8 and 9): what was done, when, under which ids, the verdict."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.documents.word import MISSING, Paper
from adapter.journal.statements import sql
from adapter.recovery.history import find

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, tzinfo

    import asyncpg

    from adapter.settings.shep_registry import Service, ShepRegistry

TITLE: Final = "Протокол тестирования интеграции информационной системы со шлюзом «электронного правительства»"
#: Order № 104, rule 15: seconds that the gateway has for a message of each channel.
_RULE_15: Final = {"sync": 60, "async": 180}
_PASSED: Final = {True: "выполнено", False: "не выполнено", None: "к сведению"}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``passed`` is ``None`` for what decides nothing. ``ids`` are by name."""

    name: str
    at: datetime
    passed: bool | None
    ids: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(slots=True)
class Protocol:
    """What is told of one test; ``channel`` is ``sync`` or ``async``."""

    service: Service
    channel: str
    began: datetime
    steps: list[Step] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the exchange of rule 9 was made: every step that decides has passed."""
        return all(step.passed is not False for step in self.steps)


def reply_step(protocol: Protocol, outcome: Mapping[str, Any], at: datetime) -> Step:
    """Return what rule 9 asks for: the message's unique id (asynchronous), the answer (synchronous)."""
    name = "Получено ответное сообщение"
    if protocol.channel == "async":
        name = "Получен уникальный идентификатор сообщения"
    if "error" in outcome:
        error = outcome["error"]
        return Step(name, at, passed=False, note=f"{error.get('error_code', '')}: {error.get('description', '')}")
    result = outcome.get("result") or {}
    told = result if protocol.channel == "async" else result.get("response_info") or {}
    ids = {key: str(told[key]) for key in ("message_id", "correlation_id", "session_id") if told.get(key)}
    status = told.get("status") or {}
    note = f"{status.get('code', '')} {status.get('message', '')}".strip()
    passed = bool(ids.get("message_id")) if protocol.channel == "async" else "response_info" in result
    return Step(name, at, passed=passed, ids=ids, note=note)


async def journaled_steps(connection: asyncpg.Connection, message_id: str, protocol: Protocol) -> list[Step]:
    """Return what the journal says of the exchange: what left, signed by whom, and how its answer was judged."""
    found = await find(connection, message_id)
    if not found:
        return [Step("Обмен найден в журнале", protocol.began, passed=False)]
    exchange = found[0]
    rows = await connection.fetch(sql("load_proof"), exchange.id, ["request", "answer"])
    steps = [Step("Обмен записан в журнал", exchange.received_at, passed=True, ids={"exchange_id": str(exchange.id)})]
    sent = next((row for row in rows if row["kind"] == "request"), None)
    if sent is None:
        return [*steps, Step("Сообщение передано на ШЭП", exchange.received_at, passed=False)]
    data, meta = bytes(sent["data"] or b""), orjson.loads(sent["meta"])
    signed = ", ".join(meta.get("signed_by") or []) or "без транспортной подписи"
    note = f"{meta.get('operation')}, {len(data)} байт, SHA-256 {hashlib.sha256(data).hexdigest()}; подпись: {signed}"
    steps.append(Step("Сообщение передано на ШЭП", sent["at"], passed=True, note=note))
    answer = next((row for row in rows if row["kind"] == "answer"), None)
    if answer is not None:
        steps += _answer_steps(answer, sent["at"], protocol)
    return steps


def _answer_steps(answer: asyncpg.Record, sent: datetime, protocol: Protocol) -> list[Step]:
    verdicts = (orjson.loads(answer["meta"]).get("verdicts") or [{}])[0]
    told = ", ".join(f"{name}: {value}" for name, value in verdicts.items() if isinstance(value, str) and value)
    seconds = (answer["at"] - sent).total_seconds()
    limit = _RULE_15[protocol.channel]
    return [
        Step("Подпись ответа ШЭП проверена", answer["at"], passed=None, note=told or "сервис без подписей"),
        Step("Время ответа ШЭП", answer["at"], None, note=f"{seconds:.2f} с (пункт 15 Правил: до {limit} с)"),
    ]


def as_docx(protocol: Protocol, registry: ShepRegistry, own: str, zone: tzinfo) -> bytes:
    """Return the protocol as a document to be signed; ``own`` is the information system that sent, '' if unknown."""
    service, local = protocol.service, protocol.began.astimezone(zone)
    system = next(row for row in registry.systems if row.key == service.system)
    owner = next(row for row in registry.organisations if row.key == system.owner)
    paper = Paper(TITLE, local, landscape=True)
    paper.heading(TITLE)
    channel = "универсальный синхронный" if protocol.channel == "sync" else "универсальный асинхронный"
    facts = [
        ("Сервис", f"{service.name} ({service.key})"),
        ("Владелец сервиса", f"{owner.name}, БИН {owner.bin}"),
        ("Информационная система владельца", system.name),
        ("Информационная система, направившая сообщение", own or MISSING),
        ("Контур и канал", f"{service.contour}, {channel} канал"),
        ("Дата и время", f"{local:%d.%m.%Y %H:%M:%S} ({zone})"),
        ("Основание", "Пункты 8 и 9 Правил (приказ № 104)"),
    ]
    paper.table((), facts, (1, 2.4))
    paper.heading("Ход тестирования")
    rows = [
        (
            str(number),
            step.name,
            f"{step.at.astimezone(zone):%d.%m.%Y %H:%M:%S.%f}"[:-3],
            "\n".join(f"{name}: {value}" for name, value in step.ids.items()),
            f"{_PASSED[step.passed]}{f': {step.note}' if step.note else ''}",
        )
        for number, step in enumerate(protocol.steps, 1)
    ]
    paper.table(("№", "Шаг", "Время", "Идентификаторы", "Результат"), rows, (0.4, 2, 1.6, 3, 3.4))
    verdict = "интеграция успешна" if protocol.passed else "интеграция не подтверждена"
    what = "получение отправителем уникального идентификатора сообщения"
    if protocol.channel == "sync":
        what = "получение ответного сообщения"
    paper.text("")
    paper.text(f"Вывод: {verdict} (пункт 9 Правил: {what}).", bold=True)
    for who in ("Владелец сервиса", "Пользователь сервиса", "Администратор ШЭП"):
        paper.text(f"{who}: ______________________ / ______________________ /")
    return paper.finished()
