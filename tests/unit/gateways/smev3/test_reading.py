from __future__ import annotations

import pytest

from adapter.gateways.smev3.reading import (
    UnreadableError,
    open_envelope,
    read_acceptance,
    read_delivery,
    read_soap_fault,
    root_part,
)
from tests.unit.gateways.smev3.scripted import (
    MESSAGE_ID,
    NAMES,
    ORIGINAL_ID,
    acceptance,
    business_answer,
    delivery,
    envelope,
    soap_fault,
)

EMPTY = envelope("<t:GetResponseResponse/>")


def multipart(
    body: bytes, *, eol: bytes = b"\r\n", headers: bytes = b"Content-ID: <root.message@cxf.apache.org>"
) -> bytes:
    return eol.join(
        (b"--limit-1", b"Content-Type: application/xop+xml; charset=UTF-8", headers, b"", body, b"--limit-1--", b"")
    )


@pytest.mark.parametrize("eol", [b"\r\n", b"\n"])
def test_the_root_part_of_a_multipart_answer_is_found(eol: bytes) -> None:
    assert root_part(multipart(EMPTY, eol=eol)) == EMPTY
    assert root_part(eol + multipart(EMPTY, eol=eol)) == EMPTY


def test_parts_behind_the_root_do_not_matter() -> None:
    whole = multipart(EMPTY).replace(b"--limit-1--", b"--limit-1\r\nContent-ID: <a>\r\n\r\n<x/>\r\n--limit-1--")
    assert root_part(whole) == EMPTY


def test_an_answer_that_is_no_multipart_is_its_own_root() -> None:
    assert root_part(EMPTY) == EMPTY
    assert root_part(b"") == b""


@pytest.mark.parametrize(
    "body",
    [
        multipart(EMPTY)[:-30],
        b"--",
        b"--limit-1",
        b"--limit-1\r\nno blank line\r\n--limit-1--",
        multipart(EMPTY, headers=b"Content-Transfer-Encoding: base64"),
    ],
    ids=["cut off", "no boundary", "boundary only", "no headers", "encoded"],
)
def test_a_broken_multipart_answer_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        root_part(body)


def test_an_empty_body_has_no_payload() -> None:
    assert open_envelope(envelope("")) is None
    assert open_envelope(b"\xef\xbb\xbf" + envelope("")) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        b"<!DOCTYPE html><html></html>",
        EMPTY[:-10],
        EMPTY.replace(b"Body", b"Torso"),
        EMPTY.replace(b"schemas.xmlsoap.org/soap/envelope/", b"www.w3.org/2003/05/soap-envelope"),
        envelope("<a/><b/>"),
        soap_fault("SMEVFailure", description="сбой").decode().encode("windows-1251"),
        b"\x1f\x8b\x08\x00\x00",
    ],
    ids=["nothing", "html", "doctype", "truncated", "no body", "soap 1.2", "two children", "wrong charset", "gzip"],
)
def test_what_is_no_soap_envelope_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        open_envelope(data)


def test_an_unreadable_message_is_described_without_its_values() -> None:
    with pytest.raises(UnreadableError) as refused:
        open_envelope(envelope("<t:GetResponseResponse>Секретов</t:Other>"))
    assert "Секретов" not in str(refused.value)


def test_a_fault_is_read_whole() -> None:
    fault = read_soap_fault(
        open_envelope(
            soap_fault(
                "InvalidContent",
                description="SMEV-403:не по схеме",
                code="core:7",
                extra='<f:ValidationError errorPosition="-1">cvc-1</f:ValidationError>'
                '<f:ValidationError errorPosition="4">cvc-2</f:ValidationError><f:Other>другое</f:Other>',
            )
        )
    )
    assert fault is not None
    assert (fault.kind, fault.code, fault.description) == ("InvalidContent", "core:7", "SMEV-403:не по схеме")
    assert (fault.faultcode, fault.faultstring) == ("soap:Server", "строка отказа")
    assert fault.validation_errors == [
        {"position": "-1", "message": "cvc-1"},
        {"position": "4", "message": "cvc-2"},
    ]
    assert fault.fields == {"Other": "другое"}


def test_a_fault_without_a_detail_has_no_class() -> None:
    fault = read_soap_fault(open_envelope(soap_fault()))
    assert fault is not None
    assert (fault.kind, fault.faultstring) == ("", "строка отказа")


def test_a_detail_of_foreign_elements_has_no_class() -> None:
    body = soap_fault("SMEVFailure").replace(b"f:SMEVFailure", b"t:SMEVFailure")
    fault = read_soap_fault(open_envelope(body))
    assert fault is not None
    assert fault.kind == ""


def test_what_is_no_fault_is_none() -> None:
    assert read_soap_fault(open_envelope(EMPTY)) is None
    assert read_soap_fault(None) is None


def test_an_acceptance_names_its_message() -> None:
    assert read_acceptance(open_envelope(acceptance(MESSAGE_ID)), "SendRequest", NAMES) == MESSAGE_ID


def test_an_acceptance_may_name_no_message() -> None:
    nameless = acceptance(MESSAGE_ID).replace(f"<t:MessageId>{MESSAGE_ID}</t:MessageId>".encode(), b"")
    assert read_acceptance(open_envelope(nameless), "SendRequest", NAMES) is None


@pytest.mark.parametrize("body", [EMPTY, envelope(""), envelope("<t:SendRequestResponse/>")])
def test_something_else_is_no_acceptance(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_acceptance(open_envelope(body), "SendRequest", NAMES)


def test_an_empty_queue_is_no_delivery() -> None:
    assert read_delivery(open_envelope(EMPTY), NAMES) is None


def test_a_delivery_names_what_is_to_be_confirmed_and_answered() -> None:
    read = read_delivery(open_envelope(business_answer()), NAMES)
    assert read is not None
    assert (read.message_id, read.original_id, read.part.id) == (MESSAGE_ID, ORIGINAL_ID, "SIGNED_BY_SMEV")
    assert read.part.id_is_unique


def test_a_delivery_without_metadata_id_is_known_by_its_senders_id() -> None:
    body = business_answer().replace(f"<t:MessageId>{MESSAGE_ID}</t:MessageId>".encode(), b"")
    read = read_delivery(open_envelope(body), NAMES)
    assert read is not None
    assert read.message_id == MESSAGE_ID


def test_a_repeated_id_is_noticed() -> None:
    body = business_answer('<z:Answer xmlns:z="urn:zoo" Id="SIGNED_BY_SMEV"/>')
    read = read_delivery(open_envelope(body), NAMES)
    assert read is not None
    assert not read.part.id_is_unique


@pytest.mark.parametrize(
    "body",
    [
        envelope(""),
        envelope("<t:AckResponse/>"),
        envelope("<t:GetResponseResponse><t:ResponseMessage/></t:GetResponseResponse>"),
        business_answer().replace(MESSAGE_ID.encode(), b"not-an-id"),
        business_answer().replace(b"<t:MessageMetadata>", b"<t:Other>").replace(b"</t:MessageMetadata>", b"</t:Other>"),
        business_answer().replace(MESSAGE_ID.encode(), MESSAGE_ID[:8].encode() + b"<!-- -->" + MESSAGE_ID[8:].encode()),
    ],
    ids=["nothing", "another answer", "no response", "no id", "no metadata", "comment inside an id"],
)
def test_a_delivery_that_cannot_be_confirmed_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_delivery(open_envelope(body), NAMES)


@pytest.mark.parametrize(
    "body",
    [
        business_answer().replace(b"SenderProvidedResponseData", b"Other"),
        business_answer().replace(ORIGINAL_ID.encode(), b"<t:deep/>"),
        business_answer().replace(f"<t:OriginalMessageId>{ORIGINAL_ID}</t:OriginalMessageId>".encode(), b""),
    ],
    ids=["no data", "no text", "no reference"],
)
def test_a_senseless_delivery_that_can_be_confirmed_is_a_delivery(body: bytes) -> None:
    read = read_delivery(open_envelope(body), NAMES)
    assert read is not None
    assert read.message_id == MESSAGE_ID
    assert read.original_id in {ORIGINAL_ID, ""}


def test_a_comment_inside_the_reference_is_no_reference_that_was_signed() -> None:
    commented = f"{ORIGINAL_ID[:8]}<!-- -->{ORIGINAL_ID[8:]}".encode()
    with pytest.raises(UnreadableError):
        read_delivery(open_envelope(business_answer().replace(ORIGINAL_ID.encode(), commented)), NAMES)


def test_a_message_is_read_by_its_path_and_not_by_a_search() -> None:
    moved = delivery("").replace(b"<t:ResponseMessage>", b"<t:Wrapper><t:ResponseMessage>")
    moved = moved.replace(b"</t:ResponseMessage>", b"</t:ResponseMessage></t:Wrapper>")
    assert read_delivery(open_envelope(moved), NAMES) is None
