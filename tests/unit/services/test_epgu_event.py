"""Events for the citizen's account as pure functions: what a command becomes, and what ЕПГУ's answer becomes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapter.errors import AdapterError, AnswerUnreadableError, ConfigurationError, InvalidCommandError, KnownError
from adapter.exchange import Answer, AnswerKind, Call, Command, Reply, State
from adapter.incoming import Found, Incoming, Look, Request
from adapter.paths import SCHEMAS
from adapter.services import epgu_event_message, epgu_event_send, epgu_event_status
from adapter.services.epgu_correspondence_types import EVENT_NAMESPACE, OrderType
from adapter.services.epgu_event import MAY_WRITE, REQUEST, UNASKED, EpguEvents, Options

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = etree.XMLSchema(etree.parse(SCHEMAS / "epgu-event/3.1.1/event.xsd"))
SEED = Path(__file__).parents[3].parent / "shared" / "seeds" / "000_bda56fa7b5a50d8e.txt"
ALLOWED = Found(None, frozenset({MAY_WRITE}))
KINDS = {module.ACTION: module.KIND for module in (epgu_event_message, epgu_event_send, epgu_event_status)}
MESSAGE: dict[str, Any] = {"order_id": 12345678, "text": "Да"}
STATUS: dict[str, Any] = {"order_id": 12345678, "tech_code": 6}
DAY = {"start_date": "2026-02-30"}
OTHER: dict[str, Any] = {"order_id": 12345678, "info": {"code": "101"}}


def service(action: str = epgu_event_message.ACTION, **options: Any) -> EpguEvents[Any]:
    kind: Any = KINDS[action]
    return EpguEvents(kind, Options(**options))


def command(action: str, body: dict[str, Any] | bytes) -> Command:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Command(UUID(int=1), action, raw, NOW, NOW + timedelta(days=1))


def call(action: str, body: dict[str, Any], found: Found = ALLOWED, **options: Any) -> Call:
    one = service(action, **options)
    step = one.found(command(action, body), found)
    assert isinstance(step, Call)
    return step


def said(code: int, message: str = "", namespace: str = EVENT_NAMESPACE) -> Answer:
    content = (
        f'<n:eventServiceResponse xmlns:n="{namespace}"><n:code>{code}</n:code><n:message>{message}</n:message>'
        "</n:eventServiceResponse>"
    )
    return Answer("smev3", "k", "r", AnswerKind.ANSWER, b"raw", content.encode())


def canonical(content: bytes) -> bytes:
    """Canonical form without the blanks between elements."""
    root = etree.fromstring(content)
    for element in root.iter():
        element.text = element.text if (element.text or "").strip() else None
        element.tail = None
    return etree.tostring(root, method="c14n")


def test_the_example_of_the_description_is_produced_equal_after_canonicalisation() -> None:
    if not SEED.exists():
        pytest.skip("the description (../shared) is not beside this checkout")
    text = SEED.read_text(encoding="utf-8")
    start, end = text.index("<ns:eventServiceRequest"), text.index("</ns:eventServiceRequest>")
    broken = text[start:end] + "</ns:eventServiceRequest>"
    wanted = broken.replace("&quot;&gt;", '">').encode()
    body = {
        "order_id": 12345678,
        "date": "2018-03-01T15:00:00+03:00",
        "text": "Сообщаем, что срок проверки документов составляет 10 рабочих дней",
        "author": "Фамилия И.О.",
    }
    assert canonical(call(epgu_event_message.ACTION, body).content) == canonical(wanted)


@pytest.mark.parametrize("action", KINDS)
def test_every_example_is_valid_and_answered_as_shown(action: str) -> None:
    for example in KINDS[action].examples:
        asked = command(action, dict(example.request))
        assert service(action).start(asked) == Look((REQUEST,), "12345678")
        made = call(action, dict(example.request))
        OURS.assertValid(etree.fromstring(made.content))
        assert (made.operation, made.lane, made.subject) == ("SendRequest", "epgu.order:12345678", "12345678")
        step = service(action).resume(asked, said(0, "OK"))
        if isinstance(step, Look):
            step = service(action).found(asked, replace(ALLOWED, notes=ALLOWED.notes | {made.note}))  # type: ignore[assignment]
        assert step == Reply(example.reply)


def test_a_status_that_lets_the_citizen_write_leaves_a_note() -> None:
    notes = [call(epgu_event_status.ACTION, STATUS | {"send_message_allowed": flag}).note for flag in (True, False)]
    assert notes == [MAY_WRITE, ""]


def test_a_message_that_nobody_allowed_is_sent_and_warned_of() -> None:
    asked = command(epgu_event_message.ACTION, MESSAGE)
    made = call(epgu_event_message.ACTION, MESSAGE, Found(None))
    reply = service().found(asked, Found(None, frozenset({made.note})))
    assert reply == Reply({"result": {"order_id": 12345678, "code": 0, "warnings": [UNASKED]}})
    # A status that allows messages later changes nothing of what was so when this one left.
    assert service().found(asked, Found(None, frozenset({made.note, MAY_WRITE}))) == reply


def test_a_message_that_nobody_allowed_may_be_refused() -> None:
    with pytest.raises(KnownError) as refused:
        call(epgu_event_message.ACTION, MESSAGE, Found(None), refuse_unasked=True)
    assert refused.value.code == "ADAPTER-MESSAGE-NOT-ALLOWED"
    assert call(epgu_event_message.ACTION, MESSAGE, refuse_unasked=True).content


@pytest.mark.parametrize("action", KINDS)
def test_a_code_other_than_0_is_an_error_with_that_code(action: str) -> None:
    body = {epgu_event_message.ACTION: MESSAGE, epgu_event_status.ACTION: STATUS}.get(action, OTHER)
    with pytest.raises(AdapterError) as refused:
        service(action).resume(command(action, body), said(-7, "Заявление закрыто"))
    assert (refused.value.code, refused.value.description) == ("-7", "Заявление закрыто")


@pytest.mark.parametrize("content", [b"", b"<x/>", b"<broken", said(0, namespace="urn:other").content])
def test_an_answer_that_is_none_is_kept_for_a_person(content: bytes) -> None:
    with pytest.raises(AnswerUnreadableError):
        service().resume(command(epgu_event_message.ACTION, MESSAGE), replace(said(0), content=content))


def test_the_contour_is_the_orders_own_else_that_of_the_deployment() -> None:
    kind = OrderType(namespace="urn:visit", env="UAT")
    incoming = Incoming("smev3", "k", REQUEST, b"", facts={"namespace": "urn:visit", "root": "FormData"})
    request = Request(UUID(int=7), incoming, NOW, State.REPLIED, answered=False)
    for found, expected in ((Found(request), "UAT"), (Found(None), "PROD")):
        made = call(epgu_event_status.ACTION, STATUS, found, types=(kind,), env="PROD")
        assert etree.fromstring(made.content).get("env") == expected


def test_another_namespace_is_written_and_judged_by_no_schema_of_ours() -> None:
    older = "http://epgu.gosuslugi.ru/lk/order/event/PROD/3.1.0"
    root = etree.fromstring(call(epgu_event_status.ACTION, STATUS, namespace=older).content)
    assert (etree.QName(root).namespace, root.get("env"), service(namespace=older).schema) == (older, None, None)
    newer = "http://epgu.gosuslugi.ru/lk/order/event/3.2.0"
    assert etree.fromstring(call(epgu_event_status.ACTION, STATUS, namespace=newer).content).get("env") == "DEV"


@pytest.mark.parametrize(
    ("action", "body", "path"),
    [
        (epgu_event_message.ACTION, {"order_id": 1}, "text"),
        (epgu_event_message.ACTION, MESSAGE | {"text": ""}, "text"),
        (epgu_event_message.ACTION, MESSAGE | {"text": " \n"}, "text"),
        (epgu_event_message.ACTION, MESSAGE | {"text": "я" * 2049}, "text"),
        (epgu_event_message.ACTION, MESSAGE | {"message": "Да"}, "message"),
        (epgu_event_message.ACTION, MESSAGE | {"author": "я" * 257}, "author"),
        (epgu_event_message.ACTION, MESSAGE | {"date": "2026-01-01T00:00:00"}, "date"),
        (epgu_event_message.ACTION, MESSAGE | {"date": "2026-02-30T00:00:00Z"}, "date"),
        (epgu_event_message.ACTION, MESSAGE | {"date": "2026-01-01T00:00:00+23:00"}, "date"),
        (epgu_event_message.ACTION, MESSAGE | {"order_id": 0}, "order_id"),
        (epgu_event_message.ACTION, MESSAGE | {"order_id": "12345678"}, "order_id"),
        (epgu_event_status.ACTION, {"order_id": 1}, "body"),
        (epgu_event_status.ACTION, STATUS | {"org_code": "x"}, "body"),
        (epgu_event_status.ACTION, STATUS | {"tech_code": 32768}, "tech_code"),
        (epgu_event_status.ACTION, {"order_id": 1, "org_code": "я" * 21}, "org_code"),
        (epgu_event_send.ACTION, {"order_id": 1}, "body"),
        (epgu_event_send.ACTION, OTHER | {"equeue": {"closed": True}}, "body"),
        (epgu_event_send.ACTION, {"order_id": 1, "equeue": {}}, "equeue"),
        (epgu_event_send.ACTION, {"order_id": 1, "equeue": {"invitation": DAY}}, "equeue.invitation.start_date"),
        (epgu_event_send.ACTION, {"order_id": 1, "payment": {"status": "PAID", "payments": []}}, "payment.payments"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_refused_by_field(action: str, body: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidCommandError) as refused:
        service(action).start(command(action, body))
    assert path in [fault.path for fault in refused.value.fields]


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60)
NOT_BLANK = TEXTS.filter(lambda text: bool(text.strip()) and "\ufffe" not in text and "\uffff" not in text)


@given(text=NOT_BLANK, author=NOT_BLANK, order=st.integers(1, 2**63 - 1))
def test_whatever_may_be_written_is_read_back_as_it_was(text: str, author: str, order: int) -> None:
    made = call(epgu_event_message.ACTION, {"order_id": order, "text": text, "author": author})
    root = etree.fromstring(made.content)
    OURS.assertValid(root)
    assert [root.findtext(f"{{*}}{name}") for name in ("orderId", "eventComment", "eventAuthor")] == [
        str(order),
        text,
        author,
    ]


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["order_id", "text", "date", "equeue", "closed", "invitation", "tech_code"]), inner
        )
    ),
    max_leaves=10,
)


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=200) | TREES.map(lambda tree: json.dumps(tree).encode()))
def test_whatever_comes_in_is_a_step_or_a_named_error(action: str, body: bytes) -> None:
    try:
        step = service(action).start(command(action, body))
    except InvalidCommandError:
        return
    assert isinstance(step, Look)


def test_wrong_options_are_named() -> None:
    for name in ("EPGU_EVENT_ENV", "EPGU_UNASKED_MESSAGES", "EPGU_ORDER_TYPES"):
        with pytest.raises(ConfigurationError) as refused:
            epgu_event_message.make({name: "nonsense"})
        assert list(refused.value.faults) == [name]


@pytest.mark.parametrize("action", KINDS)
def test_the_json_schema_names_the_fields_of_the_command(action: str) -> None:
    properties = service(action).command_schema()["properties"]
    assert all(set(example.request) <= set(properties) for example in KINDS[action].examples)
