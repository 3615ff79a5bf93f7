"""Orders of ЕПГУ followed from queue to queue: what becomes of an application is told by events of its command."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aio_pika
import pytest

from adapter.gateways.epgu.follow_news import EVENTS, STATUS_CHANGED
from tests.e2e.test_epgu_orders import KEY, META, PREFIX, application, ask, own, portal, side_door  # noqa: F401  — the same world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.e2e.conftest import Stack, Talk

FOLLOWING = {
    "SERVICES": "epgu.order.*",
    "EPGU_FOLLOW_FIRST": "0.1",
    "EPGU_FOLLOW_POLL": "0.2",
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


@pytest.fixture
async def news(stack: Stack, own: dict[str, str], talk: Talk) -> AsyncIterator[News]:  # noqa: F811  — the fixture of that name
    """A running follower, and what it tells."""
    found = News()
    with stack.adapter(**own | FOLLOWING):
        for name in EVENTS:
            queue = await talk.channel.get_queue(f"{PREFIX}{name}")
            await queue.consume(found.take, no_ack=True)
        yield found


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
