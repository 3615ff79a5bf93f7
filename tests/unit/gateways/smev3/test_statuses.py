"""What СМЭВ says about our messages beside the queues: fetched once, never confirmed, so never let go."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from adapter.errors import AdapterError, Code, KnownError, SignerError
from adapter.exchange import AnswerKind
from adapter.gateways.smev3 import Smev3Options, Smev3StatusSource
from adapter.gateways.smev3.messages import Names
from adapter.gateways.smev3.reading import UnreadableError, open_envelope
from adapter.gateways.smev3.statuses import read_async_message, status_answer
from adapter.xml.parser import parse
from adapter.xml.signature import DIGEST_WRONG
from tests.unit.gateways.smev3.scripted import (
    NAMES,
    ORIGINAL_ID,
    RecordingIntake,
    ScriptedGateway,
    StubSigner,
    envelope,
    reset_after_headers,
    soap_fault,
    verdict,
    xml_answer,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from adapter.exchange import Intake

NOTHING = xml_answer(envelope("<t:GetStatusResponse/>"))


def told(inner: str = "") -> bytes:
    """Return GetStatusResponse with an AsyncProcessingStatus, or with ``inner`` in its place."""
    status = inner or (
        f"<t:AsyncProcessingStatus><t:OriginalMessageId>{ORIGINAL_ID}</t:OriginalMessageId><t:StatusCategory>"
        "requestIsAcceptedBySmev</t:StatusCategory></t:AsyncProcessingStatus>"
    )
    return envelope(
        '<t:GetStatusResponse><t:SmevAsyncProcessingMessage><t:AsyncProcessingStatusData Id="SIGNED_ASYNC_BY_SMEV">'
        f"{status}</t:AsyncProcessingStatusData><t:SMEVSignature/></t:SmevAsyncProcessingMessage></t:GetStatusResponse>"
    )


class World:
    """A source of statuses with everything around it."""

    def __init__(self, options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner) -> None:
        self.alarms: asyncio.Queue[str] = asyncio.Queue()
        signer.verdicts = [believed()]
        self.source = Smev3StatusSource(
            options,
            session=session,
            signer=signer,  # type: ignore[arg-type]
            on_pause=self.alarms.put_nowait,
        )

    @asynccontextmanager
    async def running(self, intake: Intake) -> AsyncIterator[None]:
        task = asyncio.create_task(self.source.run(intake))
        try:
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


def believed(**changes: object) -> object:
    """Return the verdict on a good signature over a status."""
    facts = {"reference": "#SIGNED_ASYNC_BY_SMEV", "element": NAMES.type("AsyncProcessingStatusData")}
    return verdict(**(facts | changes))


@pytest.fixture
def world(
    options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner, scripted: ScriptedGateway
) -> World:
    scripted.otherwise = NOTHING
    return World(options, session, signer)


async def test_a_status_is_news_and_takes_no_ack(world: World, scripted: ScriptedGateway) -> None:
    scripted.scripts = [xml_answer(told())]
    intake = RecordingIntake()
    async with world.running(intake):
        answer = await intake.next()
        await scripted.saw(lambda received: len(received) >= 3)
    assert (answer.kind, answer.reference, answer.mine) == (AnswerKind.STATUS, ORIGINAL_ID, True)
    assert answer.raw == told()
    assert set(scripted.operations()) == {"GetStatus"}
    asked = parse(scripted.received[0].body)[1][0]
    assert [child.tag for child in asked] == [
        NAMES.base("Timestamp"),
        NAMES.type("CallerInformationSystemSignature"),
    ]


async def test_a_status_is_held_while_it_cannot_be_verified(
    world: World, scripted: ScriptedGateway, signer: StubSigner
) -> None:
    signer.verify_failure = SignerError(Code.SIGNATURE_UNAVAILABLE, retryable=True)
    scripted.scripts = [xml_answer(told())]
    intake = RecordingIntake()
    async with world.running(intake):
        async with asyncio.timeout(10):
            while len(signer.verified) < 2:  # noqa: ASYNC110  — the signer tells nobody that it was asked
                await asyncio.sleep(0.01)
        signer.verify_failure = None
        assert (await intake.next()).reference == ORIGINAL_ID


@pytest.mark.parametrize("changes", [{"math": False, "reason": DIGEST_WRONG}, {"trust": "untrusted"}])
async def test_a_status_that_is_not_believed_is_told_to_a_person_and_to_nobody_else(
    world: World, scripted: ScriptedGateway, signer: StubSigner, changes: dict[str, object]
) -> None:
    signer.verdicts = [believed(**changes)]  # type: ignore[list-item]
    scripted.scripts = [xml_answer(told())]
    intake = RecordingIntake()
    async with world.running(intake):
        assert await asyncio.wait_for(world.alarms.get(), 10)
        await scripted.saw(lambda received: len(received) >= 2)
    assert intake.answers.empty()


async def test_every_fault_of_the_gateway_is_survived(
    world: World, scripted: ScriptedGateway, signer: StubSigner
) -> None:
    scripted.scripts = [
        xml_answer(soap_fault("SMEVFailure", description="SMEV-1:сбой"), status=500),
        xml_answer(b"<html/>"),
        xml_answer(envelope("<t:Other/>")),
        reset_after_headers,
        xml_answer(told()),
    ]
    intake = RecordingIntake()
    async with world.running(intake):
        assert (await intake.next()).reference == ORIGINAL_ID


async def test_a_fault_is_raised_to_whoever_fetches(world: World, scripted: ScriptedGateway) -> None:
    scripted.scripts = [xml_answer(soap_fault("SMEVFailure", description="SMEV-1:сбой"), status=500)]
    with pytest.raises(AdapterError) as refused:
        await world.source.fetch()
    assert refused.value.code == "SMEV-1"


async def test_queues_are_counted_in_one_version_alone(
    world: World, options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner, scripted: ScriptedGateway
) -> None:
    with pytest.raises(KnownError):
        await world.source.queue_statistics()
    old = Smev3Options(endpoint=options.endpoint, version="1.1", node_id="node-1")
    counted = (
        '<t:GetIncomingQueueStatisticsResponse><t:QueueStatistics queueName="a" pendingMessageNumber="{}"/>'
        "</t:GetIncomingQueueStatisticsResponse>"
    )
    scripted.scripts = [
        xml_answer(envelope(counted.format(number)).replace(b"/1.2", b"/1.1")) for number in ("7", "many")
    ]
    scripted.scripts.append(NOTHING)
    source = Smev3StatusSource(old, session=session, signer=signer)  # type: ignore[arg-type]
    assert await source.queue_statistics() == {"a": 7}
    asked = parse(scripted.received[0].body)[1][0]
    assert asked[0].tag == Names.of("1.1").type("NodeID")
    for _ in range(2):
        with pytest.raises(UnreadableError):
            await source.queue_statistics()


@pytest.mark.parametrize(
    "inner",
    [
        "<t:Other/>",
        "<t:AsyncProcessingStatus><t:StatusDetails><t:deep/></t:StatusDetails></t:AsyncProcessingStatus>",
    ],
)
def test_a_senseless_status_is_kept_with_its_bytes(inner: str) -> None:
    raw = told(inner)
    status = read_async_message(open_envelope(raw), raw, NAMES)
    assert status is not None
    answer = status_answer(status, NAMES, verdicts=())
    assert (answer.kind, answer.reference, answer.raw, answer.content) == (AnswerKind.ANSWER, "", raw, b"")


def test_a_status_without_its_data_is_unreadable() -> None:
    raw = told().replace(b"AsyncProcessingStatusData", b"Other")
    with pytest.raises(UnreadableError):
        read_async_message(open_envelope(raw), raw, NAMES)
