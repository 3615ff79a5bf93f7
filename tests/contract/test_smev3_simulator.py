"""The СМЭВ3 simulator as a caller sees it: door, queues, confirmations (facts: smev3.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestClient, TestServer
from lxml import etree

from adapter.paths import SCHEMAS
from adapter.xml.schema import Schema
from adapter.xml.signature import verify_message
from simulators.smev3.app import make_app
from simulators.smev3.config import SimulatorConfig
from tests.contract.smev3_caller import (
    BASIC,
    DEBT_REQUESTS,
    NAMES,
    REQUEST_DATA,
    TYPES,
    Caller,
    Clock,
    action,
    debt_requests,
    message_id,
)
from tests.contract.smev3_world import Reply, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.signing.gost import GostEngine

pytest_plugins = ("tests.contract.smev3_fixtures",)

ORIGINAL = ".//t:Response/t:OriginalMessageId"


def new_request() -> str:
    return debt_requests(action(data=REQUEST_DATA))


def body_of(reply: Reply) -> etree._Element:
    assert reply.tree is not None
    body = reply.tree.find("s:Body", NAMES)
    assert body is not None
    return body[0]


async def test_a_request_gets_a_receipt_signed_by_the_core(world: World, gost: GostEngine) -> None:
    identifier = world.fresh()
    reply = await world.post(world.caller.send_request(new_request(), identifier))

    assert reply.status == 200
    assert reply.text(".//t:SendRequestResponse/t:MessageMetadata/t:MessageId") == identifier
    assert reply.text(".//t:MessageMetadata/t:Status") == "requestIsQueued"
    (verdict,) = verify_message(reply.body, gost)
    assert (verdict.math, verdict.element) == (True, f"{{{TYPES}}}MessageMetadata")
    assert verdict.certificate == world.caller.certificate("smev")


async def test_an_answer_is_signed_by_its_provider_and_by_the_core(world: World, gost: GostEngine) -> None:
    identifier = await world.send(new_request())
    reply = await world.poll()

    assert reply.text(ORIGINAL) == identifier
    signed = {verdict.parent: verdict for verdict in verify_message(reply.body, gost)}
    provider = signed[f"{{{TYPES}}}SenderInformationSystemSignature"]
    core = signed[f"{{{TYPES}}}SMEVSignature"]
    assert (provider.math, provider.element) == (True, f"{{{TYPES}}}SenderProvidedResponseData")
    assert (core.math, core.element) == (True, f"{{{TYPES}}}Response")
    assert provider.certificate == world.caller.certificate("giszhkh")
    assert core.certificate == world.caller.certificate("smev")


async def test_everything_the_simulator_says_is_valid_by_the_schema(world: World) -> None:
    schema = Schema.load(SCHEMAS / "smev3" / "1.2" / "service.xsd")
    await world.scenario(request_status=1, times=1)
    await world.send(new_request())
    await world.send(new_request().replace("11111111145", "1"))
    await world.scenario(request_rejected={"code": "NO_DATA"})
    receipt = await world.post(world.caller.send_request(new_request(), world.fresh()))
    deliveries = [await world.poll() for _ in range(5)]
    empty = await world.ack(deliveries[0])

    for reply in (receipt, *deliveries, empty):
        assert reply.status == 200
        assert schema.check(body_of(reply)) == []
    provided = [body_of(reply).find(".//t:SenderProvidedResponseData", NAMES) for reply in deliveries[:4]]
    kinds = [etree.QName(data[2]).localname for data in provided if data is not None]
    assert kinds == ["RequestStatus", "MessagePrimaryContent", "AsyncProcessingStatus", "RequestRejected"]
    assert len(body_of(deliveries[4])) == 0


async def test_the_header_of_the_envelope_may_be_left_out(world: World) -> None:
    message = world.caller.send_request(new_request(), world.fresh()).replace(b"<s:Header/>", b"")
    assert (await world.post(message)).status == 200


async def test_a_message_id_that_was_used_is_refused_as_already_sent(world: World) -> None:
    identifier = await world.send(new_request())
    again = await world.post(world.caller.send_request(new_request(), identifier))
    assert again.fault() == "MessageIsAlreadySent"
    assert "SMEV-301" in (again.text(".//f:MessageIsAlreadySent/b:Description") or "")


async def test_a_message_id_that_was_refused_may_be_used_again(world: World) -> None:
    identifier = world.fresh()
    await world.scenario(fault="SMEVFailure", times=1)
    assert (await world.post(world.caller.send_request(new_request(), identifier))).fault() == "SMEVFailure"
    await world.send(new_request(), identifier)


@pytest.mark.parametrize("hours", [-24.1, 24.1])
async def test_a_message_id_a_day_off_is_stale(world: World, hours: float) -> None:
    identifier = message_id(world.clock.now + timedelta(hours=hours))
    assert (await world.post(world.caller.send_request(new_request(), identifier))).fault() == "StaleMessageId"


@pytest.mark.parametrize(
    "identifier",
    [
        "3b0f6d4e-8c11-4f0e-9d57-0d9d7c9b2a51",
        "00000000-0000-1000-0000-000000000000",
        "8AC9A002-C751-11EB-BC0D-001A4A165F5B",
        "x",
    ],
)
async def test_a_message_id_that_is_no_version_1_uuid_is_malformed(world: World, identifier: str) -> None:
    reply = await world.post(world.caller.send_request(new_request(), identifier))
    assert reply.fault() == "InvalidMessageIdFormat"
    assert "SMEV-300" in (reply.text(".//f:InvalidMessageIdFormat/b:Description") or "")


async def test_business_data_nobody_registered_is_refused_at_the_door(world: World) -> None:
    reply = await world.post(world.caller.send_request('<z:Zoo xmlns:z="urn:zoo/1.0.0"/>', world.fresh()))
    assert reply.fault() == "BusinessDataTypeIsNotSupported"
    assert reply.text(".//f:RootElementNamespaceURI") == "urn:zoo/1.0.0"


async def test_a_response_root_cannot_be_sent_as_a_request(world: World) -> None:
    business = f'<dr:ImportDebtRequestsResponse xmlns:dr="{DEBT_REQUESTS}"/>'
    reply = await world.post(world.caller.send_request(business, world.fresh()))
    assert reply.fault() == "BusinessDataTypeIsNotSupported"


async def test_business_data_that_breaks_its_schema_is_accepted_and_rejected_later(world: World) -> None:
    identifier = await world.send(new_request().replace("11111111145", "1"))
    reply = await world.poll()
    status = ".//t:AsyncProcessingStatus"
    assert reply.text(f"{status}/t:OriginalMessageId") == identifier
    assert reply.text(f"{status}/t:StatusCategory") == "requestIsRejectedBySmev"
    assert (reply.text(f"{status}/t:SmevFault/b:Description") or "").startswith("SMEV-403:")
    assert "snils" in (reply.text(f"{status}/t:SmevFault/f:ValidationError") or "")


async def test_a_message_past_its_end_of_life_is_refused(world: World) -> None:
    past = (world.clock.now - timedelta(seconds=1)).isoformat(timespec="seconds")
    message = world.caller.send_request(new_request(), world.fresh(), head=f"<t:EOL>{past}</t:EOL>")
    assert (await world.post(message)).fault() == "EndOfLifeReached"


async def test_headers_of_attachments_without_their_content_are_refused(world: World) -> None:
    tail = (
        "<b:AttachmentHeaderList><b:AttachmentHeader><b:contentId>a1</b:contentId><b:MimeType>text/plain</b:MimeType>"
        "</b:AttachmentHeader></b:AttachmentHeaderList>"
    )
    message = world.caller.send_request(new_request(), world.fresh(), tail=tail)
    assert (await world.post(message)).fault() == "AttachmentContentMiscoordination"


async def test_an_empty_queue_is_a_response_without_a_child(world: World) -> None:
    reply = await world.poll()
    assert (reply.status, body_of(reply).tag, len(body_of(reply))) == (200, f"{{{TYPES}}}GetResponseResponse", 0)


async def test_answers_come_in_the_order_of_their_requests(world: World) -> None:
    sent = [await world.send(new_request()) for _ in range(3)]
    assert [(await world.poll()).text(ORIGINAL) for _ in range(3)] == sent


async def test_an_unacked_answer_returns_to_the_head_of_its_queue(world: World) -> None:
    first, second, third = [await world.send(new_request()) for _ in range(3)]
    taken = [(await world.poll()).text(ORIGINAL) for _ in range(2)]
    world.clock.advance(minutes=14, seconds=59)
    still_leased = (await world.poll()).text(ORIGINAL)
    world.clock.advance(seconds=1)
    assert taken == [first, second]
    assert still_leased == third
    assert [(await world.poll()).text(ORIGINAL) for _ in range(2)] == [first, second]


async def test_an_acked_answer_never_comes_again(world: World) -> None:
    await world.send(new_request())
    reply = await world.poll()
    acked = await world.ack(reply)
    world.clock.advance(hours=1)
    assert (acked.status, body_of(acked).tag) == (200, f"{{{TYPES}}}AckResponse")
    assert len(body_of(await world.poll())) == 0
    assert [entry["accepted"] for entry in await world.admin("acks")] == [True]


async def test_an_answer_may_be_acked_after_its_lease_ran_out(world: World) -> None:
    await world.send(new_request())
    reply = await world.poll()
    world.clock.advance(hours=1)
    assert (await world.ack(reply)).status == 200
    assert len(body_of(await world.poll())) == 0


async def test_an_ack_that_does_not_accept_is_recorded(world: World) -> None:
    identifier = await world.send(new_request())
    own = (await world.poll()).text(".//t:MessageMetadata/t:MessageId") or ""
    assert (await world.post(world.caller.ack(own, accepted="false"))).status == 200
    (entry,) = await world.admin("acks")
    assert (entry["message_id"], entry["original_message_id"], entry["accepted"]) == (own, identifier, False)


async def test_an_ack_of_what_waits_for_none_is_refused(world: World) -> None:
    await world.send(new_request())
    never_delivered = await world.post(world.caller.ack(world.fresh()))
    reply = await world.poll()
    await world.ack(reply)
    twice = await world.ack(reply)
    assert (never_delivered.fault(), twice.fault()) == ("TargetMessageIsNotFound", "TargetMessageIsNotFound")
    assert "SMEV-501" in (twice.text(".//f:TargetMessageIsNotFound/b:Description") or "")


async def test_the_original_id_is_not_what_an_ack_names(world: World) -> None:
    identifier = await world.send(new_request())
    await world.poll()
    assert (await world.post(world.caller.ack(identifier))).fault() == "TargetMessageIsNotFound"


async def test_a_node_has_a_queue_of_its_own(world: World) -> None:
    with_node = await world.send(new_request(), head="<t:NodeID>node-7</t:NodeID>")
    assert len(body_of(await world.poll())) == 0
    assert len(body_of(await world.poll(node="node-8"))) == 0
    assert (await world.poll(node="node-7")).text(ORIGINAL) == with_node


async def test_another_sender_neither_sees_nor_acks_our_answers(world: World, gost: GostEngine, keys: Path) -> None:
    other = Caller(gost, keys, "ov512", clock=world.clock)
    await world.send(new_request())
    assert len(body_of(await world.post(other.get_response()))) == 0
    own = (await world.poll()).text(".//t:MessageMetadata/t:MessageId") or ""
    assert (await world.post(other.ack(own))).fault() == "TargetMessageIsNotFound"


async def test_a_512_bit_key_is_as_good(world: World, gost: GostEngine, keys: Path) -> None:
    other = Caller(gost, keys, "ov512", clock=world.clock)
    identifier = world.fresh()
    assert (await world.post(other.send_request(new_request(), identifier))).status == 200
    assert (await world.post(other.get_response())).text(ORIGINAL) == identifier


@pytest.mark.parametrize(
    "names",
    [
        (DEBT_REQUESTS, "ImportDebtRequestsRequest"),
        (DEBT_REQUESTS, "ImportDebtRequestsResponse"),
        (DEBT_REQUESTS.replace("1.0.0", "9.9.9"), "ImportDebtRequestsResponse"),
    ],
)
async def test_a_selector_finds_a_type_by_either_root_in_any_version(world: World, names: tuple[str, str]) -> None:
    identifier = await world.send(new_request())
    assert (await world.poll(names=names)).text(ORIGINAL) == identifier


async def test_a_selector_of_an_unknown_type_is_refused(world: World) -> None:
    assert (await world.poll(names=("urn:zoo/1.0.0", "Zoo"))).fault() == "UnknownMessageType"


async def test_half_a_selector_is_refused(world: World) -> None:
    element = (
        f'<b:MessageTypeSelector xmlns:b="{BASIC}" Id="X"><b:NamespaceURI>{DEBT_REQUESTS}</b:NamespaceURI>'
        "<b:Timestamp>2026-01-01T10:00:00+03:00</b:Timestamp></b:MessageTypeSelector>"
    )
    assert (await world.post(world.caller.envelope("GetResponse", element))).fault() == "soap:Client"


async def test_an_answer_may_be_asked_for_by_its_request(world: World) -> None:
    await world.send(new_request())
    second = await world.send(new_request())
    assert (await world.post(world.caller.get_response_to(second))).text(ORIGINAL) == second


async def test_an_empty_queue_can_be_answered_as_multipart(
    keys: Path, gost: GostEngine, clock: Clock, caller: Caller
) -> None:
    app = make_app(SimulatorConfig(keys=keys, clock=clock, multipart_empty=True), gost)
    async with TestClient(TestServer(app)) as client:
        reply = await World(client, caller, clock).poll()
    assert reply.content_type == "multipart/related"
    assert b"GetResponseResponse" in reply.body
    assert reply.body.startswith(b"--uuid:")


async def test_a_full_service_says_so_and_takes_more_when_answers_are_acked(
    keys: Path, gost: GostEngine, clock: Clock, caller: Caller
) -> None:
    app = make_app(SimulatorConfig(keys=keys, clock=clock, waiting_limit=1), gost)
    async with TestClient(TestServer(app)) as client:
        world = World(client, caller, clock)
        await world.send(new_request())
        refused = await world.post(caller.send_request(new_request(), world.fresh()))
        await world.ack(await world.poll())
        await world.send(new_request())
    assert refused.fault() == "DestinationOverflow"
    assert "SMEV-600" in (refused.text(".//f:DestinationOverflow/b:Description") or "")


@pytest.fixture
async def strict_world(keys: Path, gost: GostEngine, clock: Clock, caller: Caller) -> AsyncIterator[World]:
    app = make_app(SimulatorConfig(keys=keys, clock=clock, require_personal_signature=True), gost)
    async with TestClient(TestServer(app)) as client:
        yield World(client, caller, clock)


def personal(caller: Caller, business: str, by: str = "sp") -> str:
    return f"<t:PersonalSignature>{caller.sign(business, by=by)}</t:PersonalSignature>"


async def test_the_officials_signature_is_accepted_over_the_business_root(strict_world: World) -> None:
    business = debt_requests(action(data=REQUEST_DATA), identifier="PERSONAL_SIGNATURE")
    await strict_world.send(business, tail=personal(strict_world.caller, business))
    assert (await strict_world.poll()).text(".//c:success/c:id")


async def test_a_missing_officials_signature_is_refused_where_it_is_required(strict_world: World) -> None:
    message = strict_world.caller.send_request(new_request(), strict_world.fresh())
    assert (await strict_world.post(message)).finding() == "NoSignatureFound"


async def test_an_officials_signature_of_other_content_is_refused(world: World) -> None:
    business = debt_requests(action(data=REQUEST_DATA), identifier="PERSONAL_SIGNATURE")
    other = debt_requests(action(data=REQUEST_DATA), identifier="PERSONAL_SIGNATURE")
    message = world.caller.send_request(business, world.fresh(), tail=personal(world.caller, other))
    assert (await world.post(message)).finding() == "SignatureIsInvalid"


async def test_an_officials_signature_of_a_part_is_refused(world: World) -> None:
    part = f'<dr:action xmlns:dr="{DEBT_REQUESTS}" Id="PART"/>'
    message = world.caller.send_request(new_request(), world.fresh(), tail=personal(world.caller, part))
    assert (await world.post(message)).finding() == "IncorrectSignatureTarget"


async def test_an_officials_certificate_is_registered_for_no_system(world: World) -> None:
    message = world.caller.send_request(new_request(), world.fresh(), by="sp")
    assert (await world.post(message)).fault() == "SenderIsNotRegistered"
