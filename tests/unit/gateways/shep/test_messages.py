"""Envelopes: strict in what goes out, lenient and bounded in what comes in."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.gateways.shep import messages
from adapter.gateways.shep.faults import ErrorInfo, error_of
from adapter.gateways.shep.messages import (
    MESSAGE_LIMIT,
    MessageError,
    body,
    envelope,
    fault_payload,
    payload,
    read,
)
from adapter.gateways.shep.operations import ASYNC_SEND, GET_STATUS, OPERATIONS, SYNC_SEND
from tests.contract.shep_reference import SAMPLES, reference
from tests.contract.shep_samples import ASYNC, INVALID, NOW, SESSION, SOAP, VALID
from tests.contract.shep_samples import envelope as sample

PLAIN = [name for name in VALID if "fault" not in name]


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_read_is_written_again(name: str) -> None:
    message = read(sample(VALID[name]))
    assert message.warnings == ()
    assert message.operation is not None
    again = read(envelope(body(payload(message.operation, message.part, message.values))))
    assert again.values == message.values


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_written_is_valid_by_the_operators_schema(name: str) -> None:
    message = read(sample(VALID[name]))
    assert message.operation is not None
    written = etree.fromstring(payload(message.operation, message.part, message.values))
    assert reference().validate(etree.ElementTree(written)), reference().error_log


def test_faults_that_are_written_are_valid_by_the_operators_schema() -> None:
    now = datetime.now(UTC)
    inner = {"error_code": "E2", "error_message": "", "error_date": now}
    info = {"error_code": "E1", "error_message": "m", "error_date": now, "sub_error": inner, "session_id": SESSION}
    for operation in OPERATIONS.values():
        detail = payload(operation, "fault", info)
        assert reference().validate(etree.ElementTree(etree.fromstring(detail)))
        fault = read(envelope(body(fault_payload("Server", "все <плохо>", detail)))).fault
        assert fault is not None
        assert fault.faultstring == "все <плохо>"
        assert fault.info is not None
        assert fault.info.sub_error == ErrorInfo("E2", "", date=fault.info.date)


def test_every_sample_is_read() -> None:
    samples = sorted(SAMPLES.rglob("*.xml"))
    if not samples:
        pytest.skip("the reference samples (../shared) are not on this machine")
    for path in samples:
        if path.name == "mitwork_xmldsig_gost2015.xml":  # a document, no message
            continue
        message = read(path.read_bytes())
        assert message.warnings == (), path.name
        assert message.fault is not None or message.values, path.name


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("<request>", '<request xmlns="urn:any">'),
        lambda text: text.replace(ASYNC, "urn:another"),
        lambda text: text.replace("<serviceId>Svc</serviceId>", "").replace(
            "</sender>", "</sender><serviceId>Svc</serviceId>"
        ),
        lambda text: text.replace("<serviceId>", "<unknown/><serviceId>"),
        lambda text: text.replace("<serviceId>", "<!-- x --><serviceId>").replace("Svc<", "S<!-- x -->vc<"),
        lambda text: text.replace("<request>", '<request a="b">'),
    ],
)
def test_names_are_read_in_any_namespace_and_order(change: Any) -> None:
    message = read(sample(change(VALID["sent"])))
    assert message.operation is OPERATIONS[ASYNC_SEND]
    assert message.values["message_info"]["service_id"] == "Svc"
    assert not [name for name in message.values["message_info"] if name.startswith("_")]
    assert message.values["message_data"]["data"].content.startswith(b"<a")


@pytest.mark.parametrize("name", [n for n in INVALID if "fault" not in n and "error" not in n])
def test_what_breaks_the_schema_is_read_with_warnings(name: str) -> None:
    message = read(sample(INVALID[name]))
    assert message.operation is not None
    assert bool(message.warnings) == (name != "sync-in-namespace")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"message_id": "1", "request_date": NOW},
        {"message_id": "1", "request_date": "вчера", "sender": {"sender_id": "x"}},
        {"message_id": "1\x00", "request_date": NOW, "sender": {"sender_id": "x"}},
        {"message_id": "1", "request_date": NOW, "sender": {"sender_id": "x"}, "extra": 1},
        {
            "message_id": "1",
            "request_date": NOW,
            "sender": {"sender_id": "x"},
            "properties": [{"key": "k" * 31, "value": ""}],
        },
    ],
)
def test_nothing_leaves_that_the_schema_forbids(values: dict[str, Any]) -> None:
    with pytest.raises(MessageError) as caught:
        payload(OPERATIONS[GET_STATUS], "request", values)
    assert "вчера" not in str(caught.value)
    assert "kkkk" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (b"", "not well-formed"),
        (b"<html><body>502</body></html>", "not an envelope"),
        (b"<!DOCTYPE html><html/>", "document type"),
        (b'<!DOCTYPE a [<!ENTITY e "e">]>' + sample(VALID["sent"]), "document type"),
        (sample("").replace(b"<S:Body></S:Body>", b""), "not an envelope"),
        (sample(""), "one element"),
        (sample("<a/><b/>"), "one element"),
        (sample("<unknownOperation/>"), "no operation"),
        (b" " * (MESSAGE_LIMIT + 1), "larger than"),
        (sample(VALID["sent"]).replace(b"schemas.xmlsoap.org/soap", b"www.w3.org/2003/05/soap"), "not an envelope"),
        (sample(VALID["sent"]) + b"<a/>", "not well-formed"),
    ],
)
def test_what_is_no_message_is_named(message: bytes, rule: str) -> None:
    with pytest.raises(MessageError, match=rule):
        read(message)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(list(VALID)), place=st.integers(0, 5000), put=st.binary(max_size=3))
def test_no_changed_byte_breaks_the_reader(name: str, place: int, put: bytes) -> None:
    message = sample(VALID[name])
    at = place % len(message)
    try:
        found = read(message[:at] + put + message[at + 1 :])
    except MessageError:
        return
    assert found.operation is not None or found.fault is not None


def test_nothing_of_a_message_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        read(sample(INVALID["amount-in-words"].replace("ten", "секрет")))
        read(sample(INVALID["date-without-time"]))
    assert "секрет" not in caplog.text


def test_only_files_of_ours_are_loaded() -> None:
    with pytest.raises(MessageError, match="outside"):
        messages._OwnFiles().load("/etc/hostname")


@pytest.mark.parametrize(
    ("fault", "code", "details"),
    [
        (read(sample(VALID["sync-fault"])).fault, "E1", {"session_id", "error_date", "sub_error"}),
        (read(envelope(body(fault_payload("Server", "")))).fault, "ADAPTER-GATEWAY-UNAVAILABLE", {"faultcode"}),
        (read(envelope(body(fault_payload("Client", "нет")))).fault, "ADAPTER-GATEWAY-PROTOCOL", {"faultcode"}),
        (
            read(envelope(body(fault_payload("Server", "x", b"<detail><stack>trace</stack></detail>")))).fault,
            "ADAPTER-GATEWAY-UNAVAILABLE",
            {"faultcode"},
        ),
    ],
)
def test_faults_become_errors(fault: Any, code: str, details: set[str]) -> None:
    error = error_of(fault)
    assert error.code == code
    assert set(error.details) == details
    assert error.description


def test_a_nested_error_is_told_whole() -> None:
    fault = read(sample(VALID["sync-fault"])).fault
    assert fault is not None
    assert error_of(fault).details["sub_error"] == {
        "error_code": "E2",
        "error_message": "",
        "error_data": "where",
        "error_date": NOW,
    }


def test_errors_nested_without_end_are_cut() -> None:
    deep = "<errorCode>E</errorCode>" + "<subError><errorCode>E</errorCode>" * 100 + "</subError>" * 100
    message = sample(
        f'<n:sendMessageFault1_sendMessageFault xmlns:n="{ASYNC}">{deep}</n:sendMessageFault1_sendMessageFault>'
    )
    fault = read(message).fault
    assert fault is not None
    depth, inner = 0, error_of(fault).details
    while "sub_error" in inner:
        depth, inner = depth + 1, inner["sub_error"]
    assert depth == 16


def test_envelopes_name_soap_once_and_keep_the_body() -> None:
    content = payload(OPERATIONS[SYNC_SEND], "request", read(sample(VALID["sync"])).values)
    soap = body(content, "id-1")
    assert envelope(soap, b"<x/>").count(soap) == 1
    assert SOAP.encode() in envelope(soap)
