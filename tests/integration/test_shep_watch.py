"""What the adapter watches at the ШЭП: its own pace, its delivery points, the way of what it sent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from adapter.errors import Code
from tests.integration.shep_house import DATA, Shep, at_work, request, second, told

pytest_plugins = ("tests.contract.shep_fixtures", "tests.integration.shep_fixtures")

IDS = {"message_id": "order-1", "correlation_id": "case-1"}


async def test_a_message_whose_state_nobody_tells_is_asked_for_until_it_is_delivered(shep: Shep) -> None:
    """The gateway does not answer the first question; two workers ask two questions in all."""
    await shep.stand.scenario(operation="getMessageStatus", bare_fault="Server")
    async with shep.messages("shep.status.changed") as arrived, at_work(shep.builder, second(shep)) as (_, books):
        receipt = (await shep.send("AsyncEcho", **IDS))["result"]
        message = await asyncio.wait_for(arrived.get(), 15)
        news = orjson.loads(message.body)
        assert (news["message_id"], news["message_state"]) == (receipt["message_id"], "DELIVERED")
        assert (message.correlation_id, news["command"]["message_id"]) == ("case-1", "order-1")
        await shep.eventually("select due_at is null from shep_followed")
        looks = [one.counts.get("shep-looks", 0) for one in (shep.books, books)]
        assert sum(one.counts.get("async.delivered", 0) for one in (shep.books, books)) == 1
    assert (sum(looks), arrived.empty()) == (2, True)


@pytest.mark.long
async def test_a_refusal_ends_the_following_and_is_told(shep: Shep) -> None:
    await shep.stand.scenario(operation="getMessageStatus", fault="NO-SUCH-MESSAGE")
    async with shep.events("shep.status.changed") as arrived:
        await shep.send("AsyncEcho", **IDS)
        news = await told(arrived)
    assert (news["error"]["error_code"], "message_state" in news) == ("NO-SUCH-MESSAGE", False)
    assert news["command"]["message_id"] == "order-1"
    await shep.eventually("select due_at is null from shep_followed")


async def test_a_message_whose_state_the_gateway_tells_is_not_asked_for(shep: Shep) -> None:
    async with shep.events("shep.status.changed") as arrived:
        await shep.send("AsyncNotified", **IDS)
        await told(arrived)
    await shep.eventually("select state = 'DELIVERED' and due_at is null from shep_followed where service_id <> ''")
    assert "getMessageStatus" not in [entry["operation"] for entry in await shep.stand.get("/_sim/ledger")]


async def test_a_late_delivery_is_said_once(shep: Shep) -> None:
    await shep.stand.scenario(operation="getMessageStatus", bare_fault="Server", times=3)
    await shep.send("AsyncEcho", **IDS)
    await shep.eventually("select true from shep_followed")
    await shep.look.execute("update shep_followed set sent_at = sent_at - interval '4 minutes'")
    await shep.eventually("select late and due_at is null from shep_followed")
    assert shep.books.counts["shep-delivery-late"] == 1


async def test_a_throttled_delivery_point_holds_our_own_sends_over_all_workers(shep: Shep) -> None:
    """Two in three seconds is what the registry declares of it."""
    async with at_work(shep.builder, second(shep)):
        for number in range(4):
            await shep.upstream.publish("shep.async.send", request("AsyncThrottled"), message_id=str(number))
        replies = [orjson.loads((await shep.upstream.reply()).body) for _ in range(4)]
    assert all("result" in reply for reply in replies)
    times = await shep.look.fetch("select at from proof where kind = 'answer' order by at")
    assert (times[2]["at"] - times[0]["at"]).total_seconds() > 2
    codes = await shep.look.fetch(
        "select distinct convert_from(meta, 'UTF8')::jsonb ->> 'code' as code from proof"
        " where kind = 'retry' and message_id is not null"
    )
    assert [row["code"] for row in codes] == [Code.THROTTLED.wire]


async def test_a_send_is_held_only_as_long_as_its_deadline_allows(shep: Shep) -> None:
    await shep.look.execute("insert into shep_sends select 9, now() + interval '1 hour' from generate_series(1, 2)")
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    reply = await shep.send("AsyncThrottled", message_id="late", headers={"x-deadline": soon})
    assert reply["error"]["error_code"] == Code.EXPIRED.wire
    assert await shep.stand.get("/_sim/messages?service_id=AsyncThrottled") == []


async def test_a_point_that_is_switched_off_is_foreseen_and_its_messages_are_fetched(shep: Shep) -> None:
    await shep.stand.scenario(operation="push.sendMessage", service_id="OwnAsync", unsigned=True, times=5)
    async with shep.events("shep.message.received") as arrived:
        number = await shep.arrive("OwnAsync")
        assert (await told(arrived))["message_id"] == number
        (point,) = [one for one in await shep.stand.get("/_sim/points") if one["id"] == 7]
        assert point["off"]
        counts = shep.books.counts
        assert (counts["shep-point-errors"], counts["shep-point-alarm"], counts["shep-point-off"]) == (5, 3, 1)
        await shep.stand.post("/_sim/points/7/on")
        await shep.eventually("select not bool_or(woken) from shep_pulls")
        assert arrived.empty()


async def test_a_synchronous_call_of_more_than_a_minute_is_said(shep: Shep, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"request_info": {"service_id": "SyncEcho"}, "request_data": {"data": DATA}}
    await shep.upstream.ask("shep.sync.send", body)
    assert "shep-sync-slow" not in shep.books.counts
    monkeypatch.setattr("adapter.gateways.shep.client.SYNC_IN_TIME", -1.0)
    await shep.upstream.ask("shep.sync.send", body)
    assert shep.books.counts["shep-sync-slow"] == 1
