"""The provider's side of the simulator: requests of other systems, their queue, and what may be answered."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from adapter.xml.signature import verify_message
from tests.contract.smev3_worlds import CONTENT, ORIGINAL, OWN, ZOO, ZOO_ANSWER, Both, valid

if TYPE_CHECKING:
    from adapter.signing.gost import GostEngine

pytest_plugins = ("tests.contract.smev3_fixtures",)

REJECTED = (
    "<t:RequestRejected><t:RejectionReasonCode>{}</t:RejectionReasonCode><t:RejectionReasonDescription>Нет"
    "</t:RejectionReasonDescription></t:RequestRejected>"
)
STATUS = (
    "<t:RequestStatus><t:StatusCode>2</t:StatusCode><t:StatusParameter><t:Key>k</t:Key><t:Value>v</t:Value>"
    "</t:StatusParameter><t:StatusDescription>Получено</t:StatusDescription></t:RequestStatus>"
)
ASYNC = (
    "<t:AsyncProcessingStatus><t:OriginalMessageId>{}</t:OriginalMessageId><t:StatusCategory>underProcessing"
    "</t:StatusCategory></t:AsyncProcessingStatus>"
)


def reply_to(delivery: object) -> str:
    return delivery.text(".//t:ReplyTo") or ""  # type: ignore[attr-defined]


@pytest.fixture
def version() -> str:
    return "1.2"


async def test_a_delivered_request_bears_the_signatures_of_its_sender_and_of_the_core(
    both: Both, gost: GostEngine
) -> None:
    consumer = both.consumer.caller
    personal = f"<t:PersonalSignature>{consumer.sign(ZOO, by='sp')}</t:PersonalSignature>"
    _, delivery = await both.taken(tail=personal)
    signed = {etree.QName(verdict.parent).localname: verdict for verdict in verify_message(delivery.body, gost)}
    assert all(verdict.math for verdict in signed.values())
    assert {name: verdict.certificate for name, verdict in signed.items()} == {
        "SenderInformationSystemSignature": consumer.certificate("ov"),
        "PersonalSignature": consumer.certificate("sp"),
        "SMEVSignature": consumer.certificate("smev"),
    }


async def test_what_the_sender_said_of_its_process_reaches_the_provider(both: Both) -> None:
    metadata = '<t:BusinessProcessMetadata><q:frgu xmlns:q="urn:q">123</q:frgu></t:BusinessProcessMetadata>'
    _, delivery = await both.taken(head="<t:TransactionCode>tx</t:TransactionCode>", tail=metadata + "<t:TestMessage/>")
    assert delivery.text(".//t:BusinessProcessMetadata/{urn:q}frgu") == "123"
    assert delivery.text(".//t:TestMessage") == ""
    await both.provider.say(reply_to(delivery), CONTENT)
    assert (await both.consumer.poll()).text(".//t:Response/t:OriginalTransactionCode") == "tx"


async def test_an_answer_goes_to_the_node_that_asked(both: Both) -> None:
    identifier, delivery = await both.taken(head="<t:NodeID>n1</t:NodeID>")
    await both.provider.say(reply_to(delivery), CONTENT)
    assert (await both.consumer.poll()).text(ORIGINAL) is None
    assert (await both.consumer.poll(node="n1")).text(ORIGINAL) == identifier


async def test_any_number_of_statuses_may_come_before_the_last_word(both: Both) -> None:
    identifier, delivery = await both.taken()
    words = [STATUS, ASYNC.format(identifier), STATUS, REJECTED.format("NO_DATA") + REJECTED.format("FAILURE")]
    for word in words:
        assert (await both.provider.say(reply_to(delivery), word)).status == 200
    answers = [valid(await both.consumer.poll()) for _ in words]
    assert {answer.text(ORIGINAL) for answer in answers} == {identifier}
    assert answers[0].text(".//t:RequestStatus/t:StatusParameter/t:Value") == "v"
    assert answers[3].text(".//t:RejectionReasonCode") == "NO_DATA"
    late = await both.provider.say(reply_to(delivery), CONTENT)
    assert late.fault() == "RecipientIsNotFound", "the last word was said"


async def test_an_unacked_request_returns_to_the_head_of_the_queue(both: Both) -> None:
    first, _ = await both.taken()
    second = await both.consumer.send(ZOO)
    both.consumer.clock.advance(minutes=15)
    deliveries = [await both.provider.take() for _ in range(3)]
    assert [delivery.text(OWN) for delivery in deliveries] == [first, second, None]
    for delivery in deliveries[:2]:
        assert (await both.provider.ack(delivery)).status == 200
    both.consumer.clock.advance(minutes=15)
    assert (await both.provider.take()).text(OWN) is None


async def test_the_window_of_an_ack_can_be_set(both: Both) -> None:
    await both.consumer.set(ack_timeout=2)
    first, _ = await both.taken()
    both.consumer.clock.advance(seconds=2)
    assert (await both.provider.take()).text(OWN) == first


async def test_a_request_may_be_answered_before_or_after_its_ack(both: Both) -> None:
    for ack_first in (True, False):
        identifier, delivery = await both.taken()
        if ack_first:
            await both.provider.ack(delivery)
        assert (await both.provider.say(reply_to(delivery), CONTENT)).status == 200
        if not ack_first:
            await both.provider.ack(delivery)
        assert (await both.consumer.poll()).text(ORIGINAL) == identifier


@pytest.mark.parametrize("accepted", ["true", "false"])
async def test_the_verdict_of_an_ack_is_recorded(both: Both, accepted: str) -> None:
    identifier, _ = await both.taken()
    assert (await both.provider.post(both.provider.caller.ack(identifier, accepted=accepted))).status == 200
    (ack,) = await both.provider.admin("acks")
    assert (ack["message_id"], ack["accepted"]) == (identifier, accepted == "true")


async def test_selectors_pick_one_type_or_none(both: Both) -> None:
    await both.register(namespace="urn:park/2.0.0", request_root="Park", response_root="ParkAnswer")
    zoo = await both.consumer.send(ZOO)
    park = await both.consumer.send('<p:Park xmlns:p="urn:park/2.0.0"/>')
    assert (await both.provider.take(names=("urn:park/1.9.9", "ParkAnswer"))).text(OWN) == park
    assert (await both.provider.take()).text(OWN) == zoo
    assert (await both.provider.take(names=("urn:circus/1.0.0", "Circus"))).fault() == "UnknownMessageType"
    not_its_own = ("urn:dom.gosuslugi.ru/debt-requests/1.0.0", "ImportDebtRequestsRequest")
    assert (await both.provider.take(names=not_its_own)).fault() == "UnknownMessageType"


async def test_nobody_takes_the_requests_of_another(both: Both) -> None:
    await both.consumer.send(ZOO)
    assert (await both.consumer.take()).text(OWN) is None


async def test_a_node_makes_no_queue_of_requests(both: Both) -> None:
    identifier = await both.consumer.send(ZOO)
    assert (await both.provider.take(node="n1")).text(OWN) == identifier


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        (f"<b:MessagePrimaryContent>{ZOO}</b:MessagePrimaryContent>", "IncorrectResponseContentType"),
        (CONTENT.replace("ZooAnswer", "Circus"), "BusinessDataTypeIsNotSupported"),
        (REJECTED.format("BECAUSE"), "soap:Client"),
    ],
)
async def test_an_answer_that_is_none_is_refused(both: Both, word: str, fault: str) -> None:
    _, delivery = await both.taken()
    assert (await both.provider.say(reply_to(delivery), word)).fault() == fault
    assert (await both.provider.say(reply_to(delivery), CONTENT)).status == 200


async def test_only_the_provider_that_was_asked_may_answer(both: Both) -> None:
    _, delivery = await both.taken()
    assert (await both.consumer.say(reply_to(delivery), CONTENT)).fault() == "RecipientIsNotFound"
    assert (await both.provider.say("nowhere", CONTENT)).fault() == "RecipientIsNotFound"


async def test_the_id_of_an_answer_is_held_to_the_same_rules(both: Both) -> None:
    _, delivery = await both.taken()
    identifier = both.provider.fresh()
    assert (await both.provider.say(reply_to(delivery), STATUS, identifier)).status == 200
    assert (await both.provider.say(reply_to(delivery), STATUS, identifier)).fault() == "MessageIsAlreadySent"
    stale = "8ac9a002-c751-11eb-bc0d-001a4a165f5b"
    assert (await both.provider.say(reply_to(delivery), STATUS, stale)).fault() == "StaleMessageId"


async def test_an_answer_rejected_late_is_told_by_its_status(both: Both) -> None:
    _, delivery = await both.taken()
    await both.provider.scenario(operation="SendResponse", rejection=True, times=1)
    identifier = both.provider.fresh()
    assert (await both.provider.say(reply_to(delivery), CONTENT, identifier)).status == 200
    told = valid(await both.provider.post(both.provider.caller.get_status()))
    assert told.text(".//t:StatusCategory") == "responseIsRejectedBySmev"
    assert told.text(".//t:OriginalMessageId") == identifier
    assert (await both.consumer.poll()).text(ORIGINAL) is None
    assert (await both.provider.say(reply_to(delivery), CONTENT)).status == 200, "it may be said better"


async def test_a_request_that_nobody_takes_in_its_life_comes_back(both: Both) -> None:
    end = (both.consumer.clock.now + timedelta(minutes=1)).isoformat()
    identifier = await both.consumer.send(ZOO, head=f"<t:EOL>{end}</t:EOL>")
    both.consumer.clock.advance(minutes=2)
    assert (await both.provider.take()).text(OWN) is None
    told = valid(await both.consumer.poll())
    assert told.text(".//t:AsyncProcessingStatus/t:OriginalMessageId") == identifier
    assert (told.text(".//t:SmevFault/b:Description") or "").startswith("SMEV-303:")


async def test_a_full_queue_is_an_overflow_for_requests_and_answers(both: Both) -> None:
    _, delivery = await both.taken()
    await both.consumer.set(waiting_limit=1)
    refused = await both.consumer.post(both.consumer.caller.send_request(ZOO, both.consumer.fresh()))
    assert refused.fault() == "DestinationOverflow"
    assert (await both.provider.say(reply_to(delivery), CONTENT)).fault() == "DestinationOverflow"
    await both.provider.ack(delivery)
    assert (await both.provider.say(reply_to(delivery), CONTENT)).status == 200


async def test_a_request_put_in_by_hand_is_like_any_other(both: Both, gost: GostEngine) -> None:
    put = await both.provider.put(
        content=ZOO,
        recipient="ov512",
        personal_signature=True,
        test=True,
        transaction_code="tx",
        node_id="n",
        business_process_metadata='<q:frgu xmlns:q="urn:q">123</q:frgu>',
    )
    delivery = valid(await both.provider.take())
    assert (delivery.text(OWN), reply_to(delivery)) == (put["message_id"], put["reply_to"])
    assert delivery.text(".//t:BusinessProcessMetadata") == "123"
    assert [verdict.math for verdict in verify_message(delivery.body, gost)] == [True, True, True]
    await both.provider.say(reply_to(delivery), STATUS)
    await both.provider.say(reply_to(delivery), CONTENT)
    status, content = await both.provider.admin("answers")
    assert status["status"] == {"code": "2", "description": "Получено", "parameters": {"k": "v"}}
    assert (content["kind"], content["original_message_id"]) == ("content", put["message_id"])
    assert etree.tostring(etree.fromstring(content["content"]), method="c14n", exclusive=True) == etree.tostring(
        etree.fromstring(ZOO_ANSWER), method="c14n"
    )


@pytest.mark.parametrize(
    ("flaw", "wrong"),
    [("bad_sender_signature", "SenderInformationSystemSignature"), ("bad_smev_signature", "SMEVSignature")],
)
async def test_a_request_put_in_by_hand_may_be_signed_wrongly(
    both: Both, gost: GostEngine, flaw: str, wrong: str
) -> None:
    await both.provider.put(content=ZOO, recipient="ov512", **{flaw: True})
    verdicts = verify_message((await both.provider.take()).body, gost)
    assert [etree.QName(verdict.parent).localname for verdict in verdicts if not verdict.math] == [wrong]


async def test_a_type_that_nobody_registered_is_the_recipients(both: Both) -> None:
    await both.provider.put(content='<c:Circus xmlns:c="urn:circus/1.0.0"/>', recipient="ov", broadcast=True)
    delivery = valid(await both.consumer.take(names=("urn:circus/1.0.0", "Circus")))
    assert delivery.text(".//t:MessageMetadata/t:MessageType") == "BROADCAST"


@pytest.mark.parametrize(
    "wrong",
    [
        {"content": "<broken"},
        {"content": "<without-namespace/>"},
        {"content": ZOO, "recipient": "ov"},
        {"content": ZOO, "recipient": "ov512", "consumer": "nobody"},
        {"content": ZOO, "recipient": "ov512", "business_process_metadata": "<a>"},
        {"content": ZOO, "recipient": "ov512", "attachments": [{"size": 6_000_000}]},
    ],
)
async def test_a_request_that_cannot_be_put_in_is_refused_with_a_reason(both: Both, wrong: dict[str, object]) -> None:
    async with both.provider.client.post("/_sim/incoming", json=wrong) as response:
        assert response.status == 400
        assert (await response.json())["faults"]


async def test_a_scenario_may_lose_or_double_what_goes_to_another_system(both: Both) -> None:
    await both.consumer.scenario(silent=True, times=1)
    await both.consumer.send(ZOO)
    assert (await both.provider.take()).text(OWN) is None
    await both.consumer.scenario(duplicate=True, answer_delay=30, times=1)
    identifier, delivery = await both.taken()
    await both.provider.say(reply_to(delivery), STATUS)
    await both.provider.say(reply_to(delivery), CONTENT)
    seen = [(await both.consumer.poll()).text(".//t:RequestStatus/t:StatusCode") for _ in range(2)]
    assert seen == ["2", None]
    both.consumer.clock.advance(seconds=30)
    assert [(await both.consumer.poll()).text(ORIGINAL) for _ in range(3)] == [identifier, identifier, None]
