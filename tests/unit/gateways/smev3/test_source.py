from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from adapter.errors import Code, SignerError
from adapter.exchange import AnswerKind
from adapter.gateways.smev3 import Smev3Options, Smev3Source
from adapter.gateways.smev3.pace import Pace
from adapter.xml.parser import parse
from adapter.xml.signature import DIGEST_WRONG
from tests.unit.gateways.smev3.scripted import (
    MESSAGE_ID,
    NAMES,
    ORIGINAL_ID,
    RecordingIntake,
    ScriptedGateway,
    StubSigner,
    business_answer,
    envelope,
    reset_after_headers,
    soap_fault,
    truncated,
    verdict,
    xml_answer,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from adapter.exchange import Intake

EMPTY = xml_answer(envelope("<t:GetResponseResponse/>"))
ACKED = xml_answer(envelope(""))
MESSAGE = xml_answer(business_answer())


class World:
    """A source with everything around it."""

    def __init__(self, options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner) -> None:
        self.pauses: list[str] = []
        self.paused = asyncio.Event()
        self.observed: list[tuple[str, str]] = []
        self.source = Smev3Source(
            options,
            session=session,
            signer=signer,  # type: ignore[arg-type]
            pollers=1,
            on_pause=self._pause,
            observe=lambda operation, outcome, *_: self.observed.append((operation, outcome)),
        )

    def _pause(self, reason: str) -> None:
        self.pauses.append(reason)
        self.paused.set()

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


@pytest.fixture
def world(options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner) -> World:
    return World(options, session, signer)


async def settled(source: Smev3Source) -> None:
    """Return when every follower rests."""
    async with asyncio.timeout(10):
        while not source.settled:  # noqa: ASYNC110  — pollers tell nobody that they rest
            await asyncio.sleep(0.01)


def polls(scripted: ScriptedGateway) -> int:
    return scripted.operations().count("GetResponse")


async def test_an_answer_is_fetched_handed_over_and_then_confirmed(
    world: World, scripted: ScriptedGateway, signer: StubSigner
) -> None:
    scripted.scripts = [MESSAGE, ACKED]
    intake = RecordingIntake()
    async with world.running(intake):
        answer = await intake.next()
        await scripted.saw(lambda received: len(received) >= 3)
    assert (answer.key, answer.reference, answer.kind) == (MESSAGE_ID, ORIGINAL_ID, AnswerKind.ANSWER)
    assert answer.mine
    assert answer.raw == business_answer() == signer.verified[0]
    assert answer.verdicts[0]["parent"] == NAMES.type("SMEVSignature")
    assert scripted.operations()[:3] == ["GetResponse", "Ack", "GetResponse"]
    target = parse(scripted.received[1].body)[1][0][0]
    assert target.tag == NAMES.base("AckTargetMessage")
    assert (target.text, target.get("accepted")) == (MESSAGE_ID, "true")
    assert world.observed[:2] == [("GetResponse", "ok"), ("Ack", "ok")]


@pytest.mark.parametrize(
    "message",
    [
        business_answer().replace(b"SenderProvidedResponseData", b"Other"),
        business_answer().replace(b"MessagePrimaryContent", b"Other"),
        business_answer("<a/><b/>"),
    ],
    ids=["no data", "no choice", "two roots"],
)
async def test_an_answer_that_is_signed_and_senseless_is_handed_over_with_its_bytes_and_confirmed(
    world: World, scripted: ScriptedGateway, message: bytes
) -> None:
    scripted.scripts = [xml_answer(message), ACKED]
    intake = RecordingIntake()
    async with world.running(intake):
        answer = await intake.next()
        await scripted.saw(lambda received: len(received) >= 3)
    assert (answer.kind, answer.reference) == (AnswerKind.ANSWER, ORIGINAL_ID)
    assert (answer.content, answer.raw) == (b"", message)
    assert scripted.operations()[:2] == ["GetResponse", "Ack"]


async def test_a_poll_selects_our_node_and_every_type(world: World, scripted: ScriptedGateway) -> None:
    async with world.running(RecordingIntake()):
        await scripted.saw(lambda received: len(received) >= 1)
    selector = parse(scripted.received[0].body)[1][0][0]
    assert selector.tag == NAMES.base("MessageTypeSelector")
    assert [child.tag for child in selector] == [NAMES.base("Timestamp"), NAMES.base("NodeID")]
    assert selector[1].text == "node-1"


async def test_without_a_node_id_an_answer_may_be_a_neighbours(
    options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner, scripted: ScriptedGateway
) -> None:
    shared = Smev3Options(endpoint=options.endpoint, poll_min=0.01, poll_max=0.05)
    scripted.scripts = [MESSAGE]
    intake = RecordingIntake(durable=False)
    async with World(shared, session, signer).running(intake):
        assert not (await intake.next()).mine
        await scripted.saw(lambda received: len(received) >= 3)
    assert "Ack" not in scripted.operations()


async def test_an_empty_queue_is_polled_again_and_counted_as_empty(world: World, scripted: ScriptedGateway) -> None:
    async with world.running(RecordingIntake()):
        await scripted.saw(lambda received: len(received) >= 3)
    assert set(world.observed) <= {("GetResponse", "empty"), ("GetResponse", "cancelled")}


async def test_an_empty_queue_in_multipart_form_is_empty(world: World, scripted: ScriptedGateway) -> None:
    body = b"--b\nContent-Type: application/xop+xml\n\n" + envelope("<t:GetResponseResponse/>") + b"\n--b--\n"
    scripted.otherwise = xml_answer(body, content_type='multipart/related; boundary="b"')
    async with world.running(RecordingIntake()):
        await scripted.saw(lambda received: len(received) >= 2)
    assert world.observed[0] == ("GetResponse", "empty")


async def test_what_could_not_be_made_durable_is_not_confirmed(world: World, scripted: ScriptedGateway) -> None:
    scripted.scripts = [MESSAGE, EMPTY, MESSAGE]
    intake = RecordingIntake(failure=RuntimeError("database is away"))
    async with world.running(intake):
        await intake.next()
        await intake.next()
        await scripted.saw(lambda received: len(received) >= 4)
    assert "Ack" not in scripted.operations()


async def test_an_intake_that_hangs_is_given_up_unconfirmed(
    options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner, scripted: ScriptedGateway
) -> None:
    class Hanging:
        async def take(self, _answer: object) -> bool:
            await asyncio.Event().wait()
            return True

    impatient = Smev3Options(endpoint=options.endpoint, timeout=0.2, poll_min=0.01, poll_max=0.05)
    scripted.scripts = [MESSAGE]
    async with World(impatient, session, signer).running(Hanging()):
        await scripted.saw(lambda received: len(received) >= 2)
    assert "Ack" not in scripted.operations()


async def test_a_wrong_signature_is_confirmed_as_rejected_and_not_handed_over(
    world: World, scripted: ScriptedGateway, signer: StubSigner
) -> None:
    signer.verdicts = [verdict(math=False, reason=DIGEST_WRONG)]
    scripted.scripts = [MESSAGE, ACKED]
    intake = RecordingIntake()
    async with world.running(intake):
        await scripted.saw(lambda received: len(received) >= 3)
    assert intake.answers.empty()
    assert scripted.operations()[:2] == ["GetResponse", "Ack"]
    assert parse(scripted.received[1].body)[1][0][0].get("accepted") == "false"
    assert world.pauses == []


@pytest.mark.parametrize(
    "changes", [{"trust": "untrusted"}, {"trust": "unchecked"}, {"period": "expired"}, {"reference": "#OTHER"}]
)
async def test_a_message_not_to_be_believed_pauses_without_any_ack(
    world: World, scripted: ScriptedGateway, signer: StubSigner, changes: dict[str, object]
) -> None:
    signer.verdicts = [verdict(**changes)]
    scripted.otherwise = MESSAGE
    intake = RecordingIntake()
    async with world.running(intake):
        await scripted.saw(lambda received: len(received) >= 3)
        assert world.source.paused == world.pauses[0]
    assert intake.answers.empty()
    assert set(scripted.operations()) == {"GetResponse"}
    assert len(world.pauses) == 1, "a pause that lasts is told once"


async def test_a_dead_verifier_pauses_and_its_return_ends_the_pause(
    world: World, scripted: ScriptedGateway, signer: StubSigner
) -> None:
    signer.verify_failure = SignerError(Code.SIGNATURE_UNAVAILABLE, retryable=True)
    scripted.otherwise = MESSAGE
    intake = RecordingIntake()
    async with world.running(intake):
        await asyncio.wait_for(world.paused.wait(), 10)
        assert "Ack" not in scripted.operations()
        scripted.otherwise = ACKED
        scripted.scripts = [MESSAGE]
        signer.verify_failure = None
        await intake.next()
        assert world.source.paused is None
        await scripted.saw(lambda received: received[-1].operation == "Ack")


@pytest.mark.parametrize(
    "script",
    [
        xml_answer(b"<html>502</html>", status=502, content_type="text/html"),
        xml_answer(b"<html>ok</html>", content_type="text/html"),
        xml_answer(soap_fault("SMEVFailure", description="SMEV-600:занято"), status=500),
        xml_answer(soap_fault(), status=500),
        xml_answer(envelope("<t:AckResponse/>")),
        xml_answer(business_answer().replace(MESSAGE_ID.encode(), b"?")),
        truncated(business_answer()),
        reset_after_headers,
    ],
    ids=["502", "html", "fault", "bare fault", "another answer", "no id", "truncated", "reset"],
)
async def test_every_fault_of_the_gateway_is_survived(world: World, scripted: ScriptedGateway, script: object) -> None:
    scripted.scripts = [script, script, MESSAGE, ACKED]  # type: ignore[list-item]
    intake = RecordingIntake()
    async with world.running(intake):
        assert (await intake.next()).key == MESSAGE_ID
        await scripted.saw(lambda received: "Ack" in [one.operation for one in received])


async def test_a_hanging_gateway_is_survived(
    options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner, scripted: ScriptedGateway
) -> None:
    impatient = Smev3Options(endpoint=options.endpoint, timeout=0.2, poll_min=0.01, poll_max=0.05)
    scripted.scripts = [scripted.hang, MESSAGE, ACKED]
    intake = RecordingIntake()
    async with World(impatient, session, signer).running(intake):
        assert (await intake.next()).key == MESSAGE_ID


async def test_a_signing_service_that_is_away_is_survived(
    world: World, scripted: ScriptedGateway, signer: StubSigner
) -> None:
    failures = iter([SignerError(Code.SIGNATURE_UNAVAILABLE, retryable=True)] * 3)
    good = signer.sign_xml

    async def flaky(xml: bytes, *, key: str) -> object:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        return await good(xml, key=key)

    signer.sign_xml = flaky  # type: ignore[method-assign,assignment]
    scripted.scripts = [MESSAGE, ACKED]
    intake = RecordingIntake()
    async with world.running(intake):
        assert (await intake.next()).key == MESSAGE_ID


async def test_a_fault_of_ours_is_survived(world: World, scripted: ScriptedGateway, signer: StubSigner) -> None:
    signer.verify_failure = KeyError("a bug")
    scripted.scripts = [MESSAGE]
    async with world.running(RecordingIntake()):
        await scripted.saw(lambda received: len(received) >= 2)
    assert "Ack" not in scripted.operations()


async def test_nothing_that_a_message_says_reaches_the_log(
    world: World, scripted: ScriptedGateway, signer: StubSigner
) -> None:
    canary = "Канарейкин"
    scripted.scripts = [
        xml_answer(
            soap_fault("SMEVFailure", description=f"SMEV-600:{canary}", extra=f"<f:X>{canary}</f:X>"), status=500
        ),
        xml_answer(f"<html>{canary}</html>".encode()),
        xml_answer(f"<{canary}".encode()),
        xml_answer(business_answer(f"<{canary}/>")),
        xml_answer(soap_fault("SMEVFailure", description=canary), status=500),
        xml_answer(business_answer(f"<a>{canary}</a>").replace(MESSAGE_ID.encode(), canary.encode())),
    ]
    signer.verdicts = [verdict(math=False, reason=DIGEST_WRONG)]
    with capture_logs() as logs:
        async with world.running(RecordingIntake(failure=ValueError(canary))):
            await scripted.saw(lambda received: len(received) >= 7)
            signer.verdicts = [verdict()]
            scripted.scripts = [xml_answer(business_answer(f"<a>{canary}</a>"))]
            await scripted.saw(lambda received: len(received) >= 9)
    assert {"smev3.poll-refused", "smev3.poll-failed", "smev3.ack-refused", "smev3.message-not-durable"} <= {
        log["event"] for log in logs
    }
    assert canary not in repr(logs)


async def test_an_ack_of_a_message_that_is_gone_is_success_enough(world: World, scripted: ScriptedGateway) -> None:
    gone = xml_answer(soap_fault("TargetMessageIsNotFound", description="SMEV-501:нет такого"), status=500)
    scripted.scripts = [MESSAGE, gone, MESSAGE, ACKED]
    intake = RecordingIntake()
    async with world.running(intake):
        await intake.next()
        await intake.next()
    assert ("Ack", "SMEV-501") in world.observed


@pytest.mark.parametrize("script", [xml_answer(soap_fault("SMEVFailure"), status=500), reset_after_headers])
async def test_a_failed_ack_is_left_to_the_redelivery(world: World, scripted: ScriptedGateway, script: object) -> None:
    scripted.scripts = [MESSAGE, script, MESSAGE, ACKED]  # type: ignore[list-item]
    intake = RecordingIntake()
    async with world.running(intake):
        first, second = await intake.next(), await intake.next()
        await scripted.saw(lambda received: [one.operation for one in received].count("Ack") == 2)
    assert first.key == second.key


async def test_followers_poll_while_there_is_traffic_and_rest_when_there_is_none(
    options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner, scripted: ScriptedGateway
) -> None:
    source = Smev3Source(options, session=session, signer=signer, pollers=3)  # type: ignore[arg-type]
    both = asyncio.Barrier(2)

    class Meeting(RecordingIntake):
        async def take(self, answer: object) -> bool:
            await asyncio.wait_for(both.wait(), 10)
            return await super().take(answer)  # type: ignore[arg-type]

    scripted.otherwise = MESSAGE
    intake = Meeting()
    task = asyncio.create_task(source.run(intake))
    await intake.next()
    await intake.next()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_single_answer_calls_one_poller_and_not_all(
    options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner, scripted: ScriptedGateway
) -> None:
    slow = Smev3Options(endpoint=options.endpoint, poll_min=60, poll_max=60)
    source = Smev3Source(slow, session=session, signer=signer, pollers=9)  # type: ignore[arg-type]
    scripted.scripts = [MESSAGE]
    task = asyncio.create_task(source.run(RecordingIntake()))
    # The one who took it looks again, and so does the one that it called; then all rest.
    await scripted.saw(lambda received: len(received) == 4)
    assert sorted(scripted.operations()) == ["Ack", "GetResponse", "GetResponse", "GetResponse"]
    await settled(source)
    assert len(scripted.received) == 4
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_polls_of_one_moment_share_a_signature_and_later_ones_get_a_new_one(
    world: World, scripted: ScriptedGateway, signer: StubSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.running(RecordingIntake()):
        await scripted.saw(lambda received: len(received) >= 3)
        assert len(signer.signed) == 1
        assert len({one.body for one in scripted.received}) == 1
        monkeypatch.setattr("adapter.gateways.smev3.queue._SELECTOR_LIFE", 0)
        world.source._poll_until = 0
        await scripted.saw(lambda received: len({one.body for one in received}) >= 3)


async def test_a_refused_poll_is_signed_anew(world: World, scripted: ScriptedGateway, signer: StubSigner) -> None:
    scripted.scripts = [xml_answer(soap_fault("SMEVFailure", description="SMEV-1: сбой"), status=500)]
    async with world.running(RecordingIntake()):
        await scripted.saw(lambda received: len(received) >= 3)
    first, second, third = (one.body for one in scripted.received[:3])
    assert first != second == third


async def test_a_nudge_ends_the_rest_of_an_idle_source(
    session: aiohttp.ClientSession, signer: StubSigner, scripted: ScriptedGateway
) -> None:
    class SlowPaced(Smev3Source):
        """Already at its slowest pace, as after a long idle time."""

        async def _rest(self, pace: Pace, *, nudgeable: bool) -> None:
            if not self._nudged.is_set():
                pace.slow()
            await super()._rest(pace, nudgeable=nudgeable)

    slow = Smev3Options(endpoint=scripted.endpoint, poll_min=0.01, poll_max=3600)
    source = SlowPaced(slow, session=session, signer=signer)  # type: ignore[arg-type]
    task = asyncio.create_task(source.run(RecordingIntake()))
    await scripted.saw(lambda received: len(received) == 1)
    source.nudge()
    await scripted.saw(lambda received: len(received) == 2)
    source.nudge()
    await scripted.saw(lambda received: len(received) == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_pace_doubles_up_to_its_limit_and_traffic_resets_it() -> None:
    pace = Pace(0.2, 30)
    delays = [pace.delay() for _ in range(12)]
    assert all(
        low <= delay <= high
        for delay, (low, high) in zip(delays[:3], [(0.1, 0.2), (0.2, 0.4), (0.4, 0.8)], strict=True)
    )
    assert 15 <= delays[-1] <= 30
    pace.reset()
    assert pace.delay() <= 0.2
    pace.slow()
    assert pace.delay() >= 15
