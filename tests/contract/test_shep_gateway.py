"""The client of the ШЭП against the simulator, through the reference signing service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from adapter.errors import Code, ConfigurationError, KnownError
from adapter.exchange import Accepted, Call, Prepared, Repeat
from adapter.gateways.shep import Level, Profile, ShepGateway, ShepOptions
from adapter.gateways.shep.operations import (
    ASYNC_SEND,
    ASYNC_SEND_ANSWERED,
    GET_MESSAGES,
    GET_STATUS,
    NOTIFY_DELIVERY,
    PUSH,
    PUSH_STATUS,
    SYNC_SEND,
    SYNC_SEND_REPEATABLE,
)
from adapter.http import make_session
from adapter.signing.kz_client import KzSigningClient
from adapter.xml.wssecurity import verify_envelope
from simulators.sign_service.app import make_app
from tests.contract.shep_caller import DATA, SENT, SYNC, Caller, result_of
from tests.contract.shep_samples import NOW, SESSION
from tests.contract.shep_stand import standing_up
from tests.contract.sign_service_stand import serving, tokens_of

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)


def test_every_operation_has_its_rule_of_repeats() -> None:
    assert ShepGateway.repeat_rules == {
        SYNC_SEND: Repeat.NEVER,
        SYNC_SEND_REPEATABLE: Repeat.SAFE,
        ASYNC_SEND: Repeat.NEVER,
        ASYNC_SEND_ANSWERED: Repeat.NEVER,
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


@pytest.mark.parametrize(
    "wrong", [{"sender_id": ""}, {"gateway_bin": "12"}, {"gateway_bin": "x" * 12}, {"sync_timeout": 0}]
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    good = {"sync_url": "http://x", "async_url": "http://x", "sender_id": "a", "password": "secret-password"}
    with pytest.raises(ConfigurationError):
        ShepOptions(**{**good, **wrong})
    assert "secret-password" not in repr(ShepOptions(**good))
