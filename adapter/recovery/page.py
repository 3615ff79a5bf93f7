"""The page of a proof that people read and print: in Russian, plain text, one sheet. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from adapter.exchange import State
from adapter.recovery.arguments import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from adapter.journal.records import Exchange
    from adapter.recovery.history import Fact

_WIDTH: Final = 118
#: Rows that fit one sheet in landscape; the middle of a longer history stands in the manifest alone.
_MOST_FACTS: Final = 28
_MOST_VERDICTS: Final = 6

_STATES: Final[Mapping[State, str]] = {
    State.RECEIVED: "принята",
    State.SUBMITTING: "отправляется",
    State.WAITING: "ждёт ответа",
    State.ANSWERED: "ответ получен",
    State.REPLIED: "исполнена",
    State.REJECTED: "отклонена",
    State.FAILED: "отказ",
    State.RETRYING: "ждёт повтора",
    State.UNCERTAIN: "исход неизвестен",
    State.EXPIRED: "срок истёк",
    State.DEAD: "остановлена",
}
_EVENTS: Final[Mapping[str, str]] = {
    "received": "Команда принята",
    "incoming": "Сообщение шлюза прочитано",
    "request": "Запрос подписан, отправляется",
    "accepted": "Шлюз принял запрос",
    "refused": "Шлюз отказал",
    "retry": "Попытка без ответа",
    "unanswered": "Ответа нет, не повторяется",
    "answer": "Получен ответ",
    "status": "Получен статус",
    "outcome": "Исход записан",
    "replayed": "Запущено повторно оператором",
    "dropped": "Закрыто оператором",
    "resolved": "Разрешено оператором",
    "written": "Сообщение заказчику записано",
    "published": "Сообщение заказчику отправлено",
    "parked": "Сообщение никто не принял",
    "pending": "Сообщение ждёт отправки",
}
_JUDGED: Final[Mapping[str, str]] = {
    "trusted": "доверенный",
    "untrusted": "недоверенный",
    "valid": "действует",
    "expired": "истёк",
    "not-yet-valid": "ещё не действует",
    "good": "не отозван",
    "revoked": "отозван",
    "unchecked": "не проверялось",
}


def page(
    exchange: Exchange,
    facts: Sequence[Fact],
    files: Mapping[int, str],
    verdicts: Sequence[Mapping[str, Any]],
    certificates: int,
) -> str:
    """Return the page. ``files`` names the file of a fact by its place; ``verdicts`` are those of verdicts.json."""
    lines = ["СВИДЕТЕЛЬСТВО ОБ ОБМЕНЕ", "=" * _WIDTH, *_head(exchange), "", "ХРОНОЛОГИЯ (время всемирное, UTC)", ""]
    lines += _timeline(facts, files)
    lines += ["", "ПОДПИСИ В ПОЛУЧЕННЫХ СООБЩЕНИЯХ", "", *_signatures(verdicts)]
    lines += [
        "",
        "СОСТАВ И ЦЕЛОСТНОСТЬ",
        "",
        "Пронумерованные файлы содержат отправленное и полученное байт в байт. Контрольные суммы SHA-256 файлов —",
        f"в manifest.json, проверки подписей — в verdicts.json, сертификаты ({certificates}) — в certificates/.",
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(exchange: Exchange) -> list[str]:
    pairs = (
        ("Обмен", str(exchange.id)),
        ("Действие", exchange.action),
        ("Состояние", f"{_STATES[exchange.state]} ({exchange.state})"),
        ("Код исхода", exchange.outcome_code),
        ("Команда принята", _moment(exchange.received_at)),
        ("Исход записан", _moment(exchange.finished_at) if exchange.finished_at else None),
        ("message_id команды", exchange.message_id),
        ("correlation_id", exchange.correlation),
        ("MessageID запроса", f"{exchange.gateway_id} ({exchange.gateway})" if exchange.gateway_id else None),
        ("SHA-256 команды", exchange.body_sha256.hex()),
    )
    return [f"{name:<20}{_cut(value, _WIDTH - 20)}" for name, value in pairs if value]


def _timeline(facts: Sequence[Fact], files: Mapping[int, str]) -> list[str]:
    lines = [_row("№", "Время", "Событие", "Состояние", "Код", "Байт", "Файл"), "-" * _WIDTH]
    half = _MOST_FACTS // 2
    hidden = max(0, len(facts) - _MOST_FACTS)
    for number, fact in enumerate(facts):
        if hidden and half <= number < half + hidden:
            if number == half:
                lines.append(f"    … ещё событий: {hidden}, все они — в manifest.json")
            continue
        size = "" if fact.size is None else str(fact.size)
        lines.append(
            _row(
                str(number + 1),
                _moment(fact.at),
                _EVENTS.get(fact.name, fact.name),
                _STATES[fact.state],
                fact.code or "",
                size,
                files.get(number, ""),
            )
        )
    return lines


def _row(*cells: str) -> str:
    number, moment, event, state, code, size, file = cells
    return f"{number:>3} {moment:<23} {event:<31}{state:<17}{_cut(code, 19):<19} {size:>8} {_cut(file, 24)}"


def _signatures(verdicts: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for verdict in verdicts[:_MOST_VERDICTS]:
        place = str(verdict.get("parent") or verdict.get("element") or "").rpartition("}")[2] or "подпись"
        judged = "верна" if verdict.get("math") else "НЕВЕРНА"
        rest = "; ".join(
            f"{name}: {_JUDGED.get(str(verdict.get(key, 'unchecked')), str(verdict.get(key)))}"
            for name, key in (("сертификат", "trust"), ("срок", "period"), ("отзыв", "revocation"))
        )
        lines.append(_cut(f"{verdict['file']}: {place} — математически {judged}; {rest}", _WIDTH))
    if len(verdicts) > _MOST_VERDICTS:
        lines.append(f"… ещё подписей: {len(verdicts) - _MOST_VERDICTS}, все они — в verdicts.json")
    return lines or ["Проверок подписей в журнале нет."]


def _moment(at: datetime) -> str:
    return f"{at:%d.%m.%Y %H:%M:%S}.{at.microsecond // 1000:03}"


def _cut(text: str, width: int) -> str:
    text = printable(text)
    return text if len(text) <= width else text[: width - 1] + "…"
