from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from adapter.errors import ConfigurationError
from adapter.gateways.smev3 import Smev3Options
from adapter.gateways.smev3.messages import Names, ack_target, envelope, message_type_selector, request_data
from adapter.gateways.smev3.options import VERSIONS
from adapter.paths import SCHEMAS
from adapter.xml.parser import parse

SIGNATURE = b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"></ds:Signature>'
CONTENT = '<z:Ask xmlns:z="urn:zoo" Id="PERSONAL"><z:name>Пётр &amp; сын</z:name></z:Ask>'.encode()
MESSAGE_ID = "39f52a38-9a54-11ea-b23a-3316e2108089"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
REFERENCE = Path(__file__).parents[4].parent / "shared" / "reference" / "smev3" / "wsdl"


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
                node_id="<node> & co",
                personal_signature=SIGNATURE,
                test_message=True,
            ),
        ),
        ("GetResponse", message_type_selector(names, timestamp=NOON)),
        ("GetResponse", message_type_selector(names, timestamp=NOON, node_id="node-1")),
        ("Ack", ack_target(names, message_id=MESSAGE_ID, accepted=True)),
        ("Ack", ack_target(names, message_id=MESSAGE_ID, accepted=False)),
    ]
    return [(op, signed, envelope(names, op, signed=signed, signature=SIGNATURE)) for op, signed in said]


def faults_by(schema: Path, version: str) -> list[str]:
    """Return what ``schema`` says against the messages of ``version``."""
    xsd = etree.XMLSchema(etree.parse(schema))
    faults = []
    for operation, _, message in every_message(version):
        payload = parse(message)[1][0]
        if not xsd.validate(payload):
            faults.append(f"{operation}: {xsd.error_log}")
    return faults


def test_every_message_is_valid_by_our_schema() -> None:
    assert faults_by(SCHEMAS / "smev3" / "1.2" / "types.xsd", "1.2") == []


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
