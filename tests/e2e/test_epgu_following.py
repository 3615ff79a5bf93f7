"""Orders of ЕПГУ followed from queue to queue: what becomes of an application is told by events of its command."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aio_pika
import pytest

from adapter.gateways.epgu.follow_news import EVENTS, NEEDS_TOKEN, PROCESS_FAILED, STATUS_CHANGED
from tests.e2e.test_epgu_orders import PREFIX, application, ask, own, portal, side_door  # noqa: F401  — the same world

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import aiohttp

    from tests.e2e.conftest import Process, Stack, Talk

FOLLOWING = {
    "SERVICES": "epgu.order.submit,epgu.order.get,epgu.order.cancel",
    "EPGU_FOLLOW_FIRST": "0.1",
    "EPGU_FOLLOW_POLL": "0.2",
    "EPGU_FOLLOW_LONGEST": "1",
}


class News:
    """Events as they come, by the number of their order."""

    def __init__(self) -> None:
        """Nothing has come."""
        self.events: list[tuple[str, dict[str, Any], aio_pika.abc.AbstractIncomingMessage]] = []
        self._more = asyncio.Condition()

    async def take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with self._more:
            self.events.append((message.routing_key or "", json.loads(message.body), message))
            self._more.notify_all()

    def of(self, number: int) -> list[tuple[str, dict[str, Any], aio_pika.abc.AbstractIncomingMessage]]:
        return [event for event in self.events if event[1]["order_id"] == number]

    async def until(self, number: int, count: int) -> Sequence[tuple[str, dict[str, Any], Any]]:
        async with asyncio.timeout(30), self._more:
            await self._more.wait_for(lambda: len(self.of(number)) >= count)
        return self.of(number)


@pytest.fixture(scope="module")
def following(stack: Stack, own: dict[str, str]) -> Iterator[Process]:  # noqa: F811  — the fixture of that name
    """A worker that follows."""
    with stack.adapter(**own | FOLLOWING) as process:
        yield process


@pytest.fixture
async def news(following: Process, talk: Talk) -> News:
    """What is told from now on."""
    found = News()
    for name in EVENTS:
        queue = await talk.channel.get_queue(f"{PREFIX}{name}")
        await queue.consume(found.take, no_ack=True)
    return found


async def test_every_status_is_told_once_and_in_order_until_the_final_one(news: News, talk: Talk) -> None:
    message = aio_pika.Message(
        json.dumps(application("<a>${orderId}</a>")).encode(),
        message_id="visit-1",
        correlation_id="case-77",
        reply_to=talk.queue.name,
    )
    await talk.channel.default_exchange.publish(message, f"{PREFIX}epgu.order.submit", timeout=10)
    reply = await talk.reply()
    number = json.loads(reply.body)["result"]["order_id"]
    told = await news.until(number, 6)
    assert [(name, body["status_id"], body["final"]) for name, body, _ in told] == [
        (STATUS_CHANGED, status, status == 3) for status in (0, 17, 21, 2, 6, 3)
    ]
    assert told[3][1]["comment"] == "Сообщение доставлено"
    assert [event.headers["x-adapter-seq"] for _, _, event in told] == [2, 3, 4, 5, 6, 7]
    assert {event.correlation_id for _, _, event in told} == {"case-77"}
    command = {"action": "epgu.order.submit", "message_id": "visit-1", "correlation_id": "case-77"}
    assert [body["command"] for _, body, _ in told] == [
        {"id": reply.headers["x-adapter-command-id"], **command} for _ in told
    ]


async def plan(side_door: aiohttp.ClientSession, **effect: Any) -> None:  # noqa: F811  — the fixture of that name
    """Say what becomes of the next archive."""
    async with side_door.post("/_sim/scenario", json={"operation": "chunk", "times": 1, **effect}) as answer:
        assert answer.status == 201, await answer.text()


async def submitted(talk: Talk, **more: str) -> int:
    reply = await ask(talk, "epgu.order.submit", {**application("<a>${orderId}</a>"), **more})
    number: int = reply["result"]["order_id"]
    return number


async def test_an_application_that_fails_while_it_is_processed_is_told_with_advice(
    news: News,
    talk: Talk,
    side_door: aiohttp.ClientSession,  # noqa: F811  — the fixture of that name
) -> None:
    await plan(side_door, process=["FILES_VERIFICATION", "FILES_VERIFICATION_FAILED"])
    ((name, body, _),) = await news.until(await submitted(talk), 1)
    assert (name, body["code"], body["type"]) == (PROCESS_FAILED, "FILES_VERIFICATION_FAILED", "Финальный")
    assert body["recommendation"] == "Проверить подписи файлов и сертификат"


async def test_a_cancellation_that_was_accepted_shows_as_events(
    news: News,
    talk: Talk,
    side_door: aiohttp.ClientSession,  # noqa: F811  — the fixture of that name
) -> None:
    await plan(side_door, order_statuses=[{"status_id": 17}, {"status_id": 2, "cancel_allowed": True}])
    number = await submitted(talk)
    told = await news.until(number, 2)
    assert [body["cancel_allowed"] for _, body, _ in told[-1:]] == [True]
    before = len(told)
    asked = await ask(talk, "epgu.order.cancel", {"order_id": number})
    assert asked == {"result": {"order_id": number, "cancel_requested": True}}
    told = await news.until(number, before + 2)
    assert [(name, body["status_id"], body["final"]) for name, body, _ in told[before:]] == [
        (STATUS_CHANGED, 9, False),
        (STATUS_CHANGED, 10, True),
    ]
    assert {body["command"]["action"] for _, body, _ in told} == {"epgu.order.submit"}


async def test_an_order_whose_token_ended_is_told_of_once_and_goes_on_with_the_next_token(
    news: News,
    talk: Talk,
    side_door: aiohttp.ClientSession,  # noqa: F811  — the fixture of that name
) -> None:
    async def token(life: int) -> str:
        await side_door.post("/_sim/settings", json={"person_token_life": life})
        async with side_door.post("/_sim/persons", json={"client_id": "MNEMONIKA", "oid": "1000000201"}) as answer:
            said: dict[str, str] = await answer.json()
        return said["access_token"]

    async def show(status: int) -> None:
        said = {"order_ids": [number], "status_id": status}
        async with side_door.post("/_sim/orders/statuses", json=said) as answer:
            assert answer.status == 204

    await plan(side_door, order_statuses=[])
    number, shown = await submitted(talk, token=await token(2)), 0
    async with asyncio.timeout(30):
        while NEEDS_TOKEN not in [name for name, _, _ in news.of(number)]:
            await show(6)
            shown += 1
            await asyncio.sleep(0.2)
    await show(3)
    assert (await ask(talk, "epgu.order.get", {"order_id": number, "token": await token(600)}))["result"]["success"]
    told = await news.until(number, shown + 2)
    assert [body["status_id"] for name, body, _ in told if name == STATUS_CHANGED] == [6] * shown + [3]
    (lack,) = (body for name, body, _ in told if name == NEEDS_TOKEN)
    assert lack["code"] == "ADAPTER-TOKEN-REFUSED"
