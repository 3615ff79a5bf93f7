"""ГИС ЖКХ as the provider of debt requests: a store of requests with states, in memory.

Rules are those of seed 001 ("Принимаемые параметры", "Структура элемента Action") and of facts zhkh-and-postamat.md:
SEND with request_data creates a request and sends it; SEND of an existing request works only from DRAFT ("Проект") and
changes it first when it brings data; REVOKE takes back what was sent. Documents here are JSON as in the seed.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta, timezone
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from xml.sax.saxutils import escape

from lxml import etree

from simulators.smev3.queues import Party
from simulators.smev3.registry import Document, InformationType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

NAMESPACE = "urn:dom.gosuslugi.ru/debt-requests/1.0.0"
COMMON = "urn:dom.gosuslugi.ru/common/1.2.0"
SERVICE = "zhkh-debt-requests"
MOSCOW = timezone(timedelta(hours=3))
PARTY = Party("GISZHKH", "ГИС ЖКХ (имитатор)")

#: Seed 001, example 2; REVOKE has no published text, so its sentence is made after this one.
_NOT_A_DRAFT = (
    "Запрос о наличии задолженности за ЖКУ с уникальным идентификатором {} не найден или имеет статус, "
    'отличный от статуса "Проект"'
)
_NOT_SENT = (
    "Запрос о наличии задолженности за ЖКУ с уникальным идентификатором {} не найден или имеет статус, "
    'отличный от статусов "Обрабатывается" и "Отправлен"'
)
_NOT_AN_ACTION = "Состав элементов action не соответствует типу операции"


class Status(StrEnum):
    """States of a debt request in ГИС ЖКХ."""

    DRAFT = "DRAFT"
    PROCESSING = "PROCESSING"
    SENT = "SENT"
    PROCESSED = "PROCESSED"
    REVOKED = "REVOKED"


@dataclass(slots=True)
class DebtRequest:
    """One stored request. ``id`` is as its creator wrote it; it is found by any case of its letters."""

    id: str
    status: Status
    data: Mapping[str, Any] | None
    updated_at: datetime


class DebtRequests:
    """The store and its rules; implements :class:`simulators.smev3.registry.Provider`."""

    def __init__(self, fixtures: Iterable[Mapping[str, Any]] = (), *, limit: int = 200_000) -> None:
        """``fixtures`` are ``{"request", "response"}`` pairs; over ``limit`` the oldest request is forgotten."""
        self._fixtures = {_key(_strings(pair["request"])): pair["response"] for pair in fixtures}
        self._limit = limit
        self._requests: dict[str, DebtRequest] = {}

    @classmethod
    def from_file(cls, path: Path) -> DebtRequests:
        """Return a store with the fixtures of the data file ``path``. Raises OSError, ValueError."""
        try:
            return cls(json.loads(path.read_text(encoding="utf-8"))[SERVICE])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path.name} is no file of fixtures: {error}") from None

    def reset(self) -> None:
        """Forget every request; fixtures stay."""
        self._requests.clear()

    def all(self) -> list[DebtRequest]:
        """Return the stored requests, oldest first."""
        return list(self._requests.values())

    def put(self, request_id: str, status: Status, now: datetime, data: Mapping[str, Any] | None = None) -> None:
        """Store a request as if an employee had made it in the personal account."""
        self._requests.pop(request_id.lower(), None)
        self._requests[request_id.lower()] = DebtRequest(request_id, status, data, now)
        while len(self._requests) > self._limit:
            del self._requests[next(iter(self._requests))]

    def read(self, root: etree._Element) -> Document:
        """Return the request message as the seed's JSON, every value a string."""
        message: Document = {"actions": []}
        for child in root.iterchildren(etree.Element):
            if etree.QName(child).localname == "action":
                message["actions"].append(_json(child))
            else:
                message[_snake(child)] = _json(child)
        return message

    def handle(self, message: Document, now: datetime, *, test: bool = False) -> Document:
        """Apply every action in order and answer them; a fixture is answered as its description says."""
        fixture = self._fixtures.get(_key(message))
        if fixture is not None:
            return deepcopy(fixture)
        store = self._copy(message) if test else self
        return {"result": [store.apply(action, now) for action in message["actions"]]}

    def _copy(self, message: Document) -> DebtRequests:
        """Return a store with copies of the requests that ``message`` names: a test message changes those."""
        copy = DebtRequests()
        for action in message["actions"]:
            stored = self._requests.get(action.get("request_id", "").lower())
            if stored is not None:
                copy.put(stored.id, stored.status, stored.updated_at, stored.data)
        return copy

    def apply(self, action: Mapping[str, Any], now: datetime) -> Document:
        """Do one action and return its result."""
        request_id, data = action.get("request_id"), action.get("request_data")
        if action["action_type"] == "REVOKE":
            outcome = self._revoke(request_id, data, now)
        elif request_id is None and data is None:
            outcome = _error("FMT001300", _NOT_AN_ACTION)
        else:
            outcome = self._send(request_id, data, now)
        return {"transport_id": action["transport_id"], **outcome}

    def _send(self, request_id: str | None, data: Mapping[str, Any] | None, now: datetime) -> Document:
        if request_id is None:
            created = str(uuid4())
            self.put(created, Status.SENT, now, data)
            return _success(created, now)
        stored = self._requests.get(request_id.lower())
        if stored is None or stored.status is not Status.DRAFT:
            return _error("INT054003", _NOT_A_DRAFT.format(request_id))
        stored.data = data or stored.data
        stored.status, stored.updated_at = Status.SENT, now
        return _success(request_id, now)

    def _revoke(self, request_id: str | None, data: Mapping[str, Any] | None, now: datetime) -> Document:
        if request_id is None or data is not None:
            return _error("FMT001300", _NOT_AN_ACTION)
        stored = self._requests.get(request_id.lower())
        if stored is None or stored.status not in {Status.SENT, Status.PROCESSING}:
            return _error("INT054003", _NOT_SENT.format(request_id))
        stored.status, stored.updated_at = Status.REVOKED, now
        return _success(request_id, now)

    def write(self, answer: Document) -> bytes:
        """Return ImportDebtRequestsResponse; all but its root is in the common namespace."""
        if "error" in answer:
            content = _error_xml(answer["error"])
        else:
            content = "".join(_result_xml(result) for result in answer["result"])
        return (
            f'<dr:ImportDebtRequestsResponse xmlns:dr="{NAMESPACE}" xmlns:c="{COMMON}">{content}'
            f"</dr:ImportDebtRequestsResponse>"
        ).encode()


def information_type(store: DebtRequests) -> InformationType:
    """Return the registry entry of debt requests, answered by ``store``."""
    return InformationType(NAMESPACE, "ImportDebtRequestsRequest", "ImportDebtRequestsResponse", PARTY, store)


def timestamp(moment: datetime) -> str:
    """Return ``moment`` as ГИС ЖКХ and СМЭВ3 write it: Moscow time with milliseconds."""
    return moment.astimezone(MOSCOW).isoformat(timespec="milliseconds")


def _success(request_id: str, now: datetime) -> Document:
    return {"success": {"id": request_id, "update_date": timestamp(now)}}


def _error(code: str, description: str) -> Document:
    return {"errors": [{"error_code": code, "description": description}]}


def _result_xml(result: Mapping[str, Any]) -> str:
    success = result.get("success")
    if success is None:
        outcome = "".join(_error_xml(error) for error in result["errors"])
    else:
        outcome = (
            f"<c:success><c:id>{escape(success['id'])}</c:id>"
            f"<c:update-date>{escape(success['update_date'])}</c:update-date></c:success>"
        )
    return f"<c:result><c:transport-id>{escape(result['transport_id'])}</c:transport-id>{outcome}</c:result>"


def _error_xml(error: Mapping[str, str]) -> str:
    return (
        f"<c:error><c:error-code>{escape(error['error_code'])}</c:error-code>"
        f"<c:description>{escape(error['description'])}</c:description></c:error>"
    )


def _json(element: etree._Element) -> Any:
    children = list(element.iterchildren(etree.Element))
    return {_snake(child): _json(child) for child in children} if children else (element.text or "")


def _snake(element: etree._Element) -> str:
    return etree.QName(element).localname.replace("-", "_")


def _strings(document: Any) -> Any:
    """Return ``document`` as it looks after a way through XML: every value a string (seed: type is "1" and 1)."""
    if isinstance(document, dict):
        return {key: _strings(value) for key, value in document.items()}
    return [_strings(item) for item in document] if isinstance(document, list) else str(document)


def _key(document: Document) -> str:
    return json.dumps(document, ensure_ascii=False, sort_keys=True)
