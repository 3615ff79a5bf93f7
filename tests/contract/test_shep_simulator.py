"""The simulated ШЭП: what its gates refuse, and how its channels deliver."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from adapter.gateways.shep.data import BusinessData, Form
from adapter.gateways.shep.messages import body, envelope, payload, read
from adapter.gateways.shep.operations import (
    ASYNC_SEND,
    GET_MESSAGES,
    GET_STATUS,
    NOTIFY_DELIVERY,
    OPERATIONS,
    SYNC_SEND,
)
from adapter.xml.wssecurity import UNSIGNED, verify_envelope
from simulators.shep.__main__ import main as simulator_main
from simulators.shep.keys import main as keys_main
from tests.contract.shep_stand import ADAPTER, NOW, OTHER, Stand, serving_participant, standing_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapter.gateways.shep.messages import Message
    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)

DATA = BusinessData(Form.CHILD, b"<a  x='1'/>")


def sync(service: str = "SyncEcho", **info: Any) -> dict[str, Any]:
    given = {"message_id": "m1", "service_id": service, "message_date": NOW, "sender": ADAPTER, **info}
    return {"request_info": given, "request_data": {"data": DATA}}


def sent(service: str = "AsyncEcho", **info: Any) -> dict[str, Any]:
    given = {"service_id": service, "message_type": "REQUEST", "message_date": NOW, "sender": ADAPTER, **info}
    return {"message_info": given, "message_data": {"data": DATA}}


def status(message_id: str, sender: dict[str, str] = ADAPTER) -> dict[str, Any]:
    return {"message_id": message_id, "request_date": NOW, "sender": sender}


def fetch(service: str, sender: dict[str, str] = ADAPTER, **more: Any) -> dict[str, Any]:
    return {"service_id": service, "sender": sender, **more}


def code_of(message: Message) -> str:
    assert message.fault is not None, message.values
    return message.fault.info.code if message.fault.info else f"bare {message.fault.faultcode}"


async def test_a_synchronous_request_is_answered_and_signed(stand: Stand) -> None:
    answer = await stand.call(SYNC_SEND, sync())
    assert answer.values["response_info"]["status"]["code"] == "SCSS001"
    assert answer.values["response_data"]["data"] == DATA
    assert verify_envelope(answer.raw, stand.kz).math
    assert answer.warnings == ()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (sync(sender={**ADAPTER, "sender_id": "nobody"}), "SIM-SENDER"),
        (sync(sender={**ADAPTER, "password": "wrong"}), "SIM-PASSWORD"),
        (sync(sender={"sender_id": "adapter"}), "SIM-PASSWORD"),
        (sync("Unknown"), "SIM-SERVICE"),
        (sync("SyncOutside"), "SIM-SERVICE"),
        (sync("AsyncEcho"), "SIM-MODE"),
        (sync("SyncRouted"), "SIM-ROUTE"),
        (sync("SyncRouted", route_id="R_TWO"), "SIM-ROUTE"),
        (sync("SyncEcho", route_id="R_ONE"), "SIM-ROUTE"),
    ],
)
async def test_the_gate_of_the_synchronous_channel_refuses(stand: Stand, values: dict[str, Any], code: str) -> None:
    refused = await stand.call(SYNC_SEND, values)
    assert code_of(refused) == code
    assert verify_envelope(refused.raw, stand.kz).math


@pytest.mark.parametrize(
    ("by", "code"),
    [
        (None, "SIM-UNSIGNED"),
        ("other", "SIM-BIN"),
        ("strange-bin", "SIM-BIN"),
        ("revoked", "SIM-CERTIFICATE"),
        ("foreign", "SIM-CERTIFICATE"),
        ("expired", "SIM-CERTIFICATE"),
    ],
)
async def test_the_gate_refuses_signatures(stand: Stand, by: str | None, code: str) -> None:
    assert code_of(await stand.call(SYNC_SEND, sync(), by=by)) == code
    assert code_of(await stand.call(ASYNC_SEND, sent(), by=by)) == code


async def test_a_wrong_signature_and_a_body_signed_elsewhere_are_refused(stand: Stand) -> None:
    content = payload(OPERATIONS[SYNC_SEND], "request", sync()).decode()
    signed = stand.hand("shep").signed(content)
    tampered = signed.replace(b"<messageId>m1<", b"<messageId>m2<")
    assert code_of(read((await stand.raw("/shep/sync", tampered))[1])) == "SIM-SIGNATURE"
    start, end = signed.index(b"<S:Body"), signed.index(b"</S:Envelope>")
    moved = signed[:start].replace(b"</S:Header>", signed[start:end] + b"</S:Header>")
    wrapped = moved + body(content.replace("m1", "m2").encode()) + signed[end:]
    assert code_of(read((await stand.raw("/shep/sync", wrapped))[1])) == "SIM-SIGNATURE"


@pytest.mark.parametrize("service", ["SyncOpen", "SyncGateway"])
async def test_below_level_two_callers_need_not_sign(stand: Stand, service: str) -> None:
    answer = await stand.call(SYNC_SEND, sync(service), by=None)
    assert answer.fault is None
    assert (verify_envelope(answer.raw, stand.kz).reason == UNSIGNED) == (service == "SyncOpen")


async def test_the_outer_contour_has_services_of_its_own(stand: Stand) -> None:
    assert (await stand.call(SYNC_SEND, sync("SyncOutside"), path="/vshep/sync")).fault is None
    assert code_of(await stand.call(SYNC_SEND, sync(), path="/vshep/sync")) == "SIM-SERVICE"
    assert (await stand.call(ASYNC_SEND, sent("AsyncOutside"), path="/vshep/async")).fault is None


async def test_a_route_leads_to_its_delivery_point(stand: Stand) -> None:
    assert (await stand.call(SYNC_SEND, sync("SyncRouted", route_id="R_ONE"))).fault is None


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (sent(message_id="1"), "SIM-MESSAGE-ID"),
        (sent(correlation_id="1"), "SIM-MESSAGE-ID"),
        (sent(message_type="RESPONSE"), "SIM-CORRELATION"),
        (sent(message_type="UPDATE", correlation_id="404"), "SIM-CORRELATION"),
        (sent(sender={**ADAPTER, "password": "wrong"}), "SIM-PASSWORD"),
        (sent("SyncEcho"), "SIM-MODE"),
    ],
)
async def test_the_gate_of_the_asynchronous_channel_refuses(stand: Stand, values: dict[str, Any], code: str) -> None:
    assert code_of(await stand.call(ASYNC_SEND, values)) == code
    assert await stand.get("/_sim/messages") == []


@pytest.mark.parametrize(
    ("message", "side"),
    [(b"", "Client"), (b"<html/>", "Client"), (b"<!DOCTYPE a><a/>", "Client"), (b"\x00", "Client")],
)
async def test_what_is_no_message_is_refused_without_an_error_info(stand: Stand, message: bytes, side: str) -> None:
    http, answer = await stand.raw("/shep/async", message)
    assert http == 500
    assert code_of(read(answer)) == f"bare S:{side}"


async def test_another_channels_operation_and_a_broken_schema_are_refused(stand: Stand) -> None:
    content = payload(OPERATIONS[SYNC_SEND], "request", sync())
    assert code_of(read((await stand.raw("/shep/async", envelope(body(content))))[1])) == "bare S:Client"
    broken = content.replace(b"<serviceId>", b"<serviceID>").replace(b"</serviceId>", b"</serviceID>")
    assert code_of(read((await stand.raw("/shep/sync", envelope(body(broken))))[1])) == "bare S:Client"


async def test_an_answer_comes_by_pull_with_the_chain_of_its_request(stand: Stand) -> None:
    receipt = (await stand.call(ASYNC_SEND, sent())).values
    await stand.until("/_sim/messages", lambda found: len(found) == 2)
    (message,) = (await stand.call(GET_MESSAGES, fetch("AsyncEcho"))).values["messages"]
    info = message["message_info"]
    assert (info["message_type"], info["correlation_id"]) == ("RESPONSE", receipt["correlation_id"])
    assert info["sender"] == {"sender_id": "other"}
    assert message["message_data"]["data"] == DATA
    assert (await stand.call(GET_MESSAGES, fetch("AsyncEcho"))).values["messages"] == []
    again = await stand.call(GET_MESSAGES, fetch("AsyncEcho", message_id=info["message_id"]))
    assert len(again.values["messages"]) == 1
    chain = await stand.call(GET_MESSAGES, fetch("AsyncEcho", correlation_id=receipt["correlation_id"]))
    assert len(chain.values["messages"]) == 1
    told = (await stand.call(GET_STATUS, status(receipt["message_id"]))).values
    assert told["message_state"] == "DELIVERED"


async def test_nobody_is_shown_somebody_elses_messages(stand: Stand) -> None:
    receipt = (await stand.call(ASYNC_SEND, sent("AsyncPull"))).values
    assert code_of(await stand.call(GET_STATUS, status(receipt["message_id"], OTHER), by="other")) == "SIM-MESSAGE"
    assert code_of(await stand.call(GET_STATUS, status("1"))) == "SIM-MESSAGE"
    foreign = await stand.call(GET_MESSAGES, fetch("AsyncPull", message_id=receipt["message_id"]))
    assert code_of(foreign) == "SIM-MESSAGE"
    assert (await stand.call(GET_MESSAGES, fetch("AsyncPull"))).values["messages"] == []
    note = notification(receipt["message_id"], "AsyncPull")
    assert code_of(await stand.call(NOTIFY_DELIVERY, note)) == "SIM-MESSAGE"


def notification(message_id: str, service: str, taken: str = "MESSAGE_ACCEPTED", **more: Any) -> dict[str, Any]:
    delivery = {"receive_status": taken, "status_date": NOW, "resend_message": "NOT_RESEND", **more}
    told = {"message_id": message_id, "service_id": service, "notification_date": NOW, "delivery_status": delivery}
    return {"notification": told, "request_date": NOW, "sender": ADAPTER}


async def test_a_receiver_tells_what_became_of_a_message(stand: Stand) -> None:
    made = await stand.post("/_sim/send", {"sender_id": "other", "service_id": "AsyncPull"}, 201)
    assert made
    (waiting,) = await stand.get("/_sim/messages")
    assert waiting["recipient"] == "adapter"
    error = {"error_code": "E", "error_message": "нет", "error_date": NOW}
    note = notification(made["message_id"], "AsyncPull", "MESSAGE_NOT_ACCTEPTED", error=error)
    answer = await stand.call(NOTIFY_DELIVERY, note)
    assert answer.values["notification_id"]
    (told,) = await stand.get("/_sim/messages")
    assert told["state"] == "NOT_DELIVERED"
    assert told["delivery_notification"]["error_code"] == "E"


def clock() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def pushed(stand: Stand) -> AsyncIterator[tuple[Stand, Any]]:
    """The adapter's system told things at an endpoint of its own."""
    async with serving_participant(clock) as (participant, url):
        point = {"id": 9, "url": url, "repeats": 3, "max_errors": 4, "repeat_delay": 0, "security": 1}
        adapter = next(p for p in (await stand.get("/_sim/world"))["parties"] if p["sender_id"] == "adapter")
        await stand.post("/_sim/world", {"points": [point], "parties": [{**adapter, "point": 9}]}, 204)
        yield stand, participant


async def test_messages_are_pushed_signed_and_repeated_until_taken(pushed: tuple[Stand, Any]) -> None:
    stand, participant = pushed
    participant.refuse = 2
    await stand.call(ASYNC_SEND, sent("AsyncNotified"))
    await stand.until("/_sim/notified", lambda found: [n["taken"] for n in found] == [True])
    deliveries = [seen for seen in participant.seen if seen.operation.name == "sendMessage"]
    assert len({seen.values["message_info"]["message_id"] for seen in deliveries}) == 1
    assert len(deliveries) == 3
    assert all(verify_envelope(seen.raw, stand.kz).math for seen in participant.seen)
    states = [seen.values["notification"]["message_state"] for seen in participant.seen if seen not in deliveries]
    assert states == ["DELIVERED"]


async def test_a_point_that_errs_is_switched_off_until_an_administrator_switches_it_on(
    pushed: tuple[Stand, Any],
) -> None:
    stand, participant = pushed
    participant.refuse = 10**6
    for _ in range(3):
        await stand.post("/_sim/send", {"sender_id": "other", "service_id": "AsyncEcho"}, 201)

    def nine(found: Any) -> Any:
        return next(point for point in found if point["id"] == 9)

    await stand.until("/_sim/points", lambda found: nine(found)["off"])
    messages = await stand.get("/_sim/messages?service_id=AsyncEcho")
    assert [found["state"] for found in messages] == ["NOT_DELIVERED", "DELIVERY_STOPPED", "DELIVERY_STOPPED"]
    calls = len(participant.seen)
    assert calls == 4
    participant.refuse = 0
    assert await stand.post("/_sim/points/9/on") == {"was_off": True}
    await stand.until(
        "/_sim/messages?service_id=AsyncEcho", lambda found: [m["state"] for m in found][1:] == ["DELIVERED"] * 2
    )
    assert nine(await stand.get("/_sim/points"))["switched_off"] == 1


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"unsigned": True}, UNSIGNED),
        ({"spoilt": True}, "the digest is not that of the signed element"),
        ({"wrapped": True}, "the signature is not over the Body that is read"),
        ({"issuer_serial": True}, "the certificate is only named, and is none of those that are known"),
        ({"signed_by": "foreign"}, ""),
        ({"change": ["<messageType>RESPONSE<", "<messageType>REPLY<"]}, ""),
        ({"change": ["AsyncChannel/v10/Types", "AsyncChannel/v10/Types/Client"]}, ""),
        ({"twice": True}, ""),
    ],
)
async def test_what_is_pushed_has_bad_days_too(pushed: tuple[Stand, Any], rule: dict[str, Any], reason: str) -> None:
    stand, participant = pushed
    await stand.scenario(operation="push.sendMessage", **rule)
    receipt = (await stand.call(ASYNC_SEND, sent())).values
    await stand.until("/_sim/messages", lambda found: [m["state"] for m in found] == ["DELIVERED"] * 2)
    message = participant.seen[0]
    assert verify_envelope(message.raw, stand.kz).reason == reason
    assert message.values["message_info"]["correlation_id"] == receipt["correlation_id"]
    assert len(participant.seen) == (2 if "twice" in rule else 1)
    assert bool(message.warnings) == ("REPLY" in str(rule))


async def test_a_message_that_nobody_takes_is_not_delivered_and_its_sender_is_told(
    pushed: tuple[Stand, Any],
) -> None:
    stand, participant = pushed
    participant.refuse = 10**6
    (point,) = [p for p in (await stand.get("/_sim/world"))["points"] if p["id"] == 9]
    (other,) = [p for p in (await stand.get("/_sim/world"))["parties"] if p["sender_id"] == "other"]
    await stand.post("/_sim/world", {"points": [{**point, "max_errors": 100}], "parties": [{**other, "point": 9}]}, 204)
    await stand.post("/_sim/send", {"sender_id": "other", "service_id": "AsyncNotified"}, 201)
    (told,) = await stand.until("/_sim/notified", lambda found: found if found and found[0]["taken"] else None)
    assert told["state"] == "NOT_DELIVERED"
    assert len([seen for seen in participant.seen if seen.operation.name == "sendMessage"]) == 4


async def test_a_receiver_may_ask_for_a_message_again(pushed: tuple[Stand, Any]) -> None:
    stand, participant = pushed
    made = await stand.post("/_sim/send", {"sender_id": "other", "service_id": "AsyncEcho"}, 201)
    await stand.until("/_sim/messages", lambda found: found[0]["state"] == "DELIVERED")
    note = notification(made["message_id"], "AsyncEcho", "MESSAGE_NOT_ACCTEPTED", resend_message="RESEND")
    assert (await stand.call(NOTIFY_DELIVERY, note)).fault is None
    await stand.until("/_sim/messages", lambda found: found[0]["attempts"] == 2)
    assert len({seen.values["message_info"]["message_id"] for seen in participant.seen}) == 1


async def test_throttling_holds_deliveries_back(pushed: tuple[Stand, Any]) -> None:
    stand, participant = pushed
    (point,) = [p for p in (await stand.get("/_sim/world"))["points"] if p["id"] == 9]
    slow = {**point, "throttling": True, "requests": 2, "throttling_timeout": 60}
    await stand.post("/_sim/world", {"points": [slow]}, 204)
    for _ in range(4):
        await stand.post("/_sim/send", {"sender_id": "other", "service_id": "AsyncEcho"}, 201)
    await stand.until("/_sim/points", lambda found: [p["waiting"] for p in found if p["id"] == 9] == [2])
    assert len(participant.seen) == 2


async def test_a_provider_is_asked_and_its_answer_comes_back(pushed: tuple[Stand, Any]) -> None:
    stand, participant = pushed
    service = {"service_id": "Ours", "owner": "adapter", "mode": "sync", "point": 9, "users": ["other"]}
    await stand.post("/_sim/world", {"services": [service]}, 204)
    asked = {"sender_id": "other", "service_id": "Ours", "data": {"content": "<q/>"}}
    answer = await stand.post("/_sim/ask", asked, 200)
    assert answer["response_data"]["data"] == {"form": "child", "content": "<q/>"}
    assert verify_envelope(participant.seen[0].raw, stand.kz).math
    participant.answer = b"<html/>"
    refused = await stand.post("/_sim/ask", asked, 502)
    assert refused["code"] == "SIM-PROVIDER"


async def test_scenarios_and_doors_answer_what_is_wrong_with_them(stand: Stand) -> None:
    await stand.scenario(fault="SIM-WISHED", sub_error=True)
    refused = await stand.call(SYNC_SEND, sync())
    assert refused.fault is not None
    assert refused.fault.info is not None
    assert refused.fault.info.sub_error is not None
    assert (await stand.call(SYNC_SEND, sync())).fault is None
    await stand.post("/_sim/scenario", {"what": 1}, 400)
    await stand.post("/_sim/world", {"services": [{"service_id": "x", "owner": "nobody", "mode": "sync"}]}, 400)
    await stand.post("/_sim/points/77/on", status=400)
    await stand.post("/_sim/send", {"sender_id": "x", "service_id": "y"}, 400)
    codes = [entry["code"] for entry in await stand.get("/_sim/ledger")]
    assert codes == ["SIM-WISHED", ""]
    await stand.post("/_sim/scenario", {"delay": 1}, 201)
    assert len(await stand.get("/_sim/scenario")) == 1
    await stand.post("/_sim/reset", status=204)
    assert await stand.get("/_sim/scenario") == await stand.get("/_sim/ledger") == []
    assert await stand.get("/_sim/health") == {"status": "ok"}


async def test_the_owner_answers_a_chain_that_another_began(stand: Stand) -> None:
    receipt = (await stand.call(ASYNC_SEND, sent("AsyncPull"))).values
    answer = sent("AsyncPull", message_type="RESPONSE", correlation_id=receipt["correlation_id"], sender=OTHER)
    assert (await stand.call(ASYNC_SEND, answer, by="other")).fault is None
    (message,) = (await stand.call(GET_MESSAGES, fetch("AsyncPull"))).values["messages"]
    assert message["message_info"]["correlation_id"] == receipt["correlation_id"]
    made = {"sender_id": "other", "service_id": "AsyncPull", "message_type": "UPDATE", "correlation_id": "404"}
    await stand.post("/_sim/send", made, 400)
    update = {**made, "correlation_id": receipt["correlation_id"], "data": {"content": "<u/>"}}
    await stand.post("/_sim/send", update, 201)


async def test_fetched_messages_stay_where_the_service_wants_it(stand: Stand) -> None:
    (service,) = [s for s in (await stand.get("/_sim/world"))["services"] if s["service_id"] == "AsyncPull"]
    await stand.post("/_sim/world", {"services": [{**service, "pull_again": True}]}, 204)
    made = await stand.post("/_sim/send", {"sender_id": "other", "service_id": "AsyncPull"}, 201)
    for _ in range(2):
        assert len((await stand.call(GET_MESSAGES, fetch("AsyncPull"))).values["messages"]) == 1
    await stand.call(NOTIFY_DELIVERY, notification(made["message_id"], "AsyncPull"))
    assert (await stand.call(GET_MESSAGES, fetch("AsyncPull"))).values["messages"] == []


async def test_an_administrator_switches_a_point_off(pushed: tuple[Stand, Any]) -> None:
    stand, participant = pushed
    assert await stand.post("/_sim/points/9/off") == {"was_off": False}
    await stand.post("/_sim/send", {"sender_id": "other", "service_id": "AsyncEcho"}, 201)
    (waiting,) = await stand.get("/_sim/messages")
    assert waiting["state"] == "DELIVERY_STOPPED"
    assert await stand.post("/_sim/points/9/on") == {"was_off": True}
    await stand.until("/_sim/messages", lambda found: found[0]["state"] == "DELIVERED")
    assert len(participant.seen) == 1


async def test_the_simulator_runs_as_a_program(shep_keys: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "simulators.shep", "--port", "0", "--keys", str(shep_keys.parent)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        async with aiohttp.ClientSession() as session, session.get(ready["url"] + "/_sim/health") as response:
            assert await response.json() == {"status": "ok"}
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


def test_keys_are_made_once_and_completed(shep_keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in shep_keys.iterdir()}
    assert keys_main([str(shep_keys.parent)]) == 0
    assert capsys.readouterr().out.strip() == str(shep_keys)
    assert {path.name: path.read_bytes() for path in shep_keys.iterdir()} == before
    assert (shep_keys / "shep.key.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("arguments", [["--keys", "absent"], ["--keys", "absent", "--world", "absent.json"]])
def test_a_simulator_without_its_keys_says_so(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert simulator_main(["--port", "0", *arguments]) == 1
    assert "cannot start" in capsys.readouterr().err


async def test_the_gateway_may_sign_by_gost(shep_keys: Path, kz: KzEngine) -> None:
    async with standing_up(shep_keys, kz, gateway_key="gateway-gost") as stand:
        answer = await stand.call(SYNC_SEND, sync())
        assert verify_envelope(answer.raw, kz).algorithm.endswith("gostr34102015-gostr34112015-512")
