"""Requests that other systems put to us, as the provider reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.gateways.smev3.messages import Names
from adapter.gateways.smev3.reading import UnreadableError, open_envelope
from adapter.gateways.smev3.requests import read_request, to_request
from adapter.xml.parser import parse
from tests.unit.gateways.smev3.scripted import MESSAGE_ID, NAMES, ORIGINAL_ID, envelope

if TYPE_CHECKING:
    from adapter.gateways.smev3.requests import ProvidedRequest

CONTENT = '<z:Ask xmlns:z="urn:zoo"><z:name>Пётр</z:name></z:Ask>'
PRIMARY = f"<b:MessagePrimaryContent>{CONTENT}</b:MessagePrimaryContent>"


def delivered(
    inner: str = PRIMARY, *, head: str = "", kind: str = "REQUEST", reply_to: str = "<t:ReplyTo>e30=</t:ReplyTo>"
) -> bytes:
    """Return GetRequestResponse with a Request; ``inner`` and ``head`` are what its sender provided."""
    return envelope(
        '<t:GetRequestResponse><t:RequestMessage><t:Request Id="SIGNED_BY_SMEV"><t:SenderProvidedRequestData '
        f'Id="SIGNED_BY_CONSUMER"><t:MessageID>{MESSAGE_ID}</t:MessageID>{head}{inner}</t:SenderProvidedRequestData>'
        f"<t:MessageMetadata><t:MessageId>{MESSAGE_ID}</t:MessageId><t:MessageType>{kind}</t:MessageType><t:Sender>"
        "<t:Mnemonic>ZOO01</t:Mnemonic></t:Sender><t:SendingTimestamp>2026-11-21T10:00:00.000+03:00"
        f"</t:SendingTimestamp></t:MessageMetadata>{reply_to}</t:Request><t:SMEVSignature/></t:RequestMessage>"
        "</t:GetRequestResponse>"
    )


def request_of(body: bytes, names: Names = NAMES) -> ProvidedRequest:
    fetched = read_request(open_envelope(body), names)
    assert fetched is not None
    return to_request(fetched, body, names, verdicts=())


def test_an_empty_queue_holds_no_request() -> None:
    assert read_request(open_envelope(envelope("<t:GetRequestResponse/>")), NAMES) is None


def test_a_request_is_what_its_sender_provided() -> None:
    request = request_of(delivered())
    assert (request.source, request.key, request.reply_to, request.sender) == ("smev3", MESSAGE_ID, "e30=", "ZOO01")
    assert parse(request.content).tag == "{urn:zoo}Ask"
    assert (request.test, request.broadcast, request.unreadable) == (False, False, "")


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-11-21T13:00:00.000+03:00", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21T10:00:00Z", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21T13:00:00", datetime(2026, 11, 21, 10, tzinfo=UTC)),
    ],
)
def test_an_end_of_life_without_a_zone_is_of_moscow(written: str, moment: datetime) -> None:
    assert request_of(delivered(head=f"<t:EOL>{written}</t:EOL>")).end_of_life == moment


def test_business_process_metadata_are_passed_on_without_what_no_signature_sees() -> None:
    process = '<q:frgu xmlns:q="urn:q">1<!-- no -->23</q:frgu><!-- no --><q:b xmlns:q="urn:q"/>'
    metadata = f"<t:BusinessProcessMetadata>{process}</t:BusinessProcessMetadata>"
    passed = parse(b"<x>" + request_of(delivered(PRIMARY + metadata)).business_process + b"</x>")
    assert [(child.tag, child.text) for child in passed] == [("{urn:q}frgu", "123"), ("{urn:q}b", None)]


def test_a_broadcast_has_no_address_even_where_the_schema_demands_one() -> None:
    request = request_of(delivered(kind="BROADCAST", reply_to="<t:ReplyTo>x</t:ReplyTo>"))
    assert (request.broadcast, request.reply_to, request.unreadable) == (True, "", "")


def test_a_cancel_names_the_request_that_is_taken_back() -> None:
    names = Names.of("1.1")
    body = envelope(
        '<t:GetRequestResponse><t:RequestMessage><t:Cancel Id="SIGNED_BY_SMEV">'
        f"<b:MessageReference>{ORIGINAL_ID}</b:MessageReference><t:MessageID>{MESSAGE_ID}</t:MessageID>"
        "<t:MessageMetadata><t:MessageType>CANCEL</t:MessageType></t:MessageMetadata></t:Cancel></t:RequestMessage>"
        "</t:GetRequestResponse>"
    ).replace(b"/1.2", b"/1.1")
    request = request_of(body, names)
    assert (request.key, request.cancels, request.content) == (MESSAGE_ID, ORIGINAL_ID, b"")
    fetched = read_request(open_envelope(body), names)
    assert fetched is not None
    assert fetched.part.name == "Cancel"


@pytest.mark.parametrize(
    "body",
    [
        delivered(""),
        delivered("<b:MessagePrimaryContent/>"),
        delivered(PRIMARY, reply_to=""),
        delivered(PRIMARY, head="<t:EOL>soon</t:EOL>"),
        delivered(PRIMARY, head="<t:NodeID><t:deep/></t:NodeID>"),
        delivered().replace(b"SenderProvidedRequestData", b"Other"),
    ],
    ids=["no content", "no root", "no address", "no moment", "no text", "no data"],
)
def test_a_senseless_request_is_known_by_its_id_and_its_bytes(body: bytes) -> None:
    request = request_of(body)
    assert request.unreadable
    assert (request.key, request.raw, request.content) == (MESSAGE_ID, body, b"")


@pytest.mark.parametrize(
    "body",
    [
        envelope("<t:GetResponseResponse/>"),
        envelope("<t:GetRequestResponse><t:RequestMessage/></t:GetRequestResponse>"),
        delivered().replace(b"MessageMetadata", b"Other"),
        delivered().replace(MESSAGE_ID.encode(), b"not-an-id"),
    ],
    ids=["another answer", "no request", "no metadata", "no id"],
)
def test_what_no_ack_could_name_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_request(open_envelope(body), NAMES)


@given(st.data())
def test_no_damage_to_a_request_is_more_than_unreadable(data: st.DataObject) -> None:
    body = delivered(head="<t:NodeID>n</t:NodeID><t:EOL>2026-11-21T10:00:00Z</t:EOL>")
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 200)))
    damaged = body[:start] + data.draw(st.binary(max_size=8)) + body[end:]
    try:
        fetched = read_request(open_envelope(damaged), NAMES)
    except UnreadableError:
        return
    if fetched is not None:
        assert to_request(fetched, damaged, NAMES, verdicts=()).raw == damaged
