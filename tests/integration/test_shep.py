"""The ШЭП from queue to queue: a worker of the product between a real broker and the simulated gateway."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
import pytest
import zeep
import zeep.exceptions
import zeep.xsd

from adapter.errors import Code
from adapter.xml.wssecurity import verify_document
from tests.integration.shep_house import DATA, ELEMENT, Shep, told

if TYPE_CHECKING:
    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures", "tests.integration.shep_fixtures")

OWN_PULL = {
    "service_id": "AsyncPull",
    "owner": "adapter",
    "mode": "async",
    "delivery": "PULL",
    "delivery_notifications": True,
    "users": ["adapter", "other"],
}


async def test_a_synchronous_call_is_answered_with_the_data_as_they_were(shep: Shep) -> None:
    body = {"request_info": {"service_id": "SyncEcho"}, "request_data": {"data": DATA}}
    reply = await shep.upstream.ask("shep.sync.send", body)
    assert reply["result"]["response_data"]["data"] == DATA
    alone = await shep.upstream.ask("shep.SyncEcho", {"content": ELEMENT})
    assert alone["result"]["response_data"]["data"] == DATA


@pytest.mark.parametrize("by", ["system", "official"])
async def test_data_signed_on_the_way_still_verify_after_it(shep: Shep, kz: KzEngine, by: str) -> None:
    body = {
        "request_info": {"service_id": "SyncEcho"},
        "request_data": {"data": {"content": "<doc><n>1</n></doc>"}},
        "sign_data": by,
    }
    reply = await shep.upstream.ask("shep.sync.send", body)
    (verdict,) = verify_document(reply["result"]["response_data"]["data"]["content"].encode(), kz)
    assert verdict.math


async def test_a_message_gets_its_receipt_its_answer_by_push_and_its_state(shep: Shep) -> None:
    body = {
        "message_info": {"service_id": "AsyncEcho", "message_type": "REQUEST"},
        "message_data": {"data": DATA},
    }
    async with shep.events("shep.message.received") as arrived:
        receipt = (await shep.upstream.ask("shep.async.send", body))["result"]
        assert set(receipt) == {"message_id", "correlation_id", "response_date", "session_id"}
        answer = await told(arrived)
    assert answer["correlation_id"] == receipt["correlation_id"]
    assert (answer["message_type"], answer["data"], answer["signature"]) == ("RESPONSE", DATA, "right")
    assert "password" not in orjson.dumps(answer).decode()
    state = await shep.upstream.ask("shep.async.status", {"message_id": receipt["message_id"]})
    assert state["result"]["message_state"] == "DELIVERED"


async def test_a_message_delivered_twice_is_one_event(shep: Shep) -> None:
    await shep.stand.scenario(operation="push.sendMessage", service_id="OwnAsync", twice=True)
    async with shep.events("shep.message.received") as arrived:
        for content in ("<first/>", "<second/>"):
            sent = {"sender_id": "other", "service_id": "OwnAsync", "data": {"form": "child", "content": content}}
            await shep.stand.post("/_sim/send", sent, 201)
        seen = [(await told(arrived))["data"]["content"] for _ in range(2)]
    assert seen == ["<first/>", "<second/>"]
    assert arrived.empty()


async def test_nothing_unsigned_or_spoilt_is_believed(shep: Shep) -> None:
    for switch in ("unsigned", "spoilt", "wrapped"):
        await shep.stand.scenario(operation="push.sendMessage", service_id="OwnAsync", **{switch: True})
    async with shep.events("shep.message.received") as arrived:
        sent = {"sender_id": "other", "service_id": "OwnAsync", "data": DATA}
        number = (await shep.stand.post("/_sim/send", sent, 201))["message_id"]
        assert (await told(arrived))["message_id"] == number
    (letter,) = await shep.stand.get("/_sim/messages?service_id=OwnAsync")
    assert letter["attempts"] == 4
    assert arrived.empty()


async def test_news_of_a_message_are_told(shep: Shep) -> None:
    body = {
        "message_info": {"service_id": "AsyncNotified", "message_type": "REQUEST"},
        "message_data": {"data": DATA},
    }
    async with shep.events("shep.status.changed") as arrived:
        receipt = (await shep.upstream.ask("shep.async.send", body))["result"]
        news = await told(arrived)
    assert (news["message_id"], news["message_state"]) == (receipt["message_id"], "DELIVERED")


async def test_a_synchronous_request_is_answered_by_a_command(shep: Shep) -> None:
    async with shep.events("shep.sync.requested") as arrived:
        asked = asyncio.create_task(
            shep.stand.post("/_sim/ask", {"sender_id": "other", "service_id": "OwnSync", "data": DATA}, 200)
        )
        request = await told(arrived)
        assert (request["service_id"], request["data"]) == ("OwnSync", DATA)
        command = {"message_id": request["message_id"], "data": {"content": "<yes/>"}}
        said = await shep.upstream.ask("shep.sync.answer", command)
        assert said == {"result": {"message_id": request["message_id"]}}
        answer = await asyncio.wait_for(asked, 15)
    assert answer["response_data"]["data"]["content"] == "<yes/>"
    again = await shep.upstream.ask("shep.sync.answer", command)
    assert again["error"]["error_code"] == Code.ALREADY_ANSWERED.wire


@pytest.mark.parametrize("shep", [0.3], indirect=True)
async def test_an_answer_that_comes_too_late_is_refused(shep: Shep) -> None:
    async with shep.events("shep.sync.requested") as arrived:
        asked = {"sender_id": "other", "service_id": "OwnSync", "data": DATA}
        refused = await shep.stand.post("/_sim/ask", asked, 502)
        request = await told(arrived)
    assert Code.EXPIRED.wire in refused["data"]
    command = {"message_id": request["message_id"], "data": {"content": "<yes/>"}}
    late = await shep.upstream.ask("shep.sync.answer", command)
    assert late["error"]["error_code"] == Code.TOO_LATE.wire


async def test_an_error_is_an_answer_too(shep: Shep) -> None:
    async with shep.events("shep.sync.requested") as arrived:
        asked = asyncio.create_task(
            shep.stand.post("/_sim/ask", {"sender_id": "other", "service_id": "OwnSync", "data": DATA}, 502)
        )
        request = await told(arrived)
        error = {"error_code": "NO_DATA", "error_message": "Сведений нет"}
        await shep.upstream.ask("shep.sync.answer", {"message_id": request["message_id"], "error": error})
        refused = await asyncio.wait_for(asked, 15)
    assert "NO_DATA" in refused["data"]


async def test_a_refusal_of_the_gateway_comes_with_its_details(shep: Shep) -> None:
    await shep.stand.scenario(operation="SendMessage", service_id="SyncEcho", fault="X-1", sub_error=True)
    body = {"request_info": {"service_id": "SyncEcho"}, "request_data": {"data": DATA}}
    error = (await shep.upstream.ask("shep.sync.send", body))["error"]
    assert error["error_code"] == "X-1"
    assert error["details"]["sub_error"]["error_code"]
    assert {"error_data", "error_date"} <= set(error["details"])


async def test_messages_are_fetched_and_their_delivery_is_told(shep: Shep) -> None:
    await shep.stand.post("/_sim/world", {"services": [OWN_PULL]}, 204)
    sent = {"sender_id": "other", "service_id": "AsyncPull", "data": DATA}
    number = (await shep.stand.post("/_sim/send", sent, 201))["message_id"]
    fetched = await shep.upstream.ask("shep.async.get-messages", {"service_id": "AsyncPull", "amount": 5})
    (message,) = fetched["result"]["messages"]
    assert message["message_info"]["message_id"] == number
    assert message["message_data"]["data"] == DATA
    taken = {"receive_status": "MESSAGE_ACCEPTED"}
    command = {"message_id": number, "service_id": "AsyncPull", "delivery_status": taken}
    assert (await shep.upstream.ask("shep.async.notify-delivery", command))["result"]["notification_id"]


async def test_bad_commands_hear_every_rule(shep: Shep) -> None:
    body = {"message_info": {"service_id": "Nobody", "message_type": "RESPONSE"}, "message_data": {}, "sender": {}}
    error = (await shep.upstream.ask("shep.async.send", body, message_id=str(uuid4())))["error"]
    assert error["error_code"] == Code.INVALID_COMMAND.wire
    paths = {fault["path"] for fault in error["fields"]}
    assert {"sender", "message_data.data", "message_info.correlation_id"} <= paths


async def test_clients_read_our_wsdls_and_call_by_them(shep: Shep) -> None:
    make: Any = zeep.Client
    xsd: Any = zeep.xsd

    def clients() -> tuple[Any, Any]:
        return make(f"{shep.door}/async?wsdl"), make(f"{shep.door}/sync?wsdl")

    def call(client: Any, service_id: str) -> Any:
        data = xsd.AnyObject(xsd.String(), "слово")
        info = {
            "messageId": "77",
            "correlationId": "7",
            "serviceId": service_id,
            "messageType": "REQUEST",
            "messageDate": "2026-11-20T10:11:12+05:00",
            "sender": {"senderId": "other", "password": "other-password"},
        }
        return client.service.sendMessage(request={"messageInfo": info, "messageData": {"data": data}})

    client, provider = await asyncio.to_thread(clients)
    assert provider.service.SendMessage is not None
    async with shep.events("shep.message.received") as arrived:
        answer = await asyncio.to_thread(call, client, "OwnOpen")
        assert (answer.messageId, answer.correlationId) == ("77", "7")
        event = await told(arrived)
        assert (event["message_id"], event["signature"], event["sender_id"]) == ("77", "none", "other")
        assert event["data"] == {"form": "text", "content": "слово"}
        with pytest.raises(zeep.exceptions.Fault):
            await asyncio.to_thread(call, client, "OwnAsync")
    assert arrived.empty()
    for rubbish in (b"<html/>", b"", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"):
        async with shep.stand.client.session.post(f"{shep.door}/async", data=rubbish) as response:
            assert response.status == 500
            assert b"faultcode" in await response.read()
