"""The client of the ШЭП when the gateway says no, says nothing, or is not believed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web

from adapter.errors import Code, SignerError
from adapter.exchange import Accepted, Call, Refused, TryLater, Unanswered
from adapter.gateways.shep import Level, Profile, ShepGateway
from adapter.gateways.shep.messages import body, envelope, payload, read
from adapter.gateways.shep.operations import (
    ASYNC_SEND,
    GET_MESSAGES,
    GET_STATUS,
    OPERATIONS,
    SYNC_SEND,
)
from adapter.gateways.shep.security import Judgement, TransportSecurity, refusal
from adapter.http import make_session
from adapter.signing.kz_client import KzSigningClient
from simulators.shep.keys import OTHER_BIN, read_pair
from tests.contract.shep_caller import SENT, SYNC, Caller
from tests.contract.shep_samples import NOW
from tests.contract.sign_service_stand import serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.shep_stand import Stand


pytest_plugins = ("tests.contract.shep_fixtures",)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"password": "wrong"}, "SIM-PASSWORD"),
        ({"sender_id": "nobody"}, "SIM-SENDER"),
        ({"profiles": {"SyncEcho": Profile(level=Level.GATEWAY)}}, "SIM-UNSIGNED"),
    ],
)
async def test_a_considered_no_is_final_and_verbatim(caller: Caller, options: dict[str, Any], code: str) -> None:
    sent = await caller.call(SYNC_SEND, SYNC, **options)
    assert isinstance(sent, Refused)
    assert sent.error.code == code
    assert sent.error.details["error_date"]


async def test_a_nested_error_reaches_the_one_who_asked(caller: Caller) -> None:
    await caller.stand.scenario(fault="BUS-1", sub_error=True)
    sent = await caller.call(ASYNC_SEND, SENT)
    assert isinstance(sent, Refused)
    assert sent.error.code == "BUS-1"
    assert sent.error.details["sub_error"]["error_code"] == "SIM-CAUSE"


@pytest.mark.parametrize(
    ("rule", "outcome", "code"),
    [
        ({"bare_fault": "Server"}, Unanswered, "ADAPTER-GATEWAY-UNAVAILABLE"),
        ({"bare_fault": "Client"}, Refused, "ADAPTER-GATEWAY-PROTOCOL"),
        ({"body": "html"}, Unanswered, "ADAPTER-GATEWAY-PROTOCOL"),
        ({"body": "html", "status": 502}, Unanswered, "ADAPTER-GATEWAY-UNAVAILABLE"),
        ({"body": "html", "status": 403}, TryLater, "ADAPTER-GATEWAY-UNAVAILABLE"),
        ({"body": "dtd"}, Unanswered, "ADAPTER-GATEWAY-PROTOCOL"),
        ({"body": "garbage"}, Unanswered, "ADAPTER-GATEWAY-PROTOCOL"),
        ({"body": "empty"}, Unanswered, "ADAPTER-GATEWAY-PROTOCOL"),
        ({"body": "truncated"}, Unanswered, "ADAPTER-GATEWAY-PROTOCOL"),
        ({"body": "huge"}, Unanswered, "ADAPTER-GATEWAY-PROTOCOL"),
        ({"drop": "before"}, Unanswered, "ADAPTER-GATEWAY-UNAVAILABLE"),
        ({"drop": "after"}, Unanswered, "ADAPTER-GATEWAY-UNAVAILABLE"),
        ({"status": 500}, Unanswered, "ADAPTER-GATEWAY-UNAVAILABLE"),
        ({"unsigned": True}, Unanswered, "ADAPTER-GATEWAY-SIGNATURE"),
        ({"spoilt": True}, Unanswered, "ADAPTER-GATEWAY-SIGNATURE"),
        ({"wrapped": True}, Unanswered, "ADAPTER-GATEWAY-SIGNATURE"),
        ({"issuer_serial": True}, Unanswered, "ADAPTER-GATEWAY-SIGNATURE"),
        ({"fault": "X", "unsigned": True}, Unanswered, "ADAPTER-GATEWAY-SIGNATURE"),
    ],
)
async def test_a_send_on_a_bad_day_ends_as_it_has_to(
    caller: Caller, rule: dict[str, Any], outcome: type, code: str
) -> None:
    await caller.stand.scenario(**rule)
    sent = await caller.call(ASYNC_SEND, SENT)
    assert isinstance(sent, outcome), sent
    assert sent.error.code == code
    assert isinstance(await caller.call(ASYNC_SEND, SENT), Accepted)


async def test_a_timeout_leaves_the_fate_unknown(caller: Caller) -> None:
    await caller.stand.scenario(delay=30)
    sent = await caller.call(ASYNC_SEND, SENT, async_timeout=0.3)
    assert isinstance(sent, Unanswered)
    assert caller.observed == [(ASYNC_SEND, "ADAPTER-GATEWAY-UNAVAILABLE")]


async def test_without_a_connection_nothing_was_taken(caller: Caller) -> None:
    sent = await caller.call(ASYNC_SEND, SENT, async_url="http://127.0.0.1:9/")
    assert isinstance(sent, TryLater)


async def test_a_cancelled_call_is_cancelled(caller: Caller) -> None:
    await caller.stand.scenario(delay=30)
    task = asyncio.create_task(caller.call(ASYNC_SEND, SENT))
    await caller.stand.until("/_sim/scenario", lambda found: not found)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caller.observed == [(ASYNC_SEND, "cancelled")]


async def test_a_bare_server_fault_to_a_question_is_asked_again(caller: Caller) -> None:
    await caller.stand.scenario(bare_fault="Server")
    assert isinstance(await caller.call(GET_MESSAGES, {"service_id": "AsyncEcho"}), TryLater)


async def test_a_certificate_that_is_only_named_is_believed_among_the_gateways(caller: Caller, folder: Path) -> None:
    known = (read_pair(folder / "kz", "gateway").certificate_der,)
    await caller.stand.scenario(issuer_serial=True)
    assert isinstance(await caller.call(SYNC_SEND, SYNC, gateway_certs=known), Accepted)


async def test_another_organisation_is_not_the_gateway(caller: Caller) -> None:
    sent = await caller.call(SYNC_SEND, SYNC, gateway_bin=OTHER_BIN)
    assert isinstance(sent, Unanswered)
    assert sent.error.details["bin"] == "wrong"


async def test_a_fault_that_is_not_signed_is_believed_where_the_profile_says_so(caller: Caller) -> None:
    await caller.stand.scenario(fault="X", unsigned=True)
    profiles = {"AsyncEcho": Profile(unsigned_faults=True)}
    assert isinstance(await caller.call(ASYNC_SEND, SENT, profiles=profiles), Refused)


async def test_at_level_zero_nothing_is_looked_at(caller: Caller) -> None:
    content = {**SENT, "message_info": {**SENT["message_info"], "service_id": "AsyncOpen"}}
    sent = await caller.call(ASYNC_SEND, content)
    assert isinstance(sent, Accepted)
    assert sent.answer is not None
    assert sent.answer.verdicts[0]["signature"] == "none"


@pytest.mark.parametrize(
    ("change", "believed"),
    [
        ({}, True),
        ({"signature": "wrong"}, False),
        ({"signature": "none"}, False),
        ({"signature": "unsupported"}, False),
        ({"chain": "untrusted"}, False),
        ({"chain": "unchecked"}, False),
        ({"period": "expired"}, False),
        ({"period": "unchecked"}, False),
        ({"revocation": "revoked"}, False),
        ({"revocation": "unchecked"}, False),
        ({"owner": "wrong"}, False),
        ({"owner": "unchecked"}, True),
    ],
)
def test_every_verdict_counts(change: dict[str, str], believed: bool) -> None:  # noqa: FBT001  — a case
    good = {"signature": "right", "chain": "trusted", "period": "valid", "revocation": "good", "owner": "right"}
    found = refusal(Judgement(**{**good, **change}), Profile())
    assert (found is None) == believed
    if change.get("signature") == "unsupported":
        assert found is not None
        assert found.known is Code.UNSUPPORTED_ALGORITHM
    soft = refusal(Judgement(**{**good, **change}), Profile(soft_revocation=True))
    assert (soft is None) == (believed or change == {"revocation": "unchecked"})


async def test_an_unsupported_algorithm_is_named(caller: Caller) -> None:
    signed = caller.stand.hand("gateway").signed("<a/>").replace(b"xmldsig-more#rsa-sha256", b"xmldsig-more#rsa-sha1")
    judgement = await TransportSecurity(caller.signer, key="shep").judge(signed, Level.GATEWAY)
    assert judgement.signature == "unsupported"
    error = refusal(judgement, Profile())
    assert error is not None
    assert error.code == "ADAPTER-UNSUPPORTED-ALGORITHM"


async def test_a_wrapped_message_is_refused_without_asking_any_service(stand: Stand) -> None:
    async with make_session(timeout=1) as session:
        nobody = KzSigningClient("http://127.0.0.1:9", session=session, tokens={"shep": "x"})
        security = TransportSecurity(nobody, key="shep")
        hand = stand.hand("gateway")
        content = payload(
            OPERATIONS[GET_STATUS], "request", {"message_id": "1", "request_date": NOW, "sender": {"sender_id": "x"}}
        )
        signed = hand.signed(content.decode())
        moved = signed.replace(b'wsu:Id="id-1"', b'wsu:Id="id-2"')
        assert (await security.judge(moved, Level.BOTH)).signature == "wrong"
        assert (await security.judge(envelope(body(content)), Level.BOTH)).signature == "none"
        with pytest.raises(SignerError):
            await security.judge(signed, Level.BOTH)


async def test_without_the_signing_service_an_answer_is_worth_nothing(caller: Caller) -> None:
    gateway = caller.gateway()
    prepared = await gateway.prepare(Call("shep", ASYNC_SEND, orjson.dumps(SENT)))
    async with make_session(timeout=1) as session:
        blind = ShepGateway(
            gateway._options,
            session=session,
            signer=KzSigningClient("http://127.0.0.1:9", session=session, tokens={"shep": "x"}),
        )
        sent = await blind.send(prepared, earlier_attempts=0)
    assert isinstance(sent, Unanswered)
    assert sent.error.code == "ADAPTER-SIGNATURE-UNAVAILABLE"
    assert read(sent.raw).values["message_id"]


async def test_an_answer_to_another_operation_is_none(caller: Caller) -> None:
    async def astray(_: web.Request) -> web.Response:
        receipt = {"message_id": "1", "correlation_id": "2", "response_date": NOW}
        content = payload(OPERATIONS[ASYNC_SEND], "response", receipt)
        return web.Response(body=envelope(body(content)), content_type="text/xml")

    app = web.Application()
    app.router.add_post("/", astray)
    async with serving(app) as url:
        sent = await caller.call(SYNC_SEND, SYNC, sync_url=url, profiles={"SyncEcho": Profile(level=Level.NONE)})
    assert isinstance(sent, Unanswered)
    assert sent.error.details["rule"] == "the answer is to another operation"
