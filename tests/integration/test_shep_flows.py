"""Chains of messages through the ШЭП: matched to their commands, answered late or early, notified of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from adapter.errors import Code
from tests.integration.shep_house import DATA, Shep, at_work, second, told

if TYPE_CHECKING:
    from adapter.exchange import Prepared, Sent

pytest_plugins = ("tests.contract.shep_fixtures", "tests.integration.shep_fixtures")

IDS = {"message_id": "order-1", "correlation_id": "case-1"}


async def notified(shep: Shep, number: str) -> dict[str, Any]:
    """Wait until the gateway has been told that a message was taken."""
    (letter,) = await shep.stand.until(
        "/_sim/messages",
        lambda letters: [one for one in letters if one["message_id"] == number and one["delivery_notification"]],
    )
    found: dict[str, Any] = letter["delivery_notification"]
    return found


async def calls(shep: Shep, operation: str) -> int:
    return sum(entry["operation"] == operation for entry in await shep.stand.get("/_sim/ledger"))


async def test_a_later_message_of_a_chain_bears_the_ids_of_its_command(shep: Shep) -> None:
    async with shep.messages("shep.message.received") as arrived:
        receipt = (await shep.send("AsyncEcho", **IDS))["result"]
        message = await asyncio.wait_for(arrived.get(), 15)
    event = orjson.loads(message.body)
    assert (message.correlation_id, event["command"]["message_id"]) == ("case-1", "order-1")
    assert (event["correlation_id"], event["message_type"]) == (receipt["correlation_id"], "RESPONSE")
    assert (event["data"], event["signature"]) == (DATA, "right")
    assert message.headers["x-adapter-seq"] == 2
    assert message.headers["x-adapter-command-id"] == event["command"]["id"]


async def test_a_chain_that_another_began_is_nobodys_command(shep: Shep) -> None:
    async with shep.events("shep.message.received") as arrived:
        number = await shep.arrive("OwnAsync")
        event = await told(arrived)
        update = {"message_type": "UPDATE", "correlation_id": event["correlation_id"]}
        later = await shep.arrive("OwnAsync", **update)
        second = await told(arrived)
    assert (event["message_id"], second["message_id"]) == (number, later)
    assert "command" not in event
    assert "command" not in second


async def test_the_registry_turns_the_receipt_into_an_event_and_the_answer_into_the_reply(shep: Shep) -> None:
    async with shep.messages("shep.message.sent") as sent, shep.events("shep.message.received") as arrived:
        reply = await shep.send("AsyncAnswered", **IDS)
        receipt = await asyncio.wait_for(sent.get(), 15)
        assert arrived.empty()
        news = orjson.loads(receipt.body)
        assert (receipt.correlation_id, news["command"]["message_id"]) == ("case-1", "order-1")
        assert (reply["result"]["data"], reply["result"]["message_type"]) == (DATA, "RESPONSE")
        assert reply["result"]["correlation_id"] == news["correlation_id"]
        more = {"message_type": "RESPONSE", "correlation_id": news["correlation_id"]}
        await shep.arrive("AsyncAnswered", **more)
        event = await told(arrived)
    assert event["command"]["message_id"] == "order-1"
    within = await shep.look.fetchval("select deadline - received_at from exchanges where action = 'shep.async.send'")
    assert within.days >= 1


async def test_an_answer_that_overtakes_its_receipt_waits_for_it(shep: Shep) -> None:
    gateway: Any = shep.registry.gateways["shep"]
    send = gateway.send

    async def slow(prepared: Prepared, **earlier: int) -> Sent:
        sent: Sent = await send(prepared, **earlier)
        await shep.eventually("select 1 from exchanges where action = 'shep.message' and state = 'retrying'")
        return sent

    gateway.send = slow
    async with shep.messages("shep.message.received") as arrived:
        await shep.send("AsyncEcho", **IDS)
        message = await asyncio.wait_for(arrived.get(), 15)
    assert message.correlation_id == "case-1"
    assert "assumed" not in orjson.loads(message.body)


async def test_an_answer_whose_receipt_was_lost_belongs_to_the_only_command_without_one(shep: Shep) -> None:
    await shep.stand.scenario(operation="sendMessage", service_id="AsyncAnswered", drop="after")
    async with shep.events("shep.message.received") as arrived:
        lost = await shep.send("AsyncAnswered", **IDS)
        assert lost["error"]["error_code"] == Code.UNCERTAIN.wire
        late = await shep.upstream.reply()
        assert arrived.empty()
    assert (late.headers["x-adapter-late"], late.correlation_id) == (True, "case-1")
    assert orjson.loads(late.body)["result"]["assumed"] is True


@pytest.mark.long
async def test_two_commands_without_receipts_leave_an_answer_to_nobody(shep: Shep) -> None:
    await shep.stand.post("/_sim/world", {"services": [silent("AsyncEcho")]}, 204)
    await shep.stand.scenario(operation="sendMessage", service_id="AsyncEcho", drop="after", times=2)
    for number in ("one", "two"):
        lost = await shep.send("AsyncEcho", message_id=number)
        assert lost["error"]["error_code"] == Code.UNCERTAIN.wire
    chain = (await shep.stand.get("/_sim/messages?service_id=AsyncEcho"))[0]["correlation_id"]
    async with shep.events("shep.message.received") as arrived:
        await shep.arrive("AsyncEcho", message_type="RESPONSE", correlation_id=chain)
        event = await told(arrived)
    assert "command" not in event


def silent(service_id: str) -> dict[str, Any]:
    both = ("adapter", "other")
    return {
        "service_id": service_id,
        "owner": "other",
        "mode": "async",
        "point": 1,
        "users": both,
        "answers": False,
    }


async def test_the_gateway_is_told_once_that_a_message_was_taken_after_its_event(shep: Shep) -> None:
    await shep.stand.scenario(operation="push.sendMessage", service_id="OwnNotified", twice=True)
    async with shep.events("shep.message.received") as arrived:
        number = await shep.arrive("OwnNotified")
        assert (await told(arrived))["message_id"] == number
    assert (await notified(shep, number))["receive_status"] == "MESSAGE_ACCEPTED"
    await shep.eventually("select state = 'replied' from exchanges where action = 'shep.notice'")
    assert await calls(shep, "sendDeliveryNotification") == 1
    times = await shep.look.fetchrow(
        "select (select max(o.sent_at) from outbox o where o.routing_key = 'shep.message.received') as told,"
        " (select min(p.at) from proof p join exchanges e on e.id = p.exchange_id"
        "  where e.action = 'shep.notice' and p.kind = 'request') as asked"
    )
    assert times["told"] < times["asked"]


@pytest.mark.long
async def test_a_notification_that_the_gateway_does_not_take_at_once_is_sent_again(shep: Shep) -> None:
    await shep.stand.scenario(operation="sendDeliveryNotification", bare_fault="Server", times=2)
    number = await shep.arrive("OwnNotified")
    assert (await notified(shep, number))["receive_status"] == "MESSAGE_ACCEPTED"
    assert await calls(shep, "sendDeliveryNotification") == 3


async def test_news_of_a_message_bear_the_ids_of_its_command(shep: Shep) -> None:
    async with shep.messages("shep.status.changed") as arrived:
        receipt = (await shep.send("AsyncNotified", **IDS))["result"]
        message = await asyncio.wait_for(arrived.get(), 15)
    news = orjson.loads(message.body)
    assert (news["message_id"], news["message_state"]) == (receipt["message_id"], "DELIVERED")
    assert (message.correlation_id, news["command"]["message_id"]) == ("case-1", "order-1")


async def test_waiting_messages_are_fetched_by_their_interval_each_once(shep: Shep) -> None:
    """The simulator gives a message again until its receiver has told that it was taken, which is late here."""
    await shep.stand.scenario(operation="sendDeliveryNotification", bare_fault="Server", times=2)
    async with shep.events("shep.message.received") as arrived, at_work(shep.builder, second(shep)):
        numbers = [await shep.arrive("OwnPull") for _ in range(3)]
        seen = [(await told(arrived))["message_id"] for _ in numbers]
        assert sorted(seen) == sorted(numbers)
        for number in numbers:
            assert (await notified(shep, number))["receive_status"] == "MESSAGE_ACCEPTED"
        fetched = await calls(shep, "getMessages")
        began = await shep.look.fetchval("select clock_timestamp()")
        await shep.stand.until(
            "/_sim/ledger", lambda ledger: sum(one["operation"] == "getMessages" for one in ledger) >= fetched + 2
        )
        took = await shep.look.fetchval("select extract(epoch from clock_timestamp() - $1)", began)
    assert took >= 1
    assert arrived.empty()
    assert await shep.look.fetchval("select count(*) from exchanges where action = 'shep.message'") == 3


@pytest.mark.long
async def test_a_fault_of_fetching_means_to_wait(shep: Shep) -> None:
    await shep.stand.scenario(operation="getMessages", service_id="OwnPull", fault="NOT-READY", times=2)
    number = await shep.arrive("OwnPull")
    async with shep.events("shep.message.received") as arrived:
        assert (await told(arrived))["message_id"] == number
    assert shep.books.counts["shep-pull-waits"] == 2


async def test_a_synchronous_request_is_answered_on_another_worker(shep: Shep) -> None:
    """A worker that takes no answers hears the gateway; the other one takes them and is not called."""
    elsewhere = second(shep) | {"SERVICES": "shep.async.status"}
    door = f"http://{elsewhere['SHEP_LISTEN']}/sync"
    await shep.stand.post("/_sim/world", {"points": [{"id": 8, "url": door, "security": 1}]}, 204)
    async with at_work(shep.builder, elsewhere) as (_, books), shep.events("shep.sync.requested") as arrived:
        asked = asyncio.create_task(
            shep.stand.post("/_sim/ask", {"sender_id": "other", "service_id": "OwnSync", "data": DATA}, 200)
        )
        question = await told(arrived)
        assert (books.counts["requests-new"], shep.books.counts.get("requests-new", 0)) == (1, 0)
        command = {"message_id": question["message_id"], "data": {"content": "<yes/>"}}
        assert "result" in await shep.upstream.ask("shep.sync.answer", command)
        answer = await asyncio.wait_for(asked, 15)
        again = await shep.upstream.ask("shep.sync.answer", command)
    assert answer["response_data"]["data"]["content"] == "<yes/>"
    assert again["error"]["error_code"] == Code.ALREADY_ANSWERED.wire
