from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from adapter.errors import Code, KnownError, SignerError
from adapter.exchange import Accepted, Call, Prepared, Refused, Repeat, TryLater, Unanswered
from adapter.gateways.smev3 import Smev3Gateway, Smev3Options
from adapter.gateways.smev3.client import CONTENT_LIMIT
from adapter.gateways.smev3.faults import RULES, Outcome
from adapter.gateways.smev3.transport import SoapTransport, TransportError
from adapter.xml.parser import parse
from tests.unit.gateways.smev3.scripted import (
    NAMES,
    ScriptedGateway,
    StubSigner,
    acceptance,
    envelope,
    reset_after_headers,
    reset_before_answer,
    soap_fault,
    truncated,
    xml_answer,
)

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import web

    from tests.unit.gateways.smev3.scripted import Script

CALL = Call("smev3", "SendRequest", b'<z:Ask xmlns:z="urn:zoo" Id="PERSONAL"/>')
OTHER_ID = "00000000-0000-1000-8000-000000000000"

Observed = list[tuple[str, str, float, int, int]]


@pytest.fixture
def observed() -> Observed:
    return []


@pytest.fixture
def gateway(
    options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner, observed: Observed
) -> Smev3Gateway:
    return Smev3Gateway(
        options,
        session=session,
        signer=signer,  # type: ignore[arg-type]
        observe=lambda *facts: observed.append(facts),
    )


@pytest.fixture
async def prepared(gateway: Smev3Gateway) -> Prepared:
    return await gateway.prepare(CALL)


def say(scripted: ScriptedGateway, *scripts: Script) -> None:
    scripted.scripts.extend(scripts)


async def test_a_prepared_request_is_signed_and_ready_to_leave(prepared: Prepared, signer: StubSigner) -> None:
    payload = parse(prepared.body)[1][0]
    assert payload.tag == NAMES.type("SendRequestRequest")
    data = payload[0]
    assert data.findtext(NAMES.type("MessageID")) == prepared.gateway_id
    assert data.findtext(NAMES.type("NodeID")) == "node-1"
    assert data.find(NAMES.type("PersonalSignature")) is None
    ((key, signed),) = signer.signed
    assert key == "ov"
    assert prepared.body.count(signed) == 1
    assert CALL.content in signed
    assert prepared.signed_by == ("sha-of-ov",)
    assert prepared.operation == "SendRequest"


async def test_the_moment_of_a_prepared_request_is_the_one_in_its_id(
    options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner
) -> None:
    noon = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    gateway = Smev3Gateway(options, session=session, signer=signer, clock=lambda: noon)  # type: ignore[arg-type]
    assert (await gateway.prepare(CALL)).minted_at == noon


async def test_the_official_signs_the_business_root_before_the_system_signs_the_request(
    gateway: Smev3Gateway, signer: StubSigner
) -> None:
    prepared = await gateway.prepare(Call("smev3", "SendRequest", CALL.content, official=True))
    (first_key, first), (second_key, second) = signer.signed
    assert (first_key, first) == ("sp", CALL.content)
    assert second_key == "ov"
    personal = parse(second).find(NAMES.type("PersonalSignature"))
    assert personal is not None
    assert personal[0].findtext("{*}SignatureValue") == "sp"
    assert prepared.signed_by == ("sha-of-sp", "sha-of-ov")


async def test_a_test_message_is_marked(
    options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner
) -> None:
    marked = Smev3Options(endpoint=options.endpoint, test_message=True)
    gateway = Smev3Gateway(marked, session=session, signer=signer)  # type: ignore[arg-type]
    data = parse((await gateway.prepare(CALL)).body)[1][0][0]
    assert data[-1].tag == NAMES.type("TestMessage")
    assert data.find(NAMES.type("NodeID")) is None


async def test_every_request_has_an_id_of_its_own(gateway: Smev3Gateway) -> None:
    ids = {(await gateway.prepare(CALL)).gateway_id for _ in range(50)}
    assert len(ids) == 50


async def test_a_signing_failure_reaches_the_pipeline(gateway: Smev3Gateway, signer: StubSigner) -> None:
    signer.failure = SignerError(Code.SIGNATURE_UNAVAILABLE, retryable=True)
    with pytest.raises(SignerError):
        await gateway.prepare(CALL)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (Call("smev3", "GetRequest", CALL.content), Code.INTERNAL),
        (Call("smev3", "SendRequest", b"<?xml version='1.0'?><a/>"), Code.INTERNAL),
        (Call("smev3", "SendRequest", b"<!DOCTYPE a><a/>"), Code.INTERNAL),
        (Call("smev3", "SendRequest", b""), Code.INTERNAL),
        (Call("smev3", "SendRequest", b"<a>" + b"x" * CONTENT_LIMIT + b"</a>"), Code.INVALID_COMMAND),
    ],
    ids=["operation", "declaration", "doctype", "nothing", "too large"],
)
async def test_what_this_gateway_cannot_carry_is_refused_unsigned(
    gateway: Smev3Gateway, signer: StubSigner, call: Call, code: Code
) -> None:
    with pytest.raises(KnownError) as refused:
        await gateway.prepare(call)
    assert refused.value.known is code
    assert signer.signed == []


async def test_an_acceptance_of_our_id_is_accepted(
    gateway: Smev3Gateway, scripted: ScriptedGateway, prepared: Prepared, observed: Observed
) -> None:
    body = acceptance(prepared.gateway_id)
    say(scripted, xml_answer(body))
    assert await gateway.send(prepared, earlier_attempts=0) == Accepted(body)
    (received,) = scripted.received
    assert received.body == prepared.body
    assert received.operation == "SendRequest"
    assert received.content_type == "text/xml; charset=utf-8"
    ((operation, outcome, seconds, sent, got),) = observed
    assert (operation, outcome, sent, got) == ("SendRequest", "ok", len(prepared.body), len(body))
    assert seconds > 0


async def test_an_acceptance_in_a_multipart_answer_is_accepted(
    gateway: Smev3Gateway, scripted: ScriptedGateway, prepared: Prepared
) -> None:
    body = acceptance(prepared.gateway_id)
    parts = b"--b\r\nContent-Type: application/xop+xml\r\n\r\n" + body + b"\r\n--b--"
    say(scripted, xml_answer(parts, content_type='multipart/related; boundary="b"; type="application/xop+xml"'))
    assert await gateway.send(prepared, earlier_attempts=0) == Accepted(body)


async def test_an_acceptance_tells_whoever_waits_for_answers(
    options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner, scripted: ScriptedGateway
) -> None:
    told = asyncio.Event()
    gateway = Smev3Gateway(options, session=session, signer=signer, on_accepted=told.set)  # type: ignore[arg-type]
    prepared = await gateway.prepare(CALL)
    say(scripted, xml_answer(soap_fault("AccessDenied"), status=500), xml_answer(acceptance(prepared.gateway_id)))
    await gateway.send(prepared, earlier_attempts=0)
    assert not told.is_set()
    await gateway.send(prepared, earlier_attempts=0)
    assert told.is_set()


async def test_a_large_request_arrives_whole(
    gateway: Smev3Gateway, scripted: ScriptedGateway, signer: StubSigner
) -> None:
    prepared = await gateway.prepare(Call("smev3", "SendRequest", b"<a>" + b"x" * 3_000_000 + b"</a>"))
    say(scripted, xml_answer(acceptance(prepared.gateway_id)))
    assert isinstance(await gateway.send(prepared, earlier_attempts=0), Accepted)
    assert scripted.received[0].body == prepared.body


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("earlier_attempts", [0, 1])
async def test_each_fault_has_the_outcome_of_its_row(
    gateway: Smev3Gateway, scripted: ScriptedGateway, prepared: Prepared, kind: str, earlier_attempts: int
) -> None:
    body = soap_fault(kind, description="SMEV-42:слова шлюза")
    say(scripted, xml_answer(body, status=500))
    sent = await gateway.send(prepared, earlier_attempts=earlier_attempts)
    outcome = RULES[kind].outcome
    if outcome is Outcome.DUPLICATE and earlier_attempts:
        assert sent == Accepted(body)
        return
    assert not isinstance(sent, Accepted)
    assert (sent.error.code, sent.error.description) == ("SMEV-42", "SMEV-42:слова шлюза")
    assert sent.error.details["fault"] == kind
    assert sent.raw == body
    if outcome is Outcome.LATER:
        assert isinstance(sent, TryLater)
        assert (sent.remint, sent.after) == (False, RULES[kind].after)
    elif outcome is Outcome.REMINT:
        assert isinstance(sent, TryLater)
        assert sent.remint
    else:
        assert isinstance(sent, Refused)


@pytest.mark.parametrize("status", [200, 500, 503])
async def test_a_fault_is_read_whatever_the_http_status(
    gateway: Smev3Gateway, scripted: ScriptedGateway, prepared: Prepared, status: int
) -> None:
    say(scripted, xml_answer(soap_fault("AccessDenied"), status=status))
    sent = await gateway.send(prepared, earlier_attempts=0)
    assert isinstance(sent, Refused)
    assert sent.error.code == "AccessDenied"


HTML = b"<html><body><h1>Bad Gateway</h1></body></html>"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (xml_answer(HTML, content_type="text/html"), Code.GATEWAY_PROTOCOL),
        (xml_answer(b""), Code.GATEWAY_PROTOCOL),
        (xml_answer(acceptance(OTHER_ID)), Code.GATEWAY_PROTOCOL),
        (xml_answer(envelope("<t:GetResponseResponse/>")), Code.GATEWAY_PROTOCOL),
        (xml_answer(acceptance(OTHER_ID)[:-40]), Code.GATEWAY_PROTOCOL),
        (xml_answer("<ответ/>".encode("windows-1251")), Code.GATEWAY_PROTOCOL),
        (xml_answer(b"--b\r\nno end"), Code.GATEWAY_PROTOCOL),
        (xml_answer(HTML, status=500, content_type="text/html"), Code.GATEWAY_UNAVAILABLE),
        (xml_answer(HTML, status=502, content_type="text/html"), Code.GATEWAY_UNAVAILABLE),
        (xml_answer(HTML, status=503, content_type="text/html"), Code.GATEWAY_UNAVAILABLE),
        (xml_answer(HTML, status=504, content_type="text/html"), Code.GATEWAY_UNAVAILABLE),
        (truncated(acceptance(OTHER_ID)), Code.GATEWAY_UNAVAILABLE),
        (reset_after_headers, Code.GATEWAY_UNAVAILABLE),
        (reset_before_answer, Code.GATEWAY_UNAVAILABLE),
    ],
    ids=[
        "html",
        "nothing",
        "another id",
        "another answer",
        "cut document",
        "wrong charset",
        "cut multipart",
        "500",
        "502",
        "503",
        "504",
        "truncated body",
        "reset after headers",
        "reset before answer",
    ],
)
async def test_when_nobody_knows_the_gateway_says_unanswered(
    gateway: Smev3Gateway, scripted: ScriptedGateway, prepared: Prepared, script: Script, code: Code
) -> None:
    say(scripted, script)
    sent = await gateway.send(prepared, earlier_attempts=0)
    assert isinstance(sent, Unanswered)
    assert sent.error.code == code.wire


@pytest.mark.parametrize("status", [301, 400, 403, 404, 413, 429])
async def test_a_refusal_in_front_of_the_gateway_is_tried_later(
    gateway: Smev3Gateway, scripted: ScriptedGateway, prepared: Prepared, status: int
) -> None:
    say(scripted, xml_answer(HTML, status=status, content_type="text/html"))
    sent = await gateway.send(prepared, earlier_attempts=0)
    assert isinstance(sent, TryLater)
    assert sent.error.code == Code.GATEWAY_UNAVAILABLE.wire
    assert sent.error.details == {"http_status": status}
    assert not sent.remint


async def test_the_wish_of_retry_after_is_passed_on(
    gateway: Smev3Gateway, scripted: ScriptedGateway, prepared: Prepared
) -> None:
    async def busy(request: web.Request) -> web.StreamResponse:
        response = await xml_answer(HTML, status=429, content_type="text/html")(request)
        response.headers["Retry-After"] = "17"
        return response

    say(scripted, busy)
    sent = await gateway.send(prepared, earlier_attempts=0)
    assert isinstance(sent, TryLater)
    assert sent.after == 17


async def test_a_gateway_that_hangs_is_unanswered_in_time(
    options: Smev3Options, session: aiohttp.ClientSession, signer: StubSigner, scripted: ScriptedGateway
) -> None:
    impatient = Smev3Options(endpoint=options.endpoint, timeout=0.3)
    gateway = Smev3Gateway(impatient, session=session, signer=signer)  # type: ignore[arg-type]
    say(scripted, scripted.hang)
    async with asyncio.timeout(5):
        sent = await gateway.send(await gateway.prepare(CALL), earlier_attempts=0)
    assert isinstance(sent, Unanswered)
    assert sent.error.code == Code.GATEWAY_UNAVAILABLE.wire


async def test_a_refused_connection_is_tried_later_because_nothing_left(
    session: aiohttp.ClientSession, signer: StubSigner
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}/ws"
        gateway = Smev3Gateway(Smev3Options(endpoint), session=session, signer=signer)  # type: ignore[arg-type]
        sent = await gateway.send(await gateway.prepare(CALL), earlier_attempts=0)
    assert isinstance(sent, TryLater)
    assert sent.error.code == Code.GATEWAY_UNAVAILABLE.wire


async def test_an_answer_over_the_limit_is_cut_off(
    options: Smev3Options, session: aiohttp.ClientSession, scripted: ScriptedGateway, observed: Observed
) -> None:
    transport = SoapTransport(
        options.endpoint,
        session=session,
        timeout=5,
        observe=lambda *facts: observed.append(facts),
        limit=1000,
    )
    say(scripted, xml_answer(b"<a>" + b"x" * 100_000))
    with pytest.raises(TransportError) as refused:
        await transport.call("SendRequest", b"<a/>")
    assert refused.value.maybe_taken
    assert refused.value.error.code == Code.GATEWAY_PROTOCOL.wire
    assert observed[0][1] == Code.GATEWAY_PROTOCOL.wire


async def test_cancellation_is_passed_on_and_observed(
    gateway: Smev3Gateway, scripted: ScriptedGateway, prepared: Prepared, observed: Observed
) -> None:
    say(scripted, scripted.hang)
    sending = asyncio.create_task(gateway.send(prepared, earlier_attempts=0))
    await scripted.saw(lambda received: len(received) == 1)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert [facts[1] for facts in observed] == ["cancelled"]


def test_the_repeat_rules_are_those_of_the_architecture(gateway: Smev3Gateway) -> None:
    assert gateway.repeat_rules == {
        "SendRequest": Repeat.SAME_ID,
        "SendResponse": Repeat.SAME_ID,
        "GetRequest": Repeat.SAFE,
        "GetResponse": Repeat.SAFE,
        "GetStatus": Repeat.SAFE,
        "GetIncomingQueueStatistics": Repeat.SAFE,
        "Ack": Repeat.SAFE,
    }


def test_an_id_is_given_up_before_the_gateway_calls_it_stale(gateway: Smev3Gateway) -> None:
    assert gateway.id_lifetime is not None
    assert timedelta(hours=20) < gateway.id_lifetime < timedelta(hours=24)
