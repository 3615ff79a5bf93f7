"""Switches of the simulator for bad days, its ledger, and running it as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import ANY
from uuid import uuid4

import aiohttp
import pytest

from adapter.xml.signature import verify_message
from tests.contract.smev3_caller import REQUEST_DATA, TYPES, action, debt_requests

if TYPE_CHECKING:
    from adapter.signing.gost import GostEngine
    from tests.contract.smev3_world import World

pytest_plugins = ("tests.contract.smev3_fixtures",)

ORIGINAL = ".//t:Response/t:OriginalMessageId"
OWN = ".//t:MessageMetadata/t:MessageId"


def new_request(transport_id: str | None = None) -> str:
    return debt_requests(action(data=REQUEST_DATA, transport_id=transport_id))


async def test_a_fault_is_given_as_often_as_asked_for(world: World) -> None:
    await world.scenario(fault="SMEV-600", times=2)
    faults = [(await world.post(world.caller.send_request(new_request(), world.fresh()))).fault() for _ in range(3)]
    assert faults == ["DestinationOverflow", "DestinationOverflow", None]


async def test_a_rule_for_one_transport_id_leaves_the_others_alone(world: World) -> None:
    meant = str(uuid4())
    await world.scenario(fault="AccessDenied", transport_id=meant.upper())
    assert (await world.post(world.caller.send_request(new_request(), world.fresh()))).status == 200
    assert (await world.post(world.caller.send_request(new_request(meant), world.fresh()))).fault() == "AccessDenied"


async def test_rules_end_when_they_are_deleted(world: World) -> None:
    number = await world.scenario(fault="AccessDenied")
    assert [rule["id"] for rule in await world.admin("scenario")] == [number]
    async with world.client.delete("/_sim/scenario", params={"id": number}) as response:
        assert response.status == 204
    await world.send(new_request())


@pytest.mark.parametrize("rule", [{"typo": 1}, {"fault": "SMEV-1"}, {"drop": "sometimes"}, {"times": 0}])
async def test_a_rule_that_cannot_be_is_refused_by_name(world: World, rule: dict[str, object]) -> None:
    async with world.client.post("/_sim/scenario", json=rule) as response:
        assert response.status == 400
        (fault,) = (await response.json())["faults"]
    assert [fault["path"]] == list(rule)


@pytest.mark.parametrize("body", ["garbage", "html", "truncated", "empty"])
async def test_the_answers_bytes_can_be_spoilt_after_the_request_was_taken(world: World, body: str) -> None:
    identifier = world.fresh()
    whole = len((await world.post(world.caller.send_request(new_request(), world.fresh()))).body)
    await world.scenario(body=body, content_type="text/html", times=1)
    reply = await world.post(world.caller.send_request(new_request(), identifier))
    assert (reply.status, reply.content_type) == (200, "text/html")
    assert len(reply.body) < whole
    again = await world.post(world.caller.send_request(new_request(), identifier))
    assert again.fault() == "MessageIsAlreadySent"


@pytest.mark.parametrize(
    ("drop", "fault"), [("before", None), ("after", "MessageIsAlreadySent"), ("midway", "MessageIsAlreadySent")]
)
async def test_a_dropped_connection_tells_nothing_of_whether_the_request_was_taken(
    world: World, drop: str, fault: str | None
) -> None:
    identifier = world.fresh()
    await world.scenario(drop=drop, times=1)
    with pytest.raises(aiohttp.ClientError):
        await world.post(world.caller.send_request(new_request(), identifier))
    assert (await world.post(world.caller.send_request(new_request(), identifier))).fault() == fault


async def test_an_answer_can_be_put_off(world: World) -> None:
    await world.scenario(answer_delay=60, times=1)
    late = await world.send(new_request())
    soon = await world.send(new_request())
    assert [(await world.poll()).text(ORIGINAL) for _ in range(2)] == [soon, None]
    world.clock.advance(seconds=60)
    assert (await world.poll()).text(ORIGINAL) == late


async def test_an_answer_can_be_left_out(world: World) -> None:
    await world.scenario(silent=True, times=1)
    await world.send(new_request())
    world.clock.advance(hours=10)
    assert (await world.poll()).text(ORIGINAL) is None


async def test_an_answer_can_come_twice_with_the_same_id(world: World) -> None:
    await world.scenario(duplicate=True, times=1)
    await world.send(new_request())
    first, second = await world.poll(), await world.poll()
    assert first.text(OWN) == second.text(OWN)
    assert first.text(OWN) is not None
    assert [(await world.ack(first)).status, (await world.ack(second)).status] == [200, 200]


async def test_statuses_can_come_before_the_answer(world: World) -> None:
    await world.scenario(request_status=2, times=1)
    identifier = await world.send(new_request())
    replies = [await world.poll() for _ in range(3)]
    codes = [reply.text(".//t:RequestStatus/t:StatusCode") for reply in replies]
    assert codes == ["IN_PROGRESS_1", "IN_PROGRESS_2", None]
    assert {reply.text(ORIGINAL) for reply in replies} == {identifier}
    assert len({reply.text(OWN) for reply in replies}) == 3


async def test_the_service_can_reject_late(world: World) -> None:
    await world.scenario(rejection=True, times=1)
    await world.send(new_request())
    assert "SMEV-403" in ((await world.poll()).text(".//t:SmevFault/b:Description") or "")


async def test_the_provider_can_reject(world: World) -> None:
    await world.scenario(request_rejected={"code": "ACCESS_DENIED", "description": "Нет прав"}, times=1)
    await world.send(new_request())
    reply = await world.poll()
    assert reply.text(".//t:RequestRejected/t:RejectionReasonCode") == "ACCESS_DENIED"
    assert reply.text(".//t:RequestRejected/t:RejectionReasonDescription") == "Нет прав"


async def test_an_answer_can_be_about_something_else(world: World) -> None:
    transport_id = str(uuid4())
    await world.scenario(unknown_transport_id=True, transport_id=transport_id)
    await world.send(new_request(transport_id))
    assert (await world.poll()).text(".//c:result/c:transport-id") not in {None, transport_id}


async def test_the_cores_signature_can_be_wrong(world: World, gost: GostEngine) -> None:
    await world.scenario(bad_smev_signature=True, times=1)
    await world.send(new_request())
    math = {verdict.parent: verdict.math for verdict in verify_message((await world.poll()).body, gost)}
    assert math == {f"{{{TYPES}}}SenderInformationSystemSignature": True, f"{{{TYPES}}}SMEVSignature": False}


async def test_a_delivery_can_be_spoilt_for_one_transport_id(world: World) -> None:
    transport_id = str(uuid4())
    await world.scenario(operation="GetResponse", body="garbage", content_type="text/plain", transport_id=transport_id)
    await world.send(new_request())
    await world.send(new_request(transport_id))
    whole, spoilt = await world.poll(), await world.poll()
    assert whole.text(ORIGINAL) is not None
    assert (spoilt.content_type, spoilt.tree) == ("text/plain", None)


async def test_the_officials_signature_can_be_demanded_for_one_message(world: World) -> None:
    await world.scenario(require_personal_signature=True, times=1)
    reply = await world.post(world.caller.send_request(new_request(), world.fresh()))
    assert reply.finding() == "NoSignatureFound"


async def test_the_ledger_lists_every_action_taken_or_refused_at_the_door(world: World) -> None:
    first, second, refused = (str(uuid4()) for _ in range(3))
    taken = await world.send(
        debt_requests(
            action(data=REQUEST_DATA, transport_id=first),
            action("REVOKE", request_id=str(uuid4()), transport_id=second),
        )
    )
    await world.post(world.caller.send_request(new_request(refused), taken))
    await world.poll()
    assert await world.admin("ledger") == [
        {"transport_id": first, "action_type": "SEND", "message_id": taken, "outcome": "accepted", "code": None},
        {"transport_id": second, "action_type": "REVOKE", "message_id": taken, "outcome": "accepted", "code": None},
        {"transport_id": refused, "action_type": "SEND", "message_id": taken, "outcome": "refused", "code": "SMEV-301"},
    ]


async def test_the_ledger_reads_what_it_can_of_a_message_that_is_no_xml(world: World) -> None:
    transport_id, identifier = str(uuid4()), world.fresh()
    message = world.caller.send_request(new_request(transport_id), identifier)
    reply = await world.post(message[: message.index(b"</dr:action>")])
    assert reply.fault() == "soap:Client"
    (entry,) = await world.admin("ledger")
    assert entry == {
        "transport_id": transport_id,
        "action_type": "SEND",
        "message_id": identifier,
        "outcome": "refused",
        "code": "soap:Client",
    }


async def test_reset_forgets_everything(world: World) -> None:
    identifier = await world.send(new_request())
    await world.scenario(fault="AccessDenied")
    async with world.client.post("/_sim/reset") as response:
        assert response.status == 204
    assert await world.admin("ledger") == await world.admin("requests") == await world.admin("scenario") == []
    assert await world.admin("health") == {"status": "ok", "waiting": 0, "ftp": ANY}
    await world.send(new_request(), identifier)


async def test_it_runs_as_a_process_and_stops_on_sigterm(keys: Path) -> None:
    command = [sys.executable, "-m", "simulators.smev3", "--port", "0", "--keys", str(keys)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            ready = json.loads(await process.stdout.readline())
            assert ready["ready"] is True
            assert ready["ftp"]
            async with aiohttp.ClientSession() as session, session.get(f"{ready['url']}/_sim/health") as response:
                assert (await response.json())["status"] == "ok"
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


@pytest.mark.parametrize("missing", ["keys", "fixtures"])
async def test_a_start_without_what_it_needs_is_refused_in_a_sentence(keys: Path, tmp_path: Path, missing: str) -> None:
    (tmp_path / "fixtures.json").write_text("{}")
    command = [sys.executable, "-m", "simulators.smev3", "--port", "0"]
    command += ["--keys", str(tmp_path if missing == "keys" else keys), "--fixtures", str(tmp_path / "fixtures.json")]
    process = await asyncio.create_subprocess_exec(
        *command, stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    async with asyncio.timeout(30):
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"cannot start" in errors
