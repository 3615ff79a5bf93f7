"""ГИС ЖКХ as the provider of debt responses: what became of the requests that the other type created.

Rules are those of the schema urn:dom.gosuslugi.ru/debt-responses/1.0.0: by ids or numbers what is found and what is
not; by conditions blocks of a hundred; nothing at all is an error, because an answer holds at least one request. Who
an answered request is about has a debt when the last digit of the request's id is even (hexadecimal), so that both can
be rehearsed. What nobody told ГИС ЖКХ, the applicant of a request put in by hand for one, is made up.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5
from xml.sax.saxutils import escape

from lxml import etree

from simulators.smev3.giszhkh import COMMON, MOSCOW, PARTY, Status
from simulators.smev3.registry import Document, InformationType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from simulators.smev3.giszhkh import DebtRequest, DebtRequests

NAMESPACE = "urn:dom.gosuslugi.ru/debt-responses/1.0.0"
BLOCK: Final = 100
_HALF_A_YEAR: Final = timedelta(days=184)
_ANSWER_DAYS: Final = timedelta(days=7)
#: Codes of НСИ 345 by state; an answered request has 3 (a debt) or 4 (none).
_RESULTS: Final = {Status.DRAFT: "1", Status.REVOKED: "1", Status.PROCESSING: "2", Status.SENT: "2"}

_NOTHING = {"error": {"error_code": "INT002012", "description": "Нет объектов для экспорта"}}
_TOO_LONG = {"error": {"error_code": "FMT001300", "description": "Период должен быть не больше 6 месяцев"}}
_NO_BLOCK = {"error": {"error_code": "INT002013", "description": "Запрос не найден"}}
_APPLICANT = {
    "firstname": "Иван",
    "lastname": "Иванов",
    "snils": "11111111145",
    "document": {"type": "1", "series": "1234", "number": "123456"},
}
_HOUSE = "e786b770-28e6-4557-8dde-86e8e347587e"
_EXECUTOR = "df82b6d8-66d8-11eb-ae93-0242ac130002"


class DebtResponses:
    """Reads the store of debt requests; implements :class:`simulators.smev3.registry.Provider`."""

    def __init__(self, store: DebtRequests) -> None:
        """``store`` is the one that the other type fills."""
        self._store = store

    def reset(self) -> None:
        """Nothing is kept here."""

    def read(self, root: etree._Element) -> Document:
        """Return the request message: texts, objects, and a list for every element that may repeat."""
        message: Document = {}
        for child in root.iterchildren(etree.Element):
            name = etree.QName(child).localname
            if name in {"request-id", "request-number", "house-id", "request-status", "request-result"}:
                message.setdefault(name, []).append(child.text or "")
            else:
                message[name] = _texts(child)
        return message

    def handle(self, message: Document, now: datetime, *, test: bool) -> Document:
        """Answer from the store; nothing changes, so a ``test`` message is like any other."""
        del now, test
        if "request-creation-period" in message:
            return self._by_conditions(message)
        name = "request-id" if "request-id" in message else "request-number"
        found, missing = [], []
        by_name = {_named(stored, name): stored for stored in self._store.all()}
        for wanted in message[name]:
            stored = by_name.get(wanted.lower())
            if stored is None:
                missing.append(wanted)
            else:
                found.append(_described(stored))
        if not found:
            return _NOTHING
        return {"request-data": found} | ({"not-found": {name: missing}} if missing else {})

    def _by_conditions(self, message: Document) -> Document:
        for name in ("request-creation-period", "period-of-sending-request"):
            start, end = _days(message.get(name, {}))
            if end - start > _HALF_A_YEAR and name in message:
                return _TOO_LONG
        found = [stored for stored in self._store.all() if _fits(stored, message)]
        ids = [stored.id.lower() for stored in found]
        first = message.get("export-request-id")
        if first is not None and first.lower() not in ids:
            return _NO_BLOCK
        start_at = 0 if first is None else ids.index(first.lower())
        block, rest = found[start_at : start_at + BLOCK], found[start_at + BLOCK :]
        if not block:
            return _NOTHING
        page = {"next-request-id": rest[0].id} if rest else {"last-page": "true"}
        return {"request-data": [_described(stored) for stored in block], "paged-output": page}

    def write(self, answer: Document) -> bytes:
        """Return ExportDebtRequestsResponse; only what is inside an error is in the common namespace."""
        content = _xml("d", {name: value for name, value in answer.items() if name != "error"})
        if "error" in answer:
            content = f"<d:error>{_xml('c', {key.replace('_', '-'): text for key, text in answer['error'].items()})}"
            content += "</d:error>"
        return (
            f'<d:ExportDebtRequestsResponse xmlns:d="{NAMESPACE}" xmlns:c="{COMMON}">{content}'
            f"</d:ExportDebtRequestsResponse>"
        ).encode()


def responses_type(store: DebtRequests) -> InformationType:
    """Return the registry entry of debt responses, answered from ``store``."""
    return InformationType(
        NAMESPACE, "ExportDebtRequestsRequest", "ExportDebtRequestsResponse", PARTY, DebtResponses(store)
    )


def number_of(request_id: str) -> str:
    """Return the number that ГИС ЖКХ gives to a request: eleven digits made of its id."""
    return f"{UUID(request_id).int % 10**11:011}"


def _named(stored: DebtRequest, name: str) -> str:
    return stored.id.lower() if name == "request-id" else number_of(stored.id)


def _data(stored: DebtRequest) -> Mapping[str, Any]:
    return stored.data or {}


def _fits(stored: DebtRequest, message: Mapping[str, Any]) -> bool:
    """Tell whether all conditions hold; of several values, one has to."""
    facts = _described(stored)
    moments = {
        "request-creation-period": "creation-date",
        "period-of-sending-request": "sent-date",
        "period-of-response-date": "response-date",
    }
    for condition, fact in moments.items():
        if condition in message and not _within(facts.get(fact), _days(message[condition])):
            return False
    values = {"house-id": facts["housing-fund-object"]["house-id"], "request-status": facts["status"]}
    values["request-result"] = facts["result"]
    for condition, value in values.items():
        wanted = {text.strip().lower() for text in message.get(condition, [value])}
        if value.lower() not in wanted:
            return False
    return _covers(message.get("applicant-info") or {}, facts["applicant-info"])


def _covers(sought: Mapping[str, Any], held: Mapping[str, Any]) -> bool:
    return all(
        _covers(value, held.get(name) or {}) if isinstance(value, dict) else held.get(name) == value
        for name, value in sought.items()
    )


def _within(day: str | None, period: tuple[date, date]) -> bool:
    return day is not None and period[0] <= date.fromisoformat(day) <= period[1]


def _days(period: Mapping[str, str] | str) -> tuple[date, date]:
    """Return both ends of a period, an absent one as far away as there are days."""
    ends = period if isinstance(period, dict) else {}
    return _day(ends.get("start-date"), date.min), _day(ends.get("end-date"), date.max)


def _day(text: str | None, otherwise: date) -> date:
    """Return an xs:date without its zone; years that no calendar here has count as absent."""
    try:
        return date.fromisoformat(text.strip()[:10]) if text else otherwise
    except ValueError:
        return otherwise


def _described(stored: DebtRequest) -> Document:
    """Return a request as ГИС ЖКХ shows it."""
    data = _data(stored)
    day = stored.updated_at.astimezone(MOSCOW).date()
    house = data.get("housing_fund_object", {"house_id": _HOUSE})
    has_debt = int(stored.id[-1], 16) % 2 == 0
    result = _RESULTS.get(stored.status, "3" if has_debt else "4")
    sent = stored.status in {Status.SENT, Status.PROCESSED}
    described: Document = {
        "request-id": stored.id,
        "request-number": number_of(stored.id),
        "applicant-info": _dashed(data.get("applicant_info", _APPLICANT)),
        "housing-fund-object": {
            **_dashed(house),
            "fias-house-id": str(uuid5(UUID(house["house_id"]), "fias")),
            "address": "обл. Калужская, г. Калуга, ул. Ленина, д. 1",
        },
        "organization": _organization(stored.id, "Администрация (имитатор)"),
        "executor-info": {"id": data.get("executor_id", _EXECUTOR), "fio": "Петров Пётр Петрович"},
        "status": str(stored.status),
        "result": result,
        "creation-date": day.isoformat(),
    }
    if sent:
        described["sent-date"] = day.isoformat()
        described["response-date"] = (day + _ANSWER_DAYS).isoformat()
        supplier = {"organization": _organization(stored.id + "-supplier", "Управляющая организация (имитатор)")}
        if stored.status is Status.PROCESSED:
            supplier["response"] = _response(described["applicant-info"], has_debt=has_debt)
        described["subrequest"] = [supplier]
    return described


def _response(applicant: Mapping[str, Any], *, has_debt: bool) -> Document:
    if not has_debt:
        return {"type": "AUTO_GENERATED", "has-debt": "false"}
    return {"type": "PROVIDED", "has-debt": "true", "debt-info": [{"person": applicant}]}


def _organization(seed: str, name: str) -> Document:
    return {"organization-root-id": str(uuid5(UUID(_HOUSE), seed)), "name": name}


def _dashed(tree: Mapping[str, Any]) -> Document:
    return {
        name.replace("_", "-"): _dashed(value) if isinstance(value, dict) else value for name, value in tree.items()
    }


def _texts(element: etree._Element) -> Any:
    children = list(element.iterchildren(etree.Element))
    return {etree.QName(child).localname: _texts(child) for child in children} if children else (element.text or "")


def _xml(prefix: str, tree: Mapping[str, Any]) -> str:
    return "".join(
        f"<{prefix}:{name}>{_xml(prefix, item) if isinstance(item, dict) else escape(item)}</{prefix}:{name}>"
        for name, value in tree.items()
        for item in _items(value)
    )


def _items(value: Any) -> Iterable[Any]:
    members: Sequence[Any] = value if isinstance(value, list) else [value]
    return members
