"""Whatever leaves us, as its client or at our doors, is valid by the operator's schema, signed or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.exchange import Call
from adapter.gateways.shep.data import BusinessData, Form
from adapter.gateways.shep.messages import MessageError, payload
from adapter.gateways.shep.operations import (
    ASYNC_SEND,
    GET_MESSAGES,
    GET_STATUS,
    NOTIFY_DELIVERY,
    OPERATIONS,
    PUSH,
    PUSH_STATUS,
    SYNC_SEND,
)
from adapter.xml.wssecurity import soap_body
from tests.contract.shep_caller import DATA
from tests.contract.shep_doors import opened
from tests.contract.shep_reference import reference
from tests.contract.shep_samples import NOW, SESSION, VALID

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.signing.kz import KzEngine
    from tests.contract.shep_caller import Caller

pytest_plugins = ("tests.contract.shep_fixtures",)

FORMS = [
    DATA,
    {"form": "text", "content": "<a>&amp;</a>\r\n"},
    {"form": "typed", "content": "<b>1</b><b>2</b>", "type": {"namespace": "urn:t", "name": "Type"}},
]
_PROPERTIES = [{"key": "k", "value": "v"}, {"key": "", "value": ""}]
_STATUS = {"status_code": "S", "status_message": "", "status_date": NOW}
_ERROR = {"error_code": "E", "error_message": "Нет", "error_date": NOW}
_PUSHED = {
    "message_id": "1",
    "correlation_id": "2",
    "service_id": "S",
    "message_type": "UPDATE",
    "message_date": NOW,
    "sender": {"sender_id": "other"},
}
_REFUSED = {
    "receive_status": "MESSAGE_NOT_ACCTEPTED",
    "status_date": NOW,
    "resend_message": "RESEND",
    "error": {**_ERROR, "sub_error": _ERROR},
}
_NEWS = {"notification_id": "n", "message_id": "1", "notification_date": NOW, "message_state": "DELIVERY_STOPPED"}


def _calls(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    asked = {"service_id": "S", "correlation_id": "c", "route_id": "R", "properties": _PROPERTIES}
    sent = {"service_id": "S", "message_type": "RESPONSE", "correlation_id": "7", "properties": _PROPERTIES}
    told = {"message_id": "1", "service_id": "S", "notification_date": NOW, "delivery_status": _REFUSED}
    return {
        SYNC_SEND: {"request_info": asked, "request_data": {"data": data}},
        ASYNC_SEND: {"message_info": sent, "message_data": {"data": data}},
        NOTIFY_DELIVERY: {"notification": told},
        GET_STATUS: {"message_id": "1", "properties": _PROPERTIES},
        GET_MESSAGES: {"service_id": "S", "message_id": "1", "amount": 3, "properties": _PROPERTIES},
        PUSH: {"message_info": _PUSHED, "message_data": {"data": data}},
        PUSH_STATUS: {
            "notification": {**_NEWS, "status": _STATUS, "error": _ERROR},
            "request_date": NOW,
            "session_id": SESSION,
        },
    }


def content_of(message: bytes) -> etree._Element:
    """What stands in the Body, or in the detail of its fault, without the types of business data: nobody's schema."""
    soap = soap_body(etree.fromstring(message))
    detail = soap.find("*/detail")
    content = etree.fromstring(etree.tostring(soap[0] if detail is None else detail[0], with_tail=False))
    for data in content.iter("{*}data"):
        data.attrib.clear()
    return content


def must_be_valid(message: bytes) -> None:
    assert reference().validate(etree.ElementTree(content_of(message))), (reference().error_log, message)


@pytest.mark.parametrize("operation", _calls(DATA))
async def test_every_request_of_ours_is_valid(caller: Caller, operation: str) -> None:
    for data in FORMS:
        content = orjson.dumps(_calls(data)[operation])
        prepared = await caller.gateway().prepare(Call("shep", operation, content))
        assert b"Signature" in prepared.body
        must_be_valid(prepared.body)


@pytest.mark.parametrize("service", ["Open", "Both"])
async def test_every_answer_and_fault_of_our_doors_is_valid(kz: KzEngine, shep_keys: Path, service: str) -> None:
    requests = {"/sync": ["sync", "sync-full"], "/async": ["pushed", "state"]}
    words: list[dict[str, Any]] = [
        {"status": {"code": "Success", "message": "Есть"}, "data": FORMS[2]},
        {"status": {"code": "Success", "message": "Есть"}},
        {"error": {"error_code": "NO", "error_message": "Нет", "error_data": "d"}},
    ]
    async with opened(kz, shep_keys) as doors:
        for path, names in requests.items():
            for name in names:
                for word in words:
                    doors.kept.said = word
                    content = VALID[name].replace("<serviceId>Svc<", f"<serviceId>{service}<")
                    _, answer = await doors.post(path, doors.hand("gateway").signed(content))
                    must_be_valid(answer.raw)
                _, refused = await doors.post(
                    path, doors.hand("gateway").signed(content.replace("essageId>", "assId>"))
                )
                assert refused.fault is not None
                must_be_valid(refused.raw)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40), form=st.sampled_from(list(Form)), key=st.text(max_size=35))
def test_whatever_upstream_says_is_valid_or_refused(text: str, form: Form, key: str) -> None:
    content = text if form is Form.TEXT else f"<a>{text}</a>"
    info = {
        "service_id": text,
        "message_type": "REQUEST",
        "message_date": NOW,
        "sender": {"sender_id": key or "x", "password": text},
        "properties": [{"key": key, "value": text}],
    }
    try:
        data = BusinessData(form, content.encode(), ("urn:t", "T") if form is Form.TYPED else None)
        written = payload(OPERATIONS[ASYNC_SEND], "request", {"message_info": info, "message_data": {"data": data}})
    except (MessageError, UnicodeEncodeError):
        return
    message = b'<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Body>%b</S:Body></S:Envelope>'
    must_be_valid(message % written)
