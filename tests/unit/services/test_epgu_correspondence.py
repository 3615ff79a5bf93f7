"""What ЕПГУ brings as pure functions: each branch an event, a message answered «ОК», the agency's own answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapter.errors import AdapterError, ConfigurationError, InvalidCommandError, KnownError
from adapter.exchange import Answer, AnswerKind, Call, Command, Reply, State, Word
from adapter.incoming import Done, Found, Incoming, Look, Request
from adapter.services import epgu_correspondence_answer, epgu_correspondence_cancel
from adapter.services.epgu_correspondence import (
    CANCEL_REQUESTED,
    MESSAGE_RECEIVED,
    MESSAGE_REFUSED,
    ORDER_RECEIVED,
    TAKEN_BACK,
    EpguOrders,
)
from adapter.services.epgu_correspondence_types import OrderType, read_types
from adapter.services.epgu_event import MAY_WRITE, REQUEST
from adapter.services.registry import make_providers, make_services
from adapter.xml.parser import XmlError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NS = "urn:visit/1.0.0"
KEY = "7c1e2f4a-c6a1-11f0-9d0b-0242ac120002"
TYPE = OrderType(namespace=NS)
ORDER = "<t:order><t:orderId><t:pguId>42</t:pguId></t:orderId><t:doc kind='p'>1</t:doc><t:doc>2</t:doc></t:order>"
TEXT = "<t:textRequest><t:orderId>42</t:orderId><t:text>Добрый день</t:text></t:textRequest>"
CANCEL = "<t:cancelRequest><t:orderId>42</t:orderId><t:reason>Передумал</t:reason></t:cancelRequest>"


def incoming(inner: str, **more: Any) -> Incoming:
    content = f'<t:FormData xmlns:t="{NS}">{inner}</t:FormData>'.encode()
    facts = {"namespace": NS, "root": "FormData", "sender": "EPGU"}
    return replace(Incoming("smev3", KEY, REQUEST, b"raw", content, reply_to="there", facts=facts), **more)


def requested(inner: str, *, answered: bool = False, **more: Any) -> Found:
    return Found(Request(UUID(int=7), incoming(inner, **more), NOW, State.REPLIED, answered=answered))


def command(service: Any, **body: Any) -> Command:
    return Command(UUID(int=1), service.action, orjson.dumps({"message_id": KEY} | body), NOW, NOW + timedelta(days=1))


def test_an_order_is_one_event_with_its_xml_and_json() -> None:
    provider = EpguOrders([TYPE])
    assert provider.subject(incoming(ORDER)) == "42"
    step = provider.begin(incoming(ORDER, test=True))
    assert isinstance(step, Done)
    (event,) = step.events
    assert (event.name, event.body["order_id"], event.body["message_id"]) == (ORDER_RECEIVED, 42, KEY)
    order = {"orderId": {"pguId": "42"}, "doc": [{"@kind": "p", "#text": "1"}, "2"]}
    assert event.body["content"] == {"order": order}
    assert event.body["content_xml"] == incoming(ORDER).content.decode()
    assert (event.body["test"], event.body["reply_expected"]) == (True, True)
    assert event.body["sent_at"].startswith("2025-11-21T")


def test_a_citizens_message_is_an_event_and_then_answered_ok() -> None:
    step = EpguOrders([TYPE]).begin(incoming(TEXT))
    assert isinstance(step, Call)
    (event,) = step.events
    assert (event.name, event.body["text"], event.body["too_long"]) == (MESSAGE_RECEIVED, "Добрый день", False)
    assert (step.operation, step.reply_to, step.word, step.subject) == ("SendResponse", "there", Word(), "42")
    root = etree.fromstring(step.content)
    assert root.tag == f"{{{NS}}}FormDataResponse"
    assert [(etree.QName(leaf).localname, leaf.text) for leaf in root[0]] == [("orderId", "42"), ("result", "ОК")]
    assert EpguOrders([TYPE]).proceed(incoming(TEXT), Answer("s", "k", "r", AnswerKind.ANSWER, b"")) == Done()


def test_a_text_over_the_limit_is_passed_on_whole_and_marked() -> None:
    (event,) = EpguOrders([TYPE]).begin(incoming(TEXT.replace("Добрый день", "я" * 2049))).events
    assert (len(event.body["text"]), event.body["too_long"]) == (2049, True)


def test_a_message_of_a_service_without_correspondence_is_refused_and_told() -> None:
    step = EpguOrders([TYPE.model_copy(update={"correspondence": False})]).begin(incoming(TEXT))
    assert isinstance(step, Call)
    assert step.instead is not None
    assert [event.name for event in step.events] == [MESSAGE_REFUSED]


def test_a_message_that_wants_no_answer_gets_none() -> None:
    step = EpguOrders([TYPE]).begin(incoming(TEXT, reply_to=""))
    assert isinstance(step, Done)
    assert [event.name for event in step.events] == [MESSAGE_RECEIVED]


def test_a_wish_to_cancel_is_an_event_and_waits_for_the_agency() -> None:
    step = EpguOrders([TYPE]).begin(incoming(CANCEL))
    assert isinstance(step, Done)
    assert [(event.name, event.body["reason"]) for event in step.events] == [(CANCEL_REQUESTED, "Передумал")]


def test_a_request_that_is_taken_back_is_told() -> None:
    taken_back = Incoming("smev3", KEY, REQUEST, b"raw", facts={"cancels": "other"})
    assert EpguOrders([TYPE]).subject(taken_back) == ""
    step = EpguOrders([TYPE]).begin(taken_back)
    assert [event.name for event in step.events] == [TAKEN_BACK]


def test_branches_are_found_by_the_names_of_the_configuration() -> None:
    named = OrderType(namespace=NS, order="visit", order_id="visit/head/number", text_request="letter")
    order = "<t:visit><t:orderId>1</t:orderId><t:head><t:number>42</t:number></t:head></t:visit>"
    letter = TEXT.replace("textRequest", "letter")
    assert [EpguOrders([named]).begin(incoming(inner)).events[0].name for inner in (order, letter)] == [
        ORDER_RECEIVED,
        MESSAGE_RECEIVED,
    ]
    assert EpguOrders([named]).subject(incoming(order)) == "42"
    with pytest.raises(KnownError) as unknown:
        EpguOrders([named]).begin(incoming(ORDER))
    assert unknown.value.code == "ADAPTER-REQUEST-UNREADABLE"


@pytest.mark.parametrize("number", ["", "x", "-1", "0", "1.5", "9223372036854775808", "1" * 5000, "４２"])
def test_an_order_without_a_readable_number_is_for_a_person(number: str) -> None:
    with pytest.raises(KnownError) as unreadable:
        EpguOrders([TYPE]).begin(incoming(TEXT.replace(">42<", f">{number}<")))
    assert unreadable.value.code == "ADAPTER-REQUEST-UNREADABLE"


def test_the_agencys_own_answer_is_the_last_word_to_an_order() -> None:
    service = epgu_correspondence_answer.EpguOrderAnswer([TYPE])
    asked = command(service, tech_code=6, comment="Принято", cancel_allowed=False, send_message_allowed=True)
    assert service.start(asked) == Look((REQUEST,), KEY)
    call = service.found(asked, requested(ORDER))
    assert (call.operation, call.reply_to, call.word, call.note) == (
        "SendResponse",
        "there",
        Word(UUID(int=7)),
        MAY_WRITE,
    )
    assert (call.lane, call.subject) == ("epgu.order:42", "42")
    block = etree.fromstring(call.content)[0]
    told = [(etree.QName(leaf).localname, leaf.text) for leaf in block.iter() if not len(leaf)]
    assert told == [
        ("pguId", "42"), ("techCode", "6"), ("comment", "Принято"), ("cancelAllowed", "false"),
        ("sendMessageAllowed", "true"),
    ]  # fmt: skip


def test_a_wish_to_cancel_is_answered_with_result_and_comment() -> None:
    service = epgu_correspondence_cancel.EpguCancelAnswer([TYPE], personal_signature=True)
    call = service.found(command(service, result="OK", comment="Отменено"), requested(CANCEL))
    root = etree.fromstring(call.content)
    assert (root.get("Id"), call.official, call.note) == (f"id-{UUID(int=1)}", True, "")
    assert [(etree.QName(leaf).localname, leaf.text) for leaf in root[0]] == [
        ("orderId", "42"),
        ("result", "OK"),
        ("comment", "Отменено"),
    ]


@pytest.mark.parametrize("module", [epgu_correspondence_answer, epgu_correspondence_cancel])
def test_the_acceptance_is_the_result(module: Any) -> None:
    service = module.make({})
    for example in service.examples:
        body = dict(example.request)
        answer = Answer("smev3", "k", example.reply["result"]["message_id"], AnswerKind.ANSWER, b"raw")
        asked = command(service, **body)
        assert service.start(asked) == Look((REQUEST,), KEY)
        assert service.resume(asked, answer) == Reply(example.reply)
        assert set(body) <= set(service.command_schema()["properties"])


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (Found(None), "ADAPTER-REQUEST-NOT-FOUND"),
        (requested(CANCEL), "ADAPTER-INVALID-COMMAND"),
        (requested(TEXT), "ADAPTER-INVALID-COMMAND"),
        (requested(ORDER, reply_to=""), "ADAPTER-NO-ANSWER-WANTED"),
        (requested(ORDER, answered=True), "ADAPTER-ALREADY-ANSWERED"),
        (requested(ORDER, facts={}), "ADAPTER-UNKNOWN-REQUEST"),
    ],
)
def test_what_may_not_be_answered_is_refused_by_name(found: Found, code: str) -> None:
    service = epgu_correspondence_answer.EpguOrderAnswer([TYPE])
    with pytest.raises(AdapterError) as refused:
        service.found(command(service, tech_code=6), found)
    assert refused.value.code == code


@pytest.mark.parametrize("body", [{}, {"tech_code": 6, "org_code": "x"}, {"tech_code": 6, "comment": "я" * 2049}])
def test_a_wrong_answer_is_refused(body: dict[str, Any]) -> None:
    service = epgu_correspondence_answer.EpguOrderAnswer([TYPE])
    with pytest.raises(InvalidCommandError):
        service.start(command(service, **body))


NAMES = ["order", "textRequest", "cancelRequest", "orderId", "pguId", "text", "reason", "other"]
ELEMENTS = st.recursive(
    st.sampled_from(["", "42", "я", "0"]),
    lambda inner: st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=3).map(
        lambda parts: "".join(f"<t:{name}>{content}</t:{name}>" for name, content in parts)
    ),
    max_leaves=8,
)


@given(ELEMENTS, st.booleans())
def test_whatever_comes_in_is_told_or_a_named_error(inner: str, wants: bool) -> None:  # noqa: FBT001 — drawn by the test
    message = incoming(inner, reply_to="there" if wants else "", key=str(uuid4()))
    try:
        step = EpguOrders([TYPE]).begin(message)
    except KnownError:
        return
    assert len(step.events) == 1
    orjson.dumps(dict(step.events[0].body))


def test_content_that_is_no_xml_has_no_subject() -> None:
    with pytest.raises(XmlError):
        EpguOrders([TYPE]).subject(incoming("<broken"))


def test_orders_are_taken_where_they_are_named_and_answered() -> None:
    environment = {"EPGU_ORDER_TYPES": orjson.dumps([{"namespace": NS}]).decode()}
    assert make_providers({"epgu.message.send"}, environment) == {}
    assert make_providers({"epgu.order.answer"}, {}) == {}
    (provider,) = make_providers({"epgu.cancel.answer"}, environment).values()
    assert (provider.action, list(provider.provides)) == (REQUEST, [(NS, "FormData")])


@pytest.mark.parametrize(
    "text",
    ["{}", "[1]", '[{"namespace": ""}]', '[{"namespace": "a", "more": 1}]', '[{"namespace": "a"}, {"namespace": "a"}]'],
)
def test_wrong_types_are_named_without_their_values(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_types({"EPGU_ORDER_TYPES": text})
    assert list(refused.value.faults) == ["EPGU_ORDER_TYPES"]


def test_the_registry_knows_every_action() -> None:
    actions = {
        "epgu.order.answer",
        "epgu.cancel.answer",
        "epgu.message.send",
        "epgu.order.set-status",
        "epgu.event.send",
    }
    assert actions <= set(make_services({}))
