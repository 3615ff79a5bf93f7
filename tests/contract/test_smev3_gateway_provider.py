"""The provider's side of the СМЭВ3 gateway, and what stands beside the queues, against the simulator.

Every test runs in each version of the schema; the adapter is the consumer (``ov``), the provider (``ov512``) or both.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapter.errors import KnownError
from adapter.exchange import Accepted, AnswerKind, Call, Progress, Refusal, Refused, Unanswered
from adapter.gateways.smev3 import Smev3RequestSource, Smev3StatusSource
from adapter.gateways.smev3.messages import Names
from adapter.gateways.smev3.options import VERSIONS
from adapter.gateways.smev3.responses import PrimaryContent, Rejection, RejectionCode, RequestRejected, RequestStatus
from adapter.xml.parser import parse
from simulators.sign_service.app import make_app as make_sign_service
from tests.contract.sign_service_stand import serving
from tests.contract.smev3_stand import SEND_REQUEST, Intake, Stand, open_stand
from tests.contract.smev3_worlds import ZOO, ZOO_ANSWER, ZOO_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.gateways.smev3 import ProvidedRequest
    from adapter.signing.gost import GostEngine

PROVIDER = "ov512"
NO_DATA = RequestRejected([Rejection(RejectionCode.NO_DATA, "Нет данных"), Rejection(RejectionCode.FAILURE, "Сбой")])
STATUS = RequestStatus("2", "Получено", {"k": "v"})


class Desk:
    """Takes requests and remembers them."""

    def __init__(self, *, durable: bool = True) -> None:
        self._requests: asyncio.Queue[ProvidedRequest] = asyncio.Queue()
        self.durable = durable

    async def take(self, request: ProvidedRequest) -> bool:
        await self._requests.put(request)
        return self.durable

    async def next(self) -> ProvidedRequest:
        return await asyncio.wait_for(self._requests.get(), 20)

    def empty(self) -> bool:
        return self._requests.empty()


@pytest.fixture(scope="module")
async def signing(keys: Path, gost: GostEngine) -> AsyncIterator[str]:
    async with serving(make_sign_service(keys, engine=gost)) as url:
        yield url


@pytest.fixture(params=VERSIONS)
async def stand(keys: Path, gost: GostEngine, signing: str, request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    async with open_stand(keys, gost, signing, request.param) as stand:
        yield stand


async def tell(stand: Stand, what: str, **wanted: Any) -> dict[str, Any]:
    """Post to the simulator's side door."""
    async with stand.session.post(f"{stand.url}/_sim/{what}", json=wanted) as response:
        assert response.status in (200, 201, 204), await response.text()
        told: dict[str, Any] = await response.json(content_type=None) or {}
        return told


async def put(stand: Stand, **wanted: Any) -> dict[str, Any]:
    """Put a request for the provider into its queue, as if another system had sent it."""
    wanted = {"content": ZOO, "recipient": PROVIDER, "version": stand.options.version} | wanted
    return await tell(stand, "incoming", **wanted)


@contextlib.asynccontextmanager
async def serving_requests(stand: Stand, desk: Desk, **changes: Any) -> AsyncIterator[Smev3RequestSource]:
    """Run a source of requests as the provider."""
    options = replace(stand.options, system_key=PROVIDER)
    source = Smev3RequestSource(options, session=stand.session, signer=stand.signer, **changes)
    async with running(source.run(desk)):
        yield source


@contextlib.asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def statuses(stand: Stand, key: str) -> Smev3StatusSource:
    return Smev3StatusSource(replace(stand.options, system_key=key), session=stand.session, signer=stand.signer)


async def say(stand: Stand, reply_to: str, word: Any) -> None:
    """Answer as the provider; it has to be accepted."""
    provider = stand.gateway(system_key=PROVIDER)
    sent = await provider.send(await provider.prepare_response(reply_to, word), earlier_attempts=0)
    assert isinstance(sent, Accepted), sent


async def ask(stand: Stand, **changes: Any) -> str:
    """Send a request as the consumer; it has to be accepted."""
    gateway = stand.gateway(**changes)
    prepared = await gateway.prepare(Call("smev3", SEND_REQUEST, ZOO.encode()))
    sent = await gateway.send(prepared, earlier_attempts=0)
    assert isinstance(sent, Accepted), sent
    return prepared.gateway_id


async def test_a_request_is_read_whole_and_then_confirmed(stand: Stand) -> None:
    end = stand.clock.now + timedelta(hours=1)
    told = await put(
        stand,
        personal_signature=True,
        test=True,
        transaction_code="tx",
        node_id="theirs",
        eol=end.isoformat(),
        reference_message_id="39f52a38-9a54-11ea-b23a-3316e2108089",
        business_process_metadata='<q:frgu xmlns:q="urn:q">123</q:frgu>',
    )
    desk = Desk()
    async with serving_requests(stand, desk):
        request = await desk.next()
        (ack,) = await stand.acked()
    assert (request.source, request.key, request.reply_to) == ("smev3", told["message_id"], told["reply_to"])
    assert (ack["message_id"], ack["accepted"]) == (request.key, True)
    assert parse(request.content).tag == "{urn:zoo/1.0.0}Zoo"
    assert (request.test, request.broadcast, request.unreadable, request.cancels) == (True, False, "", "")
    assert (request.transaction_code, request.node_id) == ("tx", "theirs")
    assert request.reference_id == "39f52a38-9a54-11ea-b23a-3316e2108089"
    assert request.end_of_life is not None
    assert abs(request.end_of_life - end) < timedelta(seconds=1)
    assert parse(request.business_process).text == "123"
    assert request.sender
    names = Names.of(stand.options.version)
    math = {verdict["parent"]: verdict["math"] for verdict in request.verdicts}
    assert math == {
        names.type(name): True for name in ("SMEVSignature", "SenderInformationSystemSignature", "PersonalSignature")
    }


@pytest.mark.parametrize("official", [False, True])
async def test_an_answer_reaches_whoever_asked(stand: Stand, *, official: bool) -> None:
    await put(stand)
    desk = Desk()
    async with serving_requests(stand, desk):
        request = await desk.next()
    content = ZOO_ANSWER.replace("<z:ZooAnswer ", '<z:ZooAnswer Id="BUSINESS" ') if official else ZOO_ANSWER
    await say(stand, request.reply_to, PrimaryContent(content.encode(), official=official))
    (answer,) = await stand.told("answers")
    assert (answer["kind"], answer["original_message_id"]) == ("content", request.key)
    assert answer["personal_signature"] is official
    assert parse(answer["content"].encode()).tag == "{urn:zoo/1.0.0}ZooAnswer"


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        (Call("smev3", "SendResponse", ZOO_ANSWER.encode()), "content"),
        (Call("smev3", "SendResponse", b"", instead=Refusal([("NO_DATA", "Нет данных")])), "rejected"),
        (Call("smev3", "SendResponse", b"", instead=Progress("2", "Получено", {"k": "v"})), "status"),
    ],
    ids=["content", "rejected", "status"],
)
async def test_a_call_of_the_pipeline_says_a_word_and_its_acceptance_is_its_end(
    stand: Stand, wanted: Call, kind: str
) -> None:
    told = await put(stand)
    provider = stand.gateway(system_key=PROVIDER)
    prepared = await provider.prepare(replace(wanted, reply_to=told["reply_to"]))
    await stand.scenario(operation="SendResponse", drop="after", times=1)
    assert isinstance(await provider.send(prepared, earlier_attempts=0), Unanswered)
    sent = await provider.send(prepared, earlier_attempts=1)
    assert isinstance(sent, Accepted)
    assert sent.answer is not None
    assert (sent.answer.reference, sent.answer.kind) == (prepared.gateway_id, AnswerKind.ANSWER)
    assert [one["kind"] for one in await stand.told("answers")] == [kind]


async def test_the_words_of_a_rehearsal_reach_the_simulator_as_a_header(stand: Stand) -> None:
    told = await put(stand)
    provider = stand.gateway(system_key=PROVIDER)
    prepared = await provider.prepare(Call("smev3", "SendResponse", ZOO_ANSWER.encode(), reply_to=told["reply_to"]))
    sent = await provider.send(replace(prepared, wish="fault:SMEV-403"), earlier_attempts=0)
    assert isinstance(sent, Refused)
    assert sent.error.code == "SMEV-403"


async def test_both_roles_talk_to_each_other(stand: Stand) -> None:
    await tell(stand, "types", **ZOO_TYPE)
    asked = await ask(
        stand, life=timedelta(hours=2), business_process=b'<q:frgu xmlns:q="urn:q">7</q:frgu>', test_message=True
    )
    desk, intake = Desk(), Intake()
    async with serving_requests(stand, desk), stand.polling(intake):
        request = await desk.next()
        assert (request.key, request.test) == (asked, True)
        assert parse(request.business_process).text == "7"
        assert request.end_of_life is not None
        assert request.end_of_life - stand.clock.now > timedelta(hours=1, minutes=59)
        await say(stand, request.reply_to, STATUS)
        status = await intake.next()
        await say(stand, request.reply_to, NO_DATA)
        rejection = await intake.next()
        await stand.acked(3)
    assert {status.reference, rejection.reference} == {asked}
    assert status.event is not None
    assert status.event.body["parameters"] == [{"key": "k", "value": "v"}]
    assert rejection.fault is not None
    assert (rejection.kind, rejection.fault.code) == (AnswerKind.REJECTION, "NO_DATA")
    assert [reason["code"] for reason in rejection.fault.details["rejections"]] == ["NO_DATA", "FAILURE"]


async def test_a_request_that_was_not_made_durable_comes_again(stand: Stand) -> None:
    told = await put(stand)
    desk = Desk(durable=False)
    async with serving_requests(stand, desk):
        first = await desk.next()
        assert await stand.told("acks") == []
        desk.durable = True
        stand.clock.advance(minutes=16)
        second = await desk.next()
        (ack,) = await stand.acked()
    assert first.key == second.key == told["message_id"] == ack["message_id"]
    assert ack["deliveries"] == 2


async def test_a_request_with_a_wrong_core_signature_is_rejected_and_handed_to_nobody(stand: Stand) -> None:
    await put(stand, bad_smev_signature=True)
    desk = Desk()
    async with serving_requests(stand, desk):
        (ack,) = await stand.acked()
    assert ack["accepted"] is False
    assert desk.empty()


async def test_a_wrong_signature_of_the_sender_is_told_with_the_request(stand: Stand) -> None:
    await put(stand, bad_sender_signature=True)
    desk = Desk()
    async with serving_requests(stand, desk):
        request = await desk.next()
    sender = Names.of(stand.options.version).type("SenderInformationSystemSignature")
    assert [verdict["math"] for verdict in request.verdicts if verdict["parent"] == sender] == [False]


async def test_a_broadcast_wants_no_answer(stand: Stand) -> None:
    await put(stand, content='<n:News xmlns:n="urn:news/1.0.0"/>', broadcast=True)
    desk = Desk()
    async with serving_requests(stand, desk):
        request = await desk.next()
        await stand.acked()
    assert (request.broadcast, request.reply_to, request.unreadable) == (True, "", "")


async def test_a_selector_takes_one_kind_of_requests(stand: Stand) -> None:
    await put(stand, content='<c:Circus xmlns:c="urn:circus/1.0.0"/>')
    wanted = await put(stand)
    desk = Desk()
    async with serving_requests(stand, desk, selects=("urn:zoo/1.0.0", "Zoo")):
        assert (await desk.next()).key == wanted["message_id"]
        await stand.acked()
    assert (await stand.told("health"))["waiting"] == 1
    assert desk.empty()


async def test_a_selector_takes_one_kind_of_answers(stand: Stand) -> None:
    await tell(stand, "types", **ZOO_TYPE)
    asked = await ask(stand)
    gateway = stand.gateway()
    await gateway.send(await stand.prepared(), earlier_attempts=0)
    desk, intake = Desk(), Intake()
    async with serving_requests(stand, desk), stand.polling(intake, selects=("urn:zoo/1.0.0", "ZooAnswer")):
        await say(stand, (await desk.next()).reply_to, PrimaryContent(ZOO_ANSWER.encode()))
        assert (await intake.next()).reference == asked
        await stand.acked(2)
    assert intake.empty()
    assert (await stand.told("health"))["waiting"] == 1


async def test_an_answer_whose_receipt_was_lost_is_sent_again_under_the_same_id(stand: Stand) -> None:
    told = await put(stand)
    provider = stand.gateway(system_key=PROVIDER)
    prepared = await provider.prepare_response(told["reply_to"], STATUS)
    await stand.scenario(operation="SendResponse", drop="after", times=1)
    assert isinstance(await provider.send(prepared, earlier_attempts=0), Unanswered)
    assert isinstance(await provider.send(prepared, earlier_attempts=1), Accepted)
    assert len(await stand.told("answers")) == 1


async def test_nothing_can_be_said_after_the_last_word(stand: Stand) -> None:
    told = await put(stand)
    await say(stand, told["reply_to"], NO_DATA)
    provider = stand.gateway(system_key=PROVIDER)
    late = await provider.prepare_response(told["reply_to"], STATUS)
    sent = await provider.send(late, earlier_attempts=0)
    assert isinstance(sent, Refused)
    assert sent.error.details["fault"] == "RecipientIsNotFound"


async def test_an_answer_that_smev_throws_away_is_told_by_its_status(stand: Stand) -> None:
    told = await put(stand)
    await stand.scenario(operation="SendResponse", rejection=True, times=1)
    provider = stand.gateway(system_key=PROVIDER)
    prepared = await provider.prepare_response(told["reply_to"], PrimaryContent(ZOO_ANSWER.encode()))
    assert isinstance(await provider.send(prepared, earlier_attempts=0), Accepted)
    intake = Intake()
    async with running(statuses(stand, PROVIDER).run(intake)):
        answer = await intake.next()
    assert (answer.kind, answer.reference, answer.mine) == (AnswerKind.REJECTION, prepared.gateway_id, True)
    assert answer.fault is not None
    assert answer.fault.code == "SMEV-403"
    assert "SmevFault" in answer.fault.details["smev_fault"]


async def test_a_status_is_held_until_it_is_durable(stand: Stand) -> None:
    class Failing(Intake):
        failures = 2

        async def take(self, answer: Any) -> bool:
            if self.failures:
                self.failures -= 1
                raise RuntimeError("database is away")
            return await super().take(answer)

    await stand.scenario(async_status=["requestIsAcceptedBySmev"], times=1)
    prepared = await stand.prepared()
    await stand.gateway().send(prepared, earlier_attempts=0)
    intake = Failing()
    async with running(statuses(stand, "ov").run(intake)):
        answer = await intake.next()
    assert (answer.kind, answer.reference) == (AnswerKind.STATUS, prepared.gateway_id)
    assert answer.event is not None
    assert answer.event.body["category"] == "requestIsAcceptedBySmev"


async def test_the_length_of_the_queues_is_told_in_the_version_that_tells_it(stand: Stand) -> None:
    await put(stand)
    await put(stand)
    source = statuses(stand, PROVIDER)
    if stand.options.version == "1.1":
        assert sum((await source.queue_statistics()).values()) == 2
    else:
        with pytest.raises(KnownError):
            await source.queue_statistics()
    assert await source.fetch() is None
