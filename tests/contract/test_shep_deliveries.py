"""The simulated ШЭП: how messages reach their receivers, by PULL and by PUSH, on good days and bad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from adapter.gateways.shep.operations import (
    ASYNC_SEND,
    GET_MESSAGES,
    GET_STATUS,
    NOTIFY_DELIVERY,
)
from adapter.xml.wssecurity import UNSIGNED, verify_envelope
from tests.contract.shep_requests import DATA, clock, code_of, fetch, notification, sent, status
from tests.contract.shep_stand import NOW, OTHER, Stand, serving_participant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


pytest_plugins = ("tests.contract.shep_fixtures",)


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
    await stand.until("/_sim/messages", lambda found: [m["state"] for m in found] == ["DELIVERED"] * 2)
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
