"""The simulated ШЭП: what its gates refuse, and what its doors do."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

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
from simulators.shep.keys import STRANGE_BIN
from simulators.shep.keys import main as keys_main
from tests.contract.shep_requests import DATA, code_of, notification, sent, sync
from tests.contract.shep_stand import ADAPTER, NOW, Stand, standing_up

if TYPE_CHECKING:
    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)


#: Services of the other system that nobody else may use.
PRIVATE = {"service_id": "Private", "owner": "other", "mode": "sync", "point": 1}
PRIVATE_MESSAGES = {**PRIVATE, "service_id": "PrivateMessages", "mode": "async"}


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
        (sync("Private"), "SIM-USER"),
    ],
)
async def test_the_gate_of_the_synchronous_channel_refuses(stand: Stand, values: dict[str, Any], code: str) -> None:
    await stand.post("/_sim/world", {"services": [PRIVATE]}, 204)
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
        (sent("Unknown"), "SIM-SERVICE"),
        (sent("PrivateMessages"), "SIM-USER"),
        (sent("AsyncEcho", route_id="R_ONE"), "SIM-ROUTE"),
        (sent("AsyncRouted"), "SIM-ROUTE"),
        (sent(message_type="NOTIFICATION"), "SIM-CORRELATION"),
        (sent(message_type="RESPONSE", message_id="1", correlation_id="1"), "SIM-MESSAGE-ID"),
        (sent(sender={**ADAPTER, "sender_id": "nobody"}), "SIM-SENDER"),
    ],
)
async def test_the_gate_of_the_asynchronous_channel_refuses(stand: Stand, values: dict[str, Any], code: str) -> None:
    routed = {**PRIVATE, "service_id": "AsyncRouted", "mode": "async", "users": ["adapter"], "routes": {"R_ONE": 1}}
    await stand.post("/_sim/world", {"services": [{**PRIVATE_MESSAGES}, {**routed, "point": None}]}, 204)
    assert code_of(await stand.call(ASYNC_SEND, values)) == code
    assert await stand.get("/_sim/messages") == []


async def test_a_chain_is_nobodys_but_its_two_ends(stand: Stand) -> None:
    third = {"sender_id": "third", "password": "third-password", "bin": STRANGE_BIN}
    service = {**PRIVATE_MESSAGES, "service_id": "AsyncPull", "delivery": "PULL", "users": ["adapter", "third"]}
    await stand.post("/_sim/world", {"parties": [third], "services": [service]}, 204)
    receipt = (await stand.call(ASYNC_SEND, sent("AsyncPull"))).values
    sender = {"sender_id": "third", "password": "third-password"}
    meddling = sent("AsyncPull", message_type="UPDATE", correlation_id=receipt["correlation_id"], sender=sender)
    assert code_of(await stand.call(ASYNC_SEND, meddling, by="strange-bin")) == "SIM-MESSAGE"
    assert len(await stand.get("/_sim/messages")) == 1


@pytest.mark.parametrize(
    ("key", "values"),
    [
        (GET_STATUS, {"message_id": "1", "request_date": NOW}),
        (GET_MESSAGES, {"service_id": "AsyncPull"}),
        (NOTIFY_DELIVERY, notification("1", "AsyncPull")),
    ],
)
@pytest.mark.parametrize(
    ("sender", "by", "code"),
    [
        ({"sender_id": "nobody", "password": "x"}, "shep", "SIM-SENDER"),
        ({"sender_id": "adapter", "password": "x"}, "shep", "SIM-PASSWORD"),
        (ADAPTER, None, "SIM-UNSIGNED"),
        (ADAPTER, "other", "SIM-BIN"),
        (ADAPTER, "revoked", "SIM-CERTIFICATE"),
        (ADAPTER, "foreign", "SIM-CERTIFICATE"),
    ],
)
async def test_questions_pass_the_same_gate(  # noqa: PLR0917  — two cases
    stand: Stand, key: str, values: dict[str, Any], sender: dict[str, str], by: str | None, code: str
) -> None:
    number = (await stand.post("/_sim/send", {"sender_id": "adapter", "service_id": "AsyncPull"}, 201))["message_id"]
    asked = {**values, "sender": sender} | ({"message_id": number} if key == GET_STATUS else {})
    assert code_of(await stand.call(key, asked, by=by)) == code


async def test_numbers_of_messages_go_on_over_restarts(shep_keys: Path, kz: KzEngine) -> None:
    def numbers(year: int) -> Any:
        return standing_up(shep_keys, kz, clock=lambda: datetime(year, 1, 1, tzinfo=UTC))

    async with numbers(2026) as first, numbers(2027) as second:
        made = [
            await stand.post("/_sim/send", {"sender_id": "other", "service_id": "AsyncPull"}, 201)
            for stand in (first, second)
        ]
    assert int(made[0]["message_id"]) < int(made[1]["message_id"])
    assert int(made[0]["correlation_id"]) < int(made[1]["correlation_id"])


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
