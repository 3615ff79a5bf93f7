from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from adapter.errors import ConfigurationError, KnownError
from adapter.gateways.smev3 import Smev3Options
from adapter.gateways.smev3.messages import (
    Names,
    ack_target,
    envelope,
    message_type_selector,
    queue_node,
    request_data,
    timestamp_element,
)
from adapter.gateways.smev3.options import VERSIONS
from adapter.gateways.smev3.responses import (
    PrimaryContent,
    Rejection,
    RejectionCode,
    RequestRejected,
    RequestStatus,
    Word,
    response_data,
)
from adapter.paths import SCHEMAS
from adapter.xml.parser import parse

SIGNATURE = b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"></ds:Signature>'
CONTENT = '<z:Ask xmlns:z="urn:zoo" Id="PERSONAL"><z:name>Пётр &amp; сын</z:name></z:Ask>'.encode()
MESSAGE_ID = "39f52a38-9a54-11ea-b23a-3316e2108089"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
REFERENCE = Path(__file__).parents[4].parent / "shared" / "reference" / "smev3" / "wsdl"


WORDS: list[Word] = [
    PrimaryContent(CONTENT),
    RequestRejected([Rejection(code, "Причина <&>") for code in RejectionCode]),
    RequestStatus("20", "В работе", {"срок": "<завтра>", "k": "v"}),
    RequestStatus("-2147483648", "п" * 4000),
]


def every_message(version: str) -> list[tuple[str, bytes, bytes]]:
    """Return (operation, signed element, envelope) of everything that the builders can say."""
    names = Names.of(version)
    said = [
        ("SendRequest", request_data(names, message_id=MESSAGE_ID, content=CONTENT)),
        (
            "SendRequest",
            request_data(
                names,
                message_id=MESSAGE_ID,
                content=CONTENT,
                reference_id=MESSAGE_ID,
                transaction_code="<tx>",
                node_id="<node> & co",
                end_of_life=NOON,
                personal_signature=SIGNATURE,
                business_process=b'<q:frgu xmlns:q="urn:q">123</q:frgu><q:more xmlns:q="urn:q"/>',
                test_message=True,
            ),
        ),
        ("GetResponse", message_type_selector(names, timestamp=NOON)),
        ("GetResponse", message_type_selector(names, timestamp=NOON, node_id="node-1")),
        ("GetRequest", message_type_selector(names, timestamp=NOON, selects=("urn:zoo/1.0.0?a&b", "Ask"))),
        ("GetStatus", timestamp_element(names, timestamp=NOON)),
        ("Ack", ack_target(names, message_id=MESSAGE_ID, accepted=True)),
        ("Ack", ack_target(names, message_id=MESSAGE_ID, accepted=False)),
    ]
    said += [
        ("SendResponse", response_data(names, message_id=MESSAGE_ID, reply_to="<to>", word=word)) for word in WORDS
    ]
    official = PrimaryContent(CONTENT, official=True)
    data = response_data(names, message_id=MESSAGE_ID, reply_to="e30=", word=official, personal_signature=SIGNATURE)
    said.append(("SendResponse", data))
    messages = [(op, signed, envelope(names, op, signed=signed, signature=SIGNATURE)) for op, signed in said]
    if version == "1.1":
        operation, signed = "GetIncomingQueueStatistics", timestamp_element(names, timestamp=NOON)
        for node in (None, "<node>"):
            ahead = queue_node(node)
            message = envelope(names, operation, signed=signed, signature=SIGNATURE, ahead=ahead)
            messages.append((operation, signed, message))
    return messages


def faults_by(schema: Path, version: str) -> list[str]:
    """Return what ``schema`` says against the messages of ``version``."""
    xsd = etree.XMLSchema(etree.parse(schema))
    faults = []
    for operation, _, message in every_message(version):
        payload = parse(message)[1][0]
        if not xsd.validate(payload):
            faults.append(f"{operation}: {xsd.error_log}")
    return faults


@pytest.mark.parametrize("version", VERSIONS)
def test_every_message_is_valid_by_our_schema(version: str) -> None:
    assert faults_by(SCHEMAS / "smev3" / version / "types.xsd", version) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_every_message_is_valid_by_the_published_schemas(version: str) -> None:
    schema = REFERENCE / version / f"smev-message-exchange-types-{version}.xsd"
    if not schema.exists():
        pytest.skip(f"reference schemas {version} are not beside this checkout")
    assert faults_by(schema, version) == []


def test_what_was_signed_stands_in_the_envelope_byte_for_byte() -> None:
    for _, signed, message in every_message("1.2"):
        assert message.count(signed) == 1
        assert SIGNATURE + b"</t:CallerInformationSystemSignature>" in message


def test_the_content_stands_in_the_request_byte_for_byte() -> None:
    assert CONTENT in request_data(Names.of("1.2"), message_id=MESSAGE_ID, content=CONTENT)


def test_what_is_signed_is_a_document_of_its_own_with_an_id_on_its_root() -> None:
    for _, signed, _ in every_message("1.2"):
        assert parse(signed).get("Id")


def test_an_envelope_has_the_header_that_the_gateway_insists_on() -> None:
    for _, _, message in every_message("1.2"):
        assert [etree.QName(part).localname for part in parse(message)] == ["Header", "Body"]


def test_content_in_no_namespace_stays_in_none() -> None:
    data = parse(request_data(Names.of("1.2"), message_id=MESSAGE_ID, content=b"<ask><name/></ask>"))
    assert data[-1][0].tag == "ask"
    assert data[-1][0][0].tag == "name"


def test_a_node_id_is_escaped() -> None:
    names = Names.of("1.2")
    data = parse(request_data(names, message_id=MESSAGE_ID, content=CONTENT, node_id="<&>"))
    assert data.findtext(names.type("NodeID")) == "<&>"


def test_accepted_false_is_written_only_when_meant() -> None:
    names = Names.of("1.2")
    assert parse(ack_target(names, message_id=MESSAGE_ID, accepted=True)).get("accepted") == "true"
    assert parse(ack_target(names, message_id=MESSAGE_ID, accepted=False)).get("accepted") == "false"


def test_options_tell_all_their_faults_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Smev3Options(endpoint="http://smev.invalid", version="2.0", node_id="x" * 51, poll_min=5, poll_max=1)
    assert set(refused.value.faults) == {"version", "node_id", "poll_min"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("selects", ("urn:zoo", "")),
        ("life", timedelta(0)),
        ("business_process", b"<a>"),
        ("business_process", b"text alone"),
        ("business_process", b"<in-no-namespace/>"),
    ],
)
def test_options_that_no_message_could_carry_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Smev3Options(endpoint="http://smev.invalid", **{name: value})  # type: ignore[arg-type]
    assert set(refused.value.faults) == {name}


@pytest.mark.parametrize(
    ("version", "word"),
    [
        ("1.2", RequestRejected([])),
        ("1.2", RequestStatus("any", "п" * 4001)),
        ("1.2", RequestRejected([Rejection(RejectionCode.FAILURE, "п" * 4001)])),
        ("1.1", RequestStatus("IN_PROGRESS", "В работе")),
        ("1.3", RequestStatus("2147483648", "В работе")),
        ("1.3", RequestStatus("٥", "В работе")),
    ],
)
def test_a_word_that_the_schema_does_not_allow_is_refused(version: str, word: Word) -> None:
    with pytest.raises(KnownError):
        response_data(Names.of(version), message_id=MESSAGE_ID, reply_to="e30=", word=word)


def test_a_status_code_may_be_any_text_in_the_version_that_allows_it() -> None:
    names = Names.of("1.2")
    data = parse(response_data(names, message_id=MESSAGE_ID, reply_to="to", word=RequestStatus("IN_WORK", "В работе")))
    assert data.findtext(f"{names.type('RequestStatus')}/{names.type('StatusCode')}") == "IN_WORK"
