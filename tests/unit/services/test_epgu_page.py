"""The page of correspondence against the code: its examples, its configuration, its schema for the designer."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from lxml import etree

from adapter.exchange import Call, Command, State
from adapter.incoming import Found, Incoming, Request
from adapter.services.epgu_correspondence import EpguOrders
from adapter.services.epgu_correspondence_types import OrderType, read_types
from adapter.services.registry import make_services

PAGE = (Path(__file__).parents[3] / "docs/services/epgu-correspondence.md").read_text(encoding="utf-8")
ACTIONS = (
    "epgu.order.set-status",
    "epgu.message.send",
    "epgu.event.send",
    "epgu.order.answer",
    "epgu.cancel.answer",
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NS = "urn:visit/1.0.0"
TYPES = json.dumps([{"namespace": NS}])
KEY = "7c1e2f4a-c6a1-11f0-9d0b-0242ac120002"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_shows_every_example() -> None:
    services = make_services({})
    shown = [json.loads(block) for block in blocks("json")[2:]]
    examples = [example for action in ACTIONS for example in services[action].examples]
    assert shown == [document for example in examples for document in (example.request, example.reply)]


def test_the_page_shows_a_configuration_and_names_its_fields() -> None:
    assert len(read_types({"EPGU_ORDER_TYPES": blocks("json")[0]})) == 1
    table = PAGE[PAGE.index("| Поле |") : PAGE.index("Пространство имён событий")]
    assert set(OrderType.model_fields) <= set(re.findall(r"\w+", table))


def schema() -> etree.XMLSchema:
    fragment = blocks("xml")[0].replace("tns:Order", "xs:anyType")
    return etree.XMLSchema(
        etree.fromstring(
            f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:tns="{NS}" targetNamespace="{NS}"'
            f' elementFormDefault="qualified">{fragment}</xs:schema>'
        )
    )


def incoming(inner: str) -> Incoming:
    content = f'<t:FormData xmlns:t="{NS}">{inner}</t:FormData>'.encode()
    facts = {"namespace": NS, "root": "FormData"}
    return Incoming("smev3", KEY, "epgu.order.request", b"", content, reply_to="there", facts=facts)


ORDER = "<t:order><t:orderId>42</t:orderId></t:order>"
TEXT = "<t:textRequest><t:orderId>42</t:orderId><t:text>Да</t:text></t:textRequest>"
CANCEL = "<t:cancelRequest><t:orderId>42</t:orderId></t:cancelRequest>"


@pytest.mark.parametrize("inner", [ORDER, TEXT, CANCEL])
def test_what_the_pages_schema_allows_is_read(inner: str) -> None:
    schema().assertValid(etree.fromstring(incoming(inner).content))
    step = EpguOrders(read_types({"EPGU_ORDER_TYPES": TYPES})).begin(incoming(inner))
    assert step.events[0].body["order_id"] == 42
    if isinstance(step, Call):
        schema().assertValid(etree.fromstring(step.content))


@pytest.mark.parametrize(
    ("action", "inner", "body"),
    [
        ("epgu.order.answer", ORDER, {"org_code": "accepted"}),
        ("epgu.order.answer", ORDER, {"tech_code": 6, "comment": "x", "send_message_allowed": False}),
        ("epgu.cancel.answer", CANCEL, {"result": "OK"}),
    ],
)  # fmt: skip
def test_what_an_agency_answers_is_valid_by_the_pages_schema(action: str, inner: str, body: dict[str, Any]) -> None:
    service: Any = make_services({"EPGU_ORDER_TYPES": TYPES})[action]
    command = Command(UUID(int=1), action, orjson.dumps(body | {"message_id": KEY}), NOW, NOW)
    request = Request(UUID(int=7), incoming(inner), NOW, State.REPLIED, answered=False)
    schema().assertValid(etree.fromstring(service.found(command, Found(request)).content))
