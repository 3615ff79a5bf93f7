"""The console's words: Russian stands in the templates, English in english.json; names of states and facts in both.

What upstream systems read (rules of fields, sentences of errors) is Russian in both languages: it is what they read.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Key: (Russian, English).
_NAMED: Final[Mapping[str, tuple[str, str]]] = {
    "state.received": ("принята", "received"),
    "state.submitting": ("отправляется", "submitting"),
    "state.waiting": ("ждёт ответа", "waiting"),
    "state.answered": ("ответ получен", "answered"),
    "state.replied": ("исполнена", "replied"),
    "state.rejected": ("отклонена", "rejected"),
    "state.failed": ("отказ", "failed"),
    "state.retrying": ("ждёт повтора", "retrying"),
    "state.uncertain": ("исход неизвестен", "uncertain"),
    "state.expired": ("срок истёк", "expired"),
    "state.dead": ("остановлена", "dead"),
    "fact.received": ("Команда принята из очереди", "Command taken from its queue"),
    "fact.incoming": ("Сообщение шлюза прочитано", "Message of the gateway read"),
    "fact.request": ("Запрос записан и отправлен", "Request journaled and sent"),
    "fact.accepted": ("Шлюз принял запрос", "Gateway took the request"),
    "fact.refused": ("Шлюз отказал", "Gateway refused"),
    "fact.retry": ("Попытка без ответа", "Attempt without an answer"),
    "fact.unanswered": ("Ответа нет, не повторяется", "No answer: not repeated"),
    "fact.answer": ("Получен ответ", "Answer received"),
    "fact.status": ("Получен статус", "Status received"),
    "fact.outcome": ("Исход записан", "Outcome written"),
    "fact.replayed": ("Повторено человеком", "Replayed by a person"),
    "fact.dropped": ("Закрыто человеком", "Closed by a person"),
    "fact.resolved": ("Решено человеком", "Resolved by a person"),
    "fact.revealed": ("Содержимое раскрыто в командной строке", "Contents revealed on the command line"),
    "fact.written": ("Сообщение записано", "Message written"),
    "fact.published": ("Сообщение отправлено", "Message published"),
    "fact.parked": ("Сообщение никто не принял", "No queue took the message"),
    "fact.pending": ("Сообщение ждёт отправки", "Message waits to be published"),
    "note.attempt": ("попытка", "attempt"),
    "note.by": ("кто:", "by"),
    "note.reason": ("причина:", "reason:"),
    "note.what": ("что:", "what:"),
    "note.refusal": ("причина:", "because:"),
    "deed.revealed": ("раскрыто содержимое", "contents revealed"),
    "deed.downloaded": ("скачаны точные байты", "exact bytes downloaded"),
    "deed.published": ("отправлено в очередь", "sent to the queue"),
    "deed.sent": ("запрос дошёл", "said to have arrived"),
    "deed.not-sent": ("запрос не дошёл", "said not to have arrived"),
    "deed.replay": ("повторено", "replayed"),
    "deed.drop": ("закрыто", "closed"),
    "deed.delivered": ("ответ доставлен вручную", "reply delivered by hand"),
    "deed.edited": ("изменено", "edited"),
    "judged.trusted": ("доверенный", "trusted"),
    "judged.untrusted": ("недоверенный", "untrusted"),
    "judged.valid": ("действует", "valid"),
    "judged.expired": ("истёк", "expired"),
    "judged.not-yet-valid": ("ещё не действует", "not yet valid"),
    "judged.good": ("не отозван", "not revoked"),
    "judged.revoked": ("отозван", "revoked"),
    "judged.unchecked": ("не проверялось", "unchecked"),
    "message.reply": ("ответ", "reply"),
    "message.event": ("событие", "event"),
    "parked.unroutable": ("очереди нет", "no such queue"),
    "parked.refused": ("брокер отказал", "refused by the broker"),
    "parked.": ("—", "—"),
    "unit.day": ("д", "d"),
    "unit.hour": ("ч", "h"),
    "unit.minute": ("мин", "min"),
    "unit.second": ("с", "s"),
    "unit.byte": ("Б", "B"),
    "unit.kibibyte": ("КиБ", "KiB"),
    "operation.put-case": ("Заложено в ячейку", "Put into a cell"),
    "operation.issue": ("Выдано заявителю", "Handed out"),
    "operation.back": ("Изъято сотрудником", "Taken back"),
    "its answer is read again": ("ответ шлюза будет прочитан заново", "its answer is read again"),
    "its call may have been taken: it goes on by its repeat rule, under the same id": (
        "запрос мог уйти: дальше по правилу повтора его операции, под тем же номером",
        "its call may have been taken: it goes on by its repeat rule, under the same id",
    ),
    "it is run again": ("команда исполнится заново", "it is run again"),
}
#: Sentences of adapter/recovery, which are written for a terminal, as a Russian page says them.
_RECOVERY: Final = tuple(
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (r"(?:\S+ )?is (\w+), not (?:dead|uncertain).*", "обмен уже в состоянии «{0}»"),
        (r"was dropped before", "уже закрыто"),
        (r"its x-deadline has passed.*", "срок команды (x-deadline) прошёл: дайте ей времени, например 2h"),
        (r"is not parked any more.*", "сообщение уже ушло, или его сейчас доставляет адаптер"),
        (r"no queue takes it: declare (\S+);.*", "очереди {0} нет: объявите её; сообщение остаётся"),
        (r"the broker refuses it.*", "брокер отказал; сообщение остаётся"),
        (r"the broker did not confirm it.*", "брокер не подтвердил приём; сообщение уйдёт снова под тем же message_id"),
        (r"cannot talk to .*", "RabbitMQ не отвечает"),
        (r"must be a length of time.*", "время пишется так: 30s, 15m, 2h или 3d"),
        (r"no exchange has this id", "такого обмена в журнале нет"),
    )
)


@cache
def english() -> Mapping[str, str]:
    """Return English for the Russian words of templates and handlers."""
    found: dict[str, str] = orjson.loads((Path(__file__).parent / "english.json").read_bytes())
    return found


def translator(language: str) -> Callable[..., str]:
    """Return what says a word of the console in ``language``; values take the places of ``{name}``."""
    column = 0 if language == "ru" else 1

    def say(key: str, **values: Any) -> str:
        named = _NAMED.get(key)
        told = named[column] if named else key if language == "ru" else english().get(key, key)
        if not named and language == "ru":
            told = _russian(key)
        return told.format(**values) if values else told

    return say


def _russian(sentence: str) -> str:
    for pattern, russian in _RECOVERY:
        found = pattern.fullmatch(sentence)
        if found:
            return russian.format(*(_NAMED.get(f"state.{part}", (part,))[0] for part in found.groups()))
    return sentence
