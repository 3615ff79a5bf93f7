"""The client of the ШЭП against the simulator, through the reference signing service: believed, refused, uncertain."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from adapter.errors import Code, ConfigurationError, KnownError, SignerError
from adapter.exchange import Accepted, Call, Prepared, Refused, Repeat, Sent, TryLater, Unanswered
from adapter.gateways.shep import Level, Profile, ShepGateway, ShepOptions
from adapter.gateways.shep.messages import body, envelope, payload, read
from adapter.gateways.shep.operations import (
    ASYNC_SEND,
    GET_MESSAGES,
    GET_STATUS,
    NOTIFY_DELIVERY,
    OPERATIONS,
    PUSH,
    PUSH_STATUS,
    SYNC_SEND,
    SYNC_SEND_REPEATABLE,
)
from adapter.gateways.shep.security import Judgement, TransportSecurity, refusal
from adapter.http import make_session
from adapter.signing.kz_client import KzSigningClient
from adapter.xml.wssecurity import verify_envelope
from simulators.keys import make_keys
from simulators.shep.keys import GATEWAY_BIN, OTHER_BIN, read_pair
from simulators.sign_service.app import make_app
from tests.contract.shep_samples import NOW, SESSION
from tests.contract.shep_stand import Stand, standing_up
from tests.contract.sign_service_stand import serving, tokens_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)

DATA = {"form": "child", "content": "<a  x='1'/>"}
SYNC = {"request_info": {"service_id": "SyncEcho"}, "request_data": {"data": DATA}}
SENT = {"message_info": {"service_id": "AsyncEcho", "message_type": "REQUEST"}, "message_data": {"data": DATA}}
PROFILES = {
    "SyncOpen": Profile(level=Level.NONE),
    "AsyncOpen": Profile(level=Level.NONE),
    "SyncGateway": Profile(level=Level.GATEWAY),
}


class Caller:
    """Gateways of one stand by their options."""

    def __init__(self, stand: Stand, session: aiohttp.ClientSession, signer: KzSigningClient) -> None:
        self.stand, self.session, self.signer = stand, session, signer
        self.observed: list[tuple[str, str]] = []

    def gateway(self, **options: Any) -> ShepGateway:
        given = {
            "sync_url": self.stand.url("/shep/sync"),
            "async_url": self.stand.url("/shep/async"),
            "sender_id": "adapter",
            "password": "adapter-password",
            "gateway_bin": GATEWAY_BIN,
            "system_key": "shep-gost",
            "profiles": PROFILES,
            **options,
        }
        return ShepGateway(
            ShepOptions(**given),
            session=self.session,
            signer=self.signer,
            observe=lambda operation, outcome, *_: self.observed.append((operation, outcome)),
            client_url=self.stand.url("/party/client"),
        )

    async def call(self, operation: str, content: dict[str, Any], **options: Any) -> Sent:
        gateway = self.gateway(**options)
        prepared = await gateway.prepare(Call("shep", operation, orjson.dumps(content)))
        return await gateway.send(prepared, earlier_attempts=0)


@pytest.fixture(scope="module")
def folder(shep_keys: Path) -> Path:
    make_keys(shep_keys.parent)
    return shep_keys.parent


@pytest.fixture
async def caller(stand: Stand, folder: Path) -> AsyncIterator[Caller]:
    async with serving(make_app(folder)) as url, make_session(timeout=20) as session:
        signer = KzSigningClient(url, session=session, tokens=tokens_of(folder / "kz"))
        yield Caller(stand, session, signer)


def result_of(sent: Sent) -> dict[str, Any]:
    assert isinstance(sent, Accepted), sent
    assert sent.answer is not None
    found: dict[str, Any] = orjson.loads(sent.answer.content)
    return found


def test_every_operation_has_its_rule_of_repeats() -> None:
    assert ShepGateway.repeat_rules == {
        SYNC_SEND: Repeat.NEVER,
        SYNC_SEND_REPEATABLE: Repeat.SAFE,
        ASYNC_SEND: Repeat.NEVER,
        NOTIFY_DELIVERY: Repeat.SAFE,
        GET_STATUS: Repeat.SAFE,
        GET_MESSAGES: Repeat.SAFE,
        PUSH: Repeat.SAFE,
        PUSH_STATUS: Repeat.SAFE,
    }


async def test_a_synchronous_call_brings_its_answer(caller: Caller) -> None:
    for operation in (SYNC_SEND, SYNC_SEND_REPEATABLE):
        sent = await caller.call(operation, SYNC)
        found = result_of(sent)
        assert found["response_info"]["status"]["code"] == "SCSS001"
        assert found["response_data"]["data"] == DATA
        assert isinstance(sent, Accepted)
        assert sent.answer is not None
        (verdict,) = sent.answer.verdicts
        assert (verdict["signature"], verdict["chain"], verdict["period"]) == ("right", "trusted", "valid")
        assert (verdict["revocation"], verdict["bin"]) == ("good", "right")
    assert caller.observed == [(SYNC_SEND, "ok"), (SYNC_SEND_REPEATABLE, "ok")]


async def test_all_operations_of_the_asynchronous_channel_are_called(caller: Caller) -> None:
    receipt = result_of(await caller.call(ASYNC_SEND, SENT))
    assert set(receipt) == {"message_id", "correlation_id", "response_date", "session_id"}
    await caller.stand.until("/_sim/messages", lambda found: len(found) == 2)
    told = result_of(await caller.call(GET_STATUS, {"message_id": receipt["message_id"]}))
    assert told["message_state"] == "DELIVERED"
    fetched = result_of(await caller.call(GET_MESSAGES, {"service_id": "AsyncEcho", "amount": 3}))
    (message,) = fetched["messages"]
    assert message["message_info"]["correlation_id"] == receipt["correlation_id"]
    assert message["message_data"]["data"] == DATA
    note = {
        "notification": {
            "message_id": message["message_info"]["message_id"],
            "service_id": "AsyncEcho",
            "notification_date": NOW,
            "delivery_status": {
                "receive_status": "MESSAGE_ACCEPTED",
                "status_date": NOW,
                "resend_message": "NOT_RESEND",
            },
        }
    }
    assert result_of(await caller.call(NOTIFY_DELIVERY, note))["notification_id"]


async def test_operations_on_a_participant_are_called(caller: Caller) -> None:
    open_world = {"profile": Profile(level=Level.NONE), "profiles": {}}
    info = {
        "message_id": "1",
        "correlation_id": "2",
        "service_id": "S",
        "message_type": "RESPONSE",
        "message_date": NOW,
        "sender": {"sender_id": "other"},
    }
    pushed = await caller.call(PUSH, {"message_info": info, "message_data": {"data": DATA}}, **open_world)
    assert result_of(pushed)["message_id"] == "1"
    status = {"status_code": "1", "status_message": "", "status_date": NOW}
    change = {"notification_id": "n", "message_id": "1", "notification_date": NOW, "message_state": "DELIVERED"}
    told = {"notification": {**change, "status": status}, "request_date": NOW, "session_id": SESSION}
    assert result_of(await caller.call(PUSH_STATUS, told, **open_world))["session_id"] == SESSION


async def test_a_message_is_signed_by_its_services_level(caller: Caller) -> None:
    gateway = caller.gateway(system_key="shep")

    async def prepared(service: str) -> Prepared:
        content = {"request_info": {"service_id": service}, "request_data": {"data": DATA}}
        return await gateway.prepare(Call("shep", SYNC_SEND, orjson.dumps(content)))

    both = await prepared("SyncEcho")
    assert verify_envelope(both.body, caller.stand.kz).math
    assert len(both.signed_by) == 1
    assert re.search(rb'wsu:Id="id-[0-9a-f-]{36}"', both.body)
    assert b"<messageId>%b</messageId>" % both.gateway_id.encode() in both.body
    for service in ("SyncOpen", "SyncGateway"):
        plain = await prepared(service)
        assert b"Security" not in plain.body
        assert isinstance(await gateway.send(plain, earlier_attempts=0), Accepted)


async def test_a_rehearsed_message_hides_the_password(caller: Caller) -> None:
    prepared = await caller.gateway().prepare(Call("shep", SYNC_SEND, orjson.dumps(SYNC), rehearsed=True))
    assert b"adapter-password" not in prepared.body
    assert b"<password>***</password>" in prepared.body


@pytest.mark.parametrize(
    ("operation", "content"),
    [
        ("sync.Unknown", SYNC),
        (SYNC_SEND, []),
        (SYNC_SEND, {"request_info": {"service_id": "S", "sender": {"sender_id": "x", "password": "y"}}}),
        (SYNC_SEND, {"request_info": {"service_id": "S", "message_id": "1"}}),
        (SYNC_SEND, {"request_info": {"service_id": "S", "session_id": SESSION}}),
        (SYNC_SEND, {**SYNC, "request_data": {"data": {"form": "other", "content": ""}}}),
        (ASYNC_SEND, {**SENT, "message_info": {**SENT["message_info"], "message_id": "1"}}),
        (ASYNC_SEND, {**SENT, "message_info": {**SENT["message_info"], "correlation_id": "1"}}),
        (ASYNC_SEND, {**SENT, "message_info": {**SENT["message_info"], "message_type": "RESPONSE"}}),
    ],
)
async def test_what_no_service_may_ask_is_refused_before_anything_is_signed(
    caller: Caller, operation: str, content: Any
) -> None:
    with pytest.raises(KnownError) as caught:
        await caller.gateway().prepare(Call("shep", operation, orjson.dumps(content)))
    assert caught.value.known is Code.INTERNAL


async def test_content_that_the_schema_forbids_is_the_commands_fault(caller: Caller) -> None:
    broken = {**SYNC, "request_data": {"data": {"form": "child", "content": "<a>"}}}
    with pytest.raises(KnownError) as caught:
        await caller.gateway().prepare(Call("shep", SYNC_SEND, orjson.dumps(broken)))
    assert caught.value.known is Code.INVALID_COMMAND


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


async def test_business_data_of_a_megabyte_come_back_as_they_went(caller: Caller) -> None:
    data = {"form": "child", "content": f"<a>{'<b>текст</b>' * 40_000}</a>"}
    sent = await caller.call(SYNC_SEND, {**SYNC, "request_data": {"data": data}})
    assert result_of(sent)["response_data"]["data"] == data


async def test_a_service_is_found_by_its_name_however_it_is_written(caller: Caller) -> None:
    service = {"service_id": "A&B <1>", "owner": "other", "mode": "sync", "point": 1, "users": ["adapter"]}
    await caller.stand.post("/_sim/world", {"services": [{**service, "security": 0}]}, 204)
    content = {"request_info": {"service_id": "A&B <1>"}, "request_data": {"data": DATA}}
    profiles = {"A&B <1>": Profile(level=Level.NONE)}
    assert isinstance(await caller.call(SYNC_SEND, content, profiles=profiles), Accepted)


async def test_the_outer_contour_is_a_gateway_of_its_own(caller: Caller) -> None:
    content = {"request_info": {"service_id": "SyncOutside"}, "request_data": {"data": DATA}}
    outer = {"name": "vshep", "sync_url": caller.stand.url("/vshep/sync")}
    sent = await caller.call(SYNC_SEND, content, **outer)
    assert isinstance(sent, Accepted)
    assert sent.answer is not None
    assert sent.answer.source == "vshep"


async def test_a_gateway_that_signs_by_gost_is_believed(folder: Path, shep_keys: Path, kz: KzEngine) -> None:
    async with (
        standing_up(shep_keys, kz, gateway_key="gateway-gost") as stand,
        serving(make_app(folder)) as url,
        make_session(timeout=20) as session,
    ):
        caller = Caller(stand, session, KzSigningClient(url, session=session, tokens=tokens_of(folder / "kz")))
        assert isinstance(await caller.call(SYNC_SEND, SYNC), Accepted)


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


@pytest.mark.parametrize(
    "wrong", [{"sender_id": ""}, {"gateway_bin": "12"}, {"gateway_bin": "x" * 12}, {"sync_timeout": 0}]
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    good = {"sync_url": "http://x", "async_url": "http://x", "sender_id": "a", "password": "secret-password"}
    with pytest.raises(ConfigurationError):
        ShepOptions(**{**good, **wrong})
    assert "secret-password" not in repr(ShepOptions(**good))
