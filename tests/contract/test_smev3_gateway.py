"""The СМЭВ3 gateway and its reply source against the simulator, signed and verified by the reference service.

Every test runs in each version of the schema.
"""

from __future__ import annotations

import asyncio
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from adapter.exchange import Accepted, AnswerKind, Call, Refused, TryLater, Unanswered
from adapter.gateways.smev3.faults import RULES, Outcome
from adapter.gateways.smev3.messages import Names
from adapter.gateways.smev3.options import VERSIONS
from adapter.gateways.smev3.reading import open_envelope, read_delivery
from adapter.gateways.smev3.trust import Belief, judge
from adapter.signing.certificates import certificates_of
from adapter.signing.client import SigningClient
from adapter.xml.parser import parse, serialize
from simulators.sign_service.app import make_app as make_sign_service
from tests.contract.sign_service_stand import serving, tokens_of
from tests.contract.smev3_caller import DEBT_REQUESTS, REQUEST_DATA, Clock, action, debt_requests
from tests.contract.smev3_stand import SEND_REQUEST, Intake, Stand, call, open_stand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.signing.gost import GostEngine


@pytest.fixture(scope="module")
async def signing(keys: Path, gost: GostEngine) -> AsyncIterator[str]:
    async with serving(make_sign_service(keys, engine=gost)) as url:
        yield url


@pytest.fixture(params=VERSIONS)
async def stand(keys: Path, gost: GostEngine, signing: str, request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    async with open_stand(keys, gost, signing, request.param) as stand:
        yield stand


@pytest.mark.parametrize("system_key", ["ov", "ov512"])
@pytest.mark.parametrize("official", [False, True])
async def test_a_request_goes_out_and_its_answer_comes_back(stand: Stand, system_key: str, *, official: bool) -> None:
    gateway = stand.gateway(system_key=system_key)
    prepared = await gateway.prepare(call(official=official))
    assert len(prepared.signed_by) == 1 + official

    sent = await gateway.send(prepared, earlier_attempts=0)
    assert isinstance(sent, Accepted), sent

    intake = Intake()
    async with stand.polling(intake, system_key=system_key):
        answer = await intake.next()
        (ack,) = await stand.acked()
    assert (answer.kind, answer.reference, answer.mine) == (AnswerKind.ANSWER, prepared.gateway_id, True)
    assert parse(answer.content).tag == f"{{{DEBT_REQUESTS}}}ImportDebtRequestsResponse"
    assert (ack["message_id"], ack["accepted"]) == (answer.key, True)
    facts = {verdict["parent"]: verdict for verdict in answer.verdicts}
    names = Names.of(stand.options.version)
    core = facts[names.type("SMEVSignature")]
    assert (core["math"], core["trust"], core["period"]) == (True, "trusted", "valid")
    assert facts[names.type("SenderInformationSystemSignature")]["math"] is True


async def test_a_test_message_of_a_node_is_accepted(stand: Stand) -> None:
    gateway = stand.gateway(test_message=True)
    assert isinstance(await gateway.send(await gateway.prepare(call()), earlier_attempts=0), Accepted)


async def test_a_copy_is_success_only_after_a_recorded_attempt(stand: Stand) -> None:
    gateway, prepared = stand.gateway(), await stand.prepared()
    assert isinstance(await gateway.send(prepared, earlier_attempts=0), Accepted)
    assert isinstance(await gateway.send(prepared, earlier_attempts=1), Accepted)
    refused = await gateway.send(prepared, earlier_attempts=0)
    assert isinstance(refused, Refused)
    assert refused.error.code == "SMEV-301"


async def test_an_answer_lost_on_the_way_costs_one_request_and_not_two(stand: Stand) -> None:
    gateway, prepared = stand.gateway(), await stand.prepared()
    await stand.scenario(drop="after", times=1)
    assert isinstance(await gateway.send(prepared, earlier_attempts=0), Unanswered)
    assert isinstance(await gateway.send(prepared, earlier_attempts=1), Accepted)
    accepted = [entry for entry in await stand.told("ledger") if entry["outcome"] == "accepted"]
    assert [entry["message_id"] for entry in accepted] == [prepared.gateway_id]


@pytest.mark.parametrize("body", ["garbage", "html", "truncated", "empty"])
async def test_an_unreadable_receipt_leaves_it_open_what_became_of_the_request(stand: Stand, body: str) -> None:
    await stand.scenario(body=body, times=1)
    sent = await stand.gateway().send(await stand.prepared(), earlier_attempts=0)
    assert isinstance(sent, Unanswered)
    assert sent.error.code == "ADAPTER-GATEWAY-PROTOCOL"


@pytest.mark.parametrize("drop", ["before", "after", "midway"])
async def test_a_broken_connection_leaves_it_open_what_became_of_the_request(stand: Stand, drop: str) -> None:
    await stand.scenario(drop=drop, times=1)
    sent = await stand.gateway().send(await stand.prepared(), earlier_attempts=0)
    assert isinstance(sent, Unanswered)
    assert sent.error.code == "ADAPTER-GATEWAY-UNAVAILABLE"


@pytest.mark.parametrize("multipart", [False, True])
async def test_a_receipt_in_multipart_form_is_read(stand: Stand, *, multipart: bool) -> None:
    await stand.scenario(multipart=multipart)
    assert isinstance(await stand.gateway().send(await stand.prepared(), earlier_attempts=0), Accepted)


@pytest.mark.parametrize("kind", [kind for kind in RULES if kind != "PersonalAccessDenied"])
async def test_every_fault_that_the_gateway_can_say_has_the_outcome_of_its_row(stand: Stand, kind: str) -> None:
    await stand.scenario(fault=kind, times=1)
    sent = await stand.gateway().send(await stand.prepared(), earlier_attempts=0)
    later = RULES[kind].outcome in (Outcome.LATER, Outcome.REMINT)
    assert isinstance(sent, TryLater if later else Refused)
    assert sent.error.details["fault"] == kind


async def test_a_stale_id_asks_for_a_new_one(stand: Stand) -> None:
    old = Clock(datetime.now(UTC) - timedelta(days=2))
    gateway = stand.gateway(clock=old)
    sent = await gateway.send(await gateway.prepare(call()), earlier_attempts=0)
    assert isinstance(sent, TryLater)
    assert (sent.remint, sent.error.details["fault"]) == (True, "StaleMessageId")


async def test_a_request_that_has_outlived_its_life_asks_for_a_new_one(stand: Stand) -> None:
    prepared = await stand.prepared(life=timedelta(hours=1))
    stand.clock.advance(hours=2)
    sent = await stand.gateway().send(prepared, earlier_attempts=0)
    assert isinstance(sent, TryLater)
    assert (sent.remint, sent.error.details["fault"]) == (True, "EndOfLifeReached")


async def test_a_changed_byte_is_refused_with_the_gateways_code(stand: Stand) -> None:
    prepared = await stand.prepared()
    changed = replace(prepared, body=prepared.body.replace("Тестов".encode(), "Тестев".encode()))
    sent = await stand.gateway().send(changed, earlier_attempts=0)
    assert isinstance(sent, Refused)
    assert sent.error.code == "SMEV-100"
    assert sent.error.details["fault_fields"] == {"SignatureVerificationFault": "SignatureIsInvalid"}


async def test_content_that_breaks_the_schema_is_rejected_through_the_reply_queue(stand: Stand) -> None:
    gateway = stand.gateway()
    broken = debt_requests(action(data=REQUEST_DATA.replace("<dr:lastname>Тестов</dr:lastname>", "")))
    prepared = await gateway.prepare(Call("smev3", SEND_REQUEST, broken.encode()))
    assert isinstance(await gateway.send(prepared, earlier_attempts=0), Accepted)
    intake = Intake()
    async with stand.polling(intake):
        answer = await intake.next()
        await stand.acked()
    assert (answer.kind, answer.reference) == (AnswerKind.REJECTION, prepared.gateway_id)
    assert answer.fault is not None
    assert answer.fault.code == "SMEV-403"
    assert answer.fault.details["category"] == "requestIsRejectedBySmev"


async def test_a_rejection_by_the_provider_is_verbatim(stand: Stand) -> None:
    await stand.scenario(request_rejected={"code": "NO_DATA", "description": "Нет данных"})
    prepared = await stand.prepared()
    await stand.gateway().send(prepared, earlier_attempts=0)
    intake = Intake()
    async with stand.polling(intake):
        answer = await intake.next()
    assert (answer.kind, answer.reference) == (AnswerKind.REJECTION, prepared.gateway_id)
    assert answer.fault is not None
    assert (answer.fault.code, answer.fault.description) == ("NO_DATA", "Нет данных")


async def test_statuses_come_before_the_answer_and_end_nothing(stand: Stand) -> None:
    await stand.scenario(request_status=2)
    prepared = await stand.prepared()
    await stand.gateway().send(prepared, earlier_attempts=0)
    intake = Intake()
    async with stand.polling(intake):
        answers = [await intake.next() for _ in range(3)]
        await stand.acked(3)
    assert [answer.kind for answer in answers] == [AnswerKind.STATUS, AnswerKind.STATUS, AnswerKind.ANSWER]
    assert {answer.reference for answer in answers} == {prepared.gateway_id}
    assert answers[0].event is not None
    assert answers[0].event.body["original_message_id"] == prepared.gateway_id
    # StatusCode is a number but in 1.2.
    assert answers[0].event.body["code"] == ("IN_PROGRESS_1" if stand.options.version == "1.2" else "1")


async def test_a_wrong_core_signature_is_rejected_to_the_gateway_and_handed_to_nobody(stand: Stand) -> None:
    await stand.scenario(bad_smev_signature=True)
    await stand.gateway().send(await stand.prepared(), earlier_attempts=0)
    intake = Intake()
    async with stand.polling(intake):
        (ack,) = await stand.acked()
    assert ack["accepted"] is False
    assert intake.empty()


async def test_an_unknown_certificate_pauses_and_loses_nothing(stand: Stand, keys: Path, signing: str) -> None:
    await stand.gateway().send(await stand.prepared(), earlier_attempts=0)
    strangers = certificates_of((keys / "stranger.crt.pem").read_bytes())
    suspicious = SigningClient(signing, session=stand.session, tokens=tokens_of(keys), trust=strangers)
    pauses: asyncio.Queue[str] = asyncio.Queue()
    intake = Intake()
    async with stand.polling(intake, signer=suspicious, pauses=pauses):
        assert "not trusted" in await asyncio.wait_for(pauses.get(), 20)
    await suspicious.close()
    assert intake.empty()
    assert await stand.told("acks") == []

    stand.clock.advance(minutes=16)
    async with stand.polling(intake):
        await intake.next()
        await stand.acked()


async def test_what_was_not_made_durable_comes_again(stand: Stand) -> None:
    prepared = await stand.prepared()
    await stand.gateway().send(prepared, earlier_attempts=0)
    intake = Intake(durable=False)
    async with stand.polling(intake):
        first = await intake.next()
        assert await stand.told("acks") == []
        intake.durable = True
        stand.clock.advance(minutes=16)
        second = await intake.next()
        (ack,) = await stand.acked()
    assert (first.key, first.reference) == (second.key, prepared.gateway_id)
    assert ack["deliveries"] == 2


async def test_a_neighbours_node_keeps_its_answers(stand: Stand) -> None:
    ours, theirs = await stand.prepared(), await stand.prepared(node_id="node-2")
    gateway = stand.gateway()
    await gateway.send(theirs, earlier_attempts=0)
    await gateway.send(ours, earlier_attempts=0)
    intake = Intake()
    async with stand.polling(intake):
        answer = await intake.next()
        await stand.acked()
    assert answer.reference == ours.gateway_id
    assert (await stand.told("health"))["waiting"] == 1


async def test_several_pollers_deliver_each_answer_once(stand: Stand) -> None:
    gateway = stand.gateway()
    prepared = [await gateway.prepare(call()) for _ in range(10)]
    for one in prepared:
        await gateway.send(one, earlier_attempts=0)
    intake = Intake()
    async with stand.polling(intake, pollers=3):
        answers = [await intake.next() for _ in prepared]
        await stand.acked(len(prepared))
    assert sorted(answer.reference for answer in answers) == sorted(one.gateway_id for one in prepared)


async def test_the_ack_of_an_unknown_message_does_not_stop_the_source(stand: Stand) -> None:
    await stand.scenario(operation="Ack", fault="TargetMessageIsNotFound", times=1)
    gateway = stand.gateway()
    await gateway.send(await gateway.prepare(call()), earlier_attempts=0)
    await gateway.send(await gateway.prepare(call()), earlier_attempts=0)
    intake = Intake()
    async with stand.polling(intake):
        await intake.next()
        await intake.next()
        await stand.acked()


@pytest.mark.parametrize("forged_id", ["SIGNED_BY_SMEV", "OTHER", ""])
async def test_a_signed_response_moved_aside_lends_its_signature_to_no_other(stand: Stand, forged_id: str) -> None:
    """Signature wrapping: the right Response stays in the document, another one stands where it is read."""
    await stand.gateway().send(await stand.prepared(), earlier_attempts=0)
    intake = Intake()
    async with stand.polling(intake):
        raw = (await intake.next()).raw
    names = Names.of(stand.options.version)
    good = read_delivery(open_envelope(raw), names)
    assert good is not None
    assert judge(await stand.signer.verify_xml(raw), good.part, names, require_trust=True).belief is Belief.TAKE

    message = parse(raw)
    response = message.find(f".//{names.type('Response')}")
    assert response is not None
    holder = response.getparent()
    assert holder is not None
    forged = deepcopy(response)
    forged.attrib.pop("Id")
    if forged_id:
        forged.set("Id", forged_id)
    original = forged.find(names.type("OriginalMessageId"))
    assert original is not None
    original.text = "00000000-0000-1000-8000-000000000000"
    holder.insert(0, forged)
    aside = etree.SubElement(message, "aside")
    aside.append(response)
    wrapped = serialize(message)

    read = read_delivery(open_envelope(wrapped), names)
    assert read is not None
    assert read.original_id == original.text
    judgement = judge(await stand.signer.verify_xml(wrapped), read.part, names, require_trust=True)
    assert judgement.belief is not Belief.TAKE
