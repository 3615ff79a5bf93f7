"""An incident of ЕПГУ as Приложение 2 of its specification asks for it: what is journaled of a call, in eight points.

What the journal does not have is told as such. The token is in no record. For the productive environment the request
is made impersonal: values of its body and query that are no codes of the API are hidden, and texts are searched for
personal data. Source: seeds/003_77f5074edb620939.txt, Приложение 2. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson

from adapter.documents.letter import Letter, Point
from adapter.gateways.epgu.follow_news import PROCESS_FAILED
from adapter.gateways.epgu.profiles import MOSCOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from adapter.journal.records import Exchange
    from adapter.recovery.history import Fact, History

ADDRESS: Final = "sd@sc.digital.gov.ru"
UNKNOWN: Final = "не получено"
PROD: Final = "PROD"
_HOST_OF_PROD: Final = "www.gosuslugi.ru"
#: What was being done, by the operation of the call.
_DOING: Final = {
    "order": "при получении orderId",
    "push": "при отправке заявления единым методом",
    "push-chunked": "при загрузке архива по частям",
    "cancel": "при отмене заявления",
    "details": "при получении деталей заявления",
    "statuses": "при получении статусов по списку заявлений",
    "updated-after": "при получении статусов с даты обновления",
    "dictionary": "при получении справочных данных",
    "file": "при скачивании файла",
}
#: Fields of a request that name no person: they stay for the productive environment too.
_IMPERSONAL: Final = frozenset(
    {
        "region", "serviceCode", "targetCode", "orderId", "orderIds", "chunk", "chunks", "pageNum", "pageSize",
        "updatedAfter", "treeFiltering", "eserviceCode", "size", "meta", "fields", "file",
    }
)  # fmt: skip
_HIDDEN: Final = "[скрыто]"
_FACTS: Final = frozenset({"answer", "accepted", "refused", "retry", "unanswered"})
#: СНИЛС, passports, phones, e-mail, names with a patronymic; numbers of orders and codes of services are let through.
_PERSONAL: Final = (
    re.compile(r"[^\s@<>\"']{1,64}@[^\s@<>\"',;]{1,255}"),
    re.compile(r"eyJ[\w-]{4,}\.[\w.-]*"),
    re.compile(r"\b\d{3}-\d{3}-\d{3}[ -]\d{2}\b"),
    re.compile(r"\b\d{2} ?\d{2} \d{6}\b"),
    re.compile(r"(?<![\w-])\+?\d(?:[ ()-]{0,2}\d){9,}(?!\w)"),
    re.compile(r"\b[А-ЯЁ][а-яё-]+\s+[А-ЯЁ][а-яё-]+\s+[А-ЯЁ][а-яё]+(?:вич|вна|ич|ична|оглы|кызы)\w{0,3}\b"),
    re.compile(r"\b[А-ЯЁ][а-яё-]+\s+[А-ЯЁ]\.\s?[А-ЯЁ]\."),
)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who files an incident: ``mnemonic`` of the system, ``environment`` of ЕПГУ, and what people have to say."""

    mnemonic: str
    environment: str
    description: str = ""
    analysis: str = ""


@dataclass(frozen=True, slots=True)
class _Case:
    """One call of an exchange, and all of them by the moments they were journaled."""

    exchange: Exchange
    sender: Sender
    calls: Sequence[tuple[Fact, Mapping[str, Any]]]
    error: Mapping[str, Any]
    #: What the follower told of an application that was taken and then not processed.
    failed: Mapping[str, Any]
    chosen: Mapping[str, Any] = field(default_factory=dict)

    @property
    def request(self) -> Mapping[str, Any]:
        return self.chosen.get("request") or {}

    @property
    def answer(self) -> Mapping[str, Any]:
        return self.chosen.get("answer") or {}

    @property
    def productive(self) -> bool:
        """Whether the request has to be impersonal; what went to the productive host is, whatever is configured."""
        hosts = {self.request.get("host"), urlsplit(str(self.request.get("url", ""))).hostname}
        return self.sender.environment == PROD or _HOST_OF_PROD in hosts

    @property
    def order_id(self) -> str:
        """The number, wherever it is told."""
        details = self.error.get("details") or {}
        found = [details.get("order_id"), _number_in(self.exchange.outcome), _number_in(self.exchange.body)]
        found += [_number_in(str(record.get("answer", {}).get("body", "")).encode()) for _, record in self.calls
                  if isinstance(record.get("answer"), dict)]  # fmt: skip
        return str(next((number for number in found if number), ""))


def incident(history: History, sender: Sender) -> Letter:
    """Return the letter about an exchange whose history was read with its bytes."""
    calls = [(fact, record) for fact in history.facts for record in _records(fact)]
    chosen = next((record for _, record in reversed(calls) if not _good(record)), calls[-1][1] if calls else {})
    outcome = _object(history.exchange.outcome)
    case = _Case(history.exchange, sender, calls, outcome.get("error") or {}, _process_failure(history), chosen)
    return Letter(ADDRESS, _subject(case), _points(case, history))


def _subject(case: _Case) -> str:
    """Return «МНЕМОНИКА #API-ЕПГУ #краткое содержание ошибки»."""
    mnemonic = case.sender.mnemonic or str(case.request.get("client_id", "")) or "МНЕМОНИКА"
    doing = _DOING.get(case.exchange.operation or "", "при обращении к API ЕПГУ")
    status, code = case.answer.get("status"), case.error.get("error_code")
    if case.chosen and case.chosen.get("answer") is None:
        what = "Нет ответа"
    elif status is not None and not _good(case.chosen):
        what = f"Ошибка {status}" + (f" {_code_in(case.answer)}" if _code_in(case.answer) else "")
    elif case.failed:
        what, doing = f"Статус {case.failed.get('code')}", "при обработке заявления"
    else:
        what = f"Ошибка {code}" if code else "Вопрос о запросе"
    return f"{mnemonic} #API-ЕПГУ #{what} {doing}"


def _points(case: _Case, history: History) -> list[Point]:
    request = case.request
    client = str(request.get("client_id", "")) or UNKNOWN
    person = "" if request.get("org_oid") else str(request.get("subject", ""))
    return [
        Point(
            "Информационная система в ЕСИА",
            [("Наименование", case.sender.mnemonic or UNKNOWN), ("Идентификатор (client_id)", client)],
        ),
        Point(
            "Получатель услуги",
            [
                ("Организация", UNKNOWN),
                ("Идентификатор организации (org_oid)", str(request.get("org_oid") or UNKNOWN)),
                ("Пользователь, если получатель физическое лицо", person or UNKNOWN),
                ("ФИО в ЕСИА", UNKNOWN),
            ],
        ),
        Point("Среда ЕПГУ", [("", f"{case.sender.environment} ({_ENVIRONMENTS[case.sender.environment]})")]),
        Point(
            "Дата и время",
            [
                ("Запрос", _moment(request.get("sent_at"))),
                ("Получение маркера доступа", _moment(request.get("token_at"))),
            ],
        ),
        Point("Запрос, выполнение которого завершилось инцидентом", _request(case)),
        Point("Номер заявления (orderId)", [("", case.order_id or UNKNOWN)]),
        Point("Описание ситуации", [("", text) for text in _situation(case)]),
        Point("Результаты анализа", [("", text) for text in _analysis(case, history)]),
    ]


_ENVIRONMENTS: Final = {PROD: "продуктивная", "SVCDEV": "тестовая"}


def _request(case: _Case) -> list[tuple[str, str]]:
    request = case.request
    headers = request.get("headers") or {}
    said = {name: request[name] for name in ("meta", "fields", "file", "body") if name in request}
    target = urlsplit(str(request.get("url", "")))
    query = parse_qsl(target.query, keep_blank_values=True)
    if case.productive:
        said = {name: _impersonal(name, value) for name, value in said.items()}
        query = [(name, value if name in _IMPERSONAL else _HIDDEN) for name, value in query]
    told = [f"{name}={value}" for name, value in query]
    told += [
        f"{name}: {value if isinstance(value, str) else orjson.dumps(value).decode()}" for name, value in said.items()
    ]
    host, proxied = str(request.get("host", "")), request.get("host") not in {None, target.hostname, target.netloc}
    if proxied:  # a proxy for ГОСТ TLS: what it calls is told, not itself
        target = target._replace(scheme="https", netloc=host)
    url = urlunsplit(target._replace(query=urlencode(query, safe="[]:,"))) if request else ""
    return [
        ("а. http-метод", str(request.get("method") or UNKNOWN)),
        ("б. host", str(request.get("host") or UNKNOWN)),
        ("в. URL", url or UNKNOWN),
        ("г. Заголовки", "\n".join(f"{name}: {value}" for name, value in headers.items()) or UNKNOWN),
        ("д. Параметры и тело", "\n".join(told) or ("отсутствуют" if request else UNKNOWN)),
        ("е. Отправлен", _moment(request.get("sent_at"))),
    ]


def _legible(body: str) -> str:
    """Return JSON with its letters unescaped, any other text as it is."""
    try:
        return orjson.dumps(orjson.loads(body)).decode()
    except orjson.JSONDecodeError:
        return body


def _written(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _situation(case: _Case) -> Iterator[str]:
    if case.sender.description:
        yield _scrubbed(case, case.sender.description)
    doing = _DOING.get(case.exchange.operation or "", "при обращении к API ЕПГУ")
    if not case.request:
        yield f"До ЕПГУ запрос не дошёл ({doing})."
    elif case.chosen.get("answer") is None:
        failure = case.chosen.get("failure") or {}
        yield f"Ответ на запрос не получен ({doing}): {failure.get('reason', UNKNOWN)}, {_moment(failure.get('at'))}."
    else:
        body = _scrubbed(case, _legible(str(case.answer.get("body", ""))))[:2000]
        shown = _error_alone(case.answer) if case.productive else body
        yield f"Ответ {doing}: HTTP {case.answer.get('status')}, получен {_moment(case.answer.get('received_at'))}."
        yield f"Тело ответа: {shown or 'пустое'}"
    if case.failed:
        text = _scrubbed(case, str(case.failed.get("description", "")))
        yield f"Обработка заявления завершена со статусом {case.failed.get('code')}: {text}"
    if case.error:
        yield f"Код ошибки: {case.error.get('error_code')}. {_scrubbed(case, str(case.error.get('description', '')))}"


def _analysis(case: _Case, history: History) -> Iterator[str]:
    if case.sender.analysis:
        yield _scrubbed(case, case.sender.analysis)
    if advice := case.error.get("recommendation") or case.failed.get("recommendation"):
        yield f"Рекомендация спецификации: {advice}"
    attempts = "\n".join(_attempt(record) for _, record in case.calls[-20:])
    if attempts:
        yield f"Обращения к ЕПГУ по данным журнала ({len(case.calls)}):\n{attempts}"
    exchange = history.exchange
    yield f"Операция {exchange.action}, обмен {exchange.id}, состояние {exchange.state}, попыток {exchange.attempts}."


def _attempt(record: Mapping[str, Any]) -> str:
    request, answer = record["request"], record.get("answer")
    said = f"HTTP {answer.get('status')} {_code_in(answer)}".rstrip() if answer else "без ответа"
    return (
        f"{_moment(request.get('sent_at'))}  {request.get('method')} {urlsplit(str(request.get('url'))).path}  {said}"
    )


def _process_failure(history: History) -> Mapping[str, Any]:
    """Return the event that told of a final process code, if there was one."""
    told = (fact.data for fact in history.facts if str(fact.notes.get("to", "")).endswith(PROCESS_FAILED))
    return next((event for event in map(_object, told) if event), {})


def _records(fact: Fact) -> Iterator[Mapping[str, Any]]:
    """Yield the calls that a fact tells of: JSON, one object a line."""
    if fact.name not in _FACTS or not fact.data:
        return
    for line in fact.data.splitlines():
        record = _object(line)
        if isinstance(record.get("request"), dict):
            yield record


def _good(record: Mapping[str, Any]) -> bool:
    answer = record.get("answer")
    return isinstance(answer, dict) and answer.get("status") in {200, 206}


def _impersonal(name: str, value: Any) -> Any:
    """Return a part of a request with every value hidden that is no code of the API."""
    if isinstance(value, str) and name == "body":
        told = _object(value.encode())
        return orjson.dumps(_impersonal("", told)).decode() if told else _HIDDEN
    if isinstance(value, dict):
        return {key: _impersonal(key, part) for key, part in value.items()}
    if isinstance(value, list):
        return [_impersonal(name, part) for part in value]
    return value if name in _IMPERSONAL or value is None else _HIDDEN


def _error_alone(answer: Mapping[str, Any]) -> str:
    """Return an answer's code and message; of anything else what may name a person is left out."""
    told = _object(str(answer.get("body", "")).encode())
    kept = {name: _scrub(str(told[name])) for name in ("code", "message", "error") if told.get(name)}
    return orjson.dumps(kept).decode() if kept else _HIDDEN if answer.get("body") else ""


def _scrubbed(case: _Case, text: str) -> str:
    return _scrub(text, (case.order_id,)) if case.productive else text


def _scrub(text: str, known: Sequence[str] = ()) -> str:
    for pattern in _PERSONAL:
        text = pattern.sub(lambda match: match[0] if match[0] in known or match[0] == ADDRESS else _HIDDEN, text)
    return text


def _code_in(answer: Mapping[str, Any]) -> str:
    code = _object(str(answer.get("body", "")).encode()).get("code")
    return code if isinstance(code, str) and len(code) <= 64 else ""


def _number_in(text: bytes | None) -> int | None:
    told = _object(text)
    result = told.get("result")
    said = result if isinstance(result, dict) else told
    number = said.get("order_id", said.get("orderId"))
    return number if type(number) is int else None


def _object(text: bytes | None) -> dict[str, Any]:
    try:
        told = orjson.loads(text or b"")
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _moment(text: object) -> str:
    """Return a moment to the second, by the time of Moscow."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return UNKNOWN
    return at.astimezone(MOSCOW).strftime("%d.%m.%Y %H:%M:%S (МСК)")
