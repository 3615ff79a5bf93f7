"""The provider's worker is killed between two durable steps: each request is one event, each answer is said once."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import aiohttp
import pytest

from adapter.faultpoints import VARIABLE
from tests.faults.conftest import ADAPTER, later
from tests.faults.test_broker_away import operator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.conftest import Contour, Yard

ANSWER = "smev3.request.answer"
REQUESTS = 6


class Upstream:
    """Answers every event once, as often as it comes, and keeps the books."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel, prefix: str, replies: str) -> None:
        """Publish to queues of ``prefix``, take replies from ``replies``."""
        self._channel = channel
        self._prefix = prefix
        self._replies = replies
        self.events: dict[str, set[str]] = {}
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.news = asyncio.Condition()

    async def on_event(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        request = json.loads(message.body)["message_id"]
        self.events.setdefault(request, set()).add(message.message_id or "")
        body = {"message_id": request, "rejections": [{"code": "NO_DATA", "description": "Нет"}]}
        answer = aio_pika.Message(
            json.dumps(body).encode(),
            # The same event is the same command, however often the broker brings it.
            message_id=f"answer-{request}",
            reply_to=self._replies,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._channel.default_exchange.publish(answer, f"{self._prefix}{ANSWER}", timeout=10)
        await message.ack()

    async def on_reply(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with self.news:
            self.outcomes[message.correlation_id or ""] = json.loads(message.body)
            self.news.notify_all()

    async def answered(self, count: int, seconds: float) -> None:
        async with asyncio.timeout(seconds), self.news:
            await self.news.wait_for(lambda: len(self.outcomes) >= count)


@asynccontextmanager
async def upstream(yard: Yard) -> AsyncIterator[Upstream]:
    prefix = yard.environment["MQ_PREFIX"]
    quorum = {"x-queue-type": "quorum"}
    async with operator(yard) as channel:
        replies = await channel.declare_queue(f"{prefix}answers", durable=True, arguments=quorum)
        events = await channel.declare_queue(f"{prefix}smev3.request.received", durable=True, arguments=quorum)
        # What an answer is published to has to be there before the first worker is.
        command = {
            **quorum,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"{prefix}adapter.returned",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-delivery-limit": 1_000_000,
        }
        await channel.declare_queue(f"{prefix}{ANSWER}", durable=True, arguments=command)
        found = Upstream(channel, prefix, replies.name)
        await replies.consume(found.on_reply, no_ack=True)
        await events.consume(found.on_event)
        yield found


async def put(contour: Contour, root: str) -> str:
    wanted = {"content": f'<k:{root} xmlns:k="urn:killed/1.0.0"/>', "recipient": "ov"}
    url = f"{contour.url}/_sim/incoming"
    async with aiohttp.ClientSession() as session, session.post(url, json=wanted) as response:
        assert response.status == 201, await response.text()
        made: str = (await response.json())["message_id"]
        return made


async def answers(contour: Contour, request: str) -> list[dict[str, Any]]:
    url = f"{contour.url}/_sim/answers?original={request}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        found: list[dict[str, Any]] = await response.json()
        return found


#: The second time each; acks and publishes gather, and there may be no second one.
POINTS = [
    *("journal:2", later("ack:1"), "intent:2", later("call:2")),
    *("answer:2", "outbox:2", later("publish:1"), later("mark:1")),
]


@pytest.mark.parametrize("point", POINTS)
async def test_each_request_is_one_event_and_each_answer_is_said_once(yard: Yard, contour: Contour, point: str) -> None:
    root = f"Asked{uuid4().hex[:8]}"
    yard.environment |= contour.environment | {
        "SERVICES": ANSWER,
        "SMEV_PROVIDES": f"urn:killed/1.0.0#{root}",
        "SMEV_NODE_ID": root,
    }
    async with upstream(yard) as system:
        requests = {await put(contour, root) for _ in range(REQUESTS)}
        async with yard.worker(ADAPTER, ready="", **{VARIABLE: point}) as victim:
            assert await victim.ended(60) == -signal.SIGKILL
        await yard.bury(victim)
        async with yard.worker(ADAPTER):
            await system.answered(REQUESTS, 60)
            await yard.quiet()
    assert set(system.events) == requests
    assert {len(ids) for ids in system.events.values()} == {1}
    assert {next(iter(outcome)) for outcome in system.outcomes.values()} == {"result"}
    for request in requests:
        assert [one["kind"] for one in await answers(contour, request)] == ["rejected"]
    assert await yard.ask("select count(*) from exchanges where action = 'smev3.request'") == REQUESTS
    assert await yard.ask("select count(*) from exchanges where state <> 'replied'") == 0
