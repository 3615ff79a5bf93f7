"""The worker is killed at each step of a conversation: each message is one event, one answer, one line."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import aiohttp
import pytest

from adapter.faultpoints import VARIABLE
from tests.faults.conftest import ADAPTER, later
from tests.faults.test_broker_away import operator

if TYPE_CHECKING:
    from tests.faults.conftest import Contour, Yard

EVENTS = ("epgu.order.received", "epgu.message.received")
ACTIONS = ("epgu.order.answer", "epgu.order.set-status", "epgu.message.send")
QUORUM = {"x-queue-type": "quorum"}


class Citizen:
    """The simulated account of one citizen."""

    def __init__(self, contour: Contour) -> None:
        """Nothing is ordered yet."""
        self._url = f"{contour.url}/_sim"
        self.order = 0

    async def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        async with aiohttp.ClientSession() as session:
            if body is None:
                async with session.get(self._url + path) as answer:
                    return await answer.json()
            async with session.post(self._url + path, json=body) as answer:
                assert answer.status == 201, await answer.text()
                return await answer.json()

    async def view(self) -> dict[str, Any]:
        seen: dict[str, Any] = await self.ask(f"/account/orders/{self.order}")
        return seen

    async def shows(self, status: str) -> None:
        """Wait until a status is there: a confirmation may have to be asked for once more."""
        async with asyncio.timeout(20):
            while (await self.view())["status"] != status:  # noqa: ASYNC110 — the account gives no signal
                await asyncio.sleep(0.05)

    async def answers(self, message_id: str) -> list[str]:
        return [one["kind"] for one in await self.ask(f"/answers?original={message_id}")]


class Agency:
    """The agency's own system: publishes commands, keeps every event by its message_id."""

    def __init__(self, yard: Yard, channel: aio_pika.abc.AbstractChannel) -> None:
        """Listen to nothing yet."""
        self._prefix = yard.environment["MQ_PREFIX"]
        self._channel = channel
        self.events: dict[str, dict[str, Any]] = {}
        self.replies: dict[str, dict[str, Any]] = {}

    async def listen(self) -> None:
        command = {
            **QUORUM,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"{self._prefix}adapter.returned",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-delivery-limit": 1_000_000,
        }
        for action in ACTIONS:
            await self._channel.declare_queue(f"{self._prefix}{action}", durable=True, arguments=command)
        for name in EVENTS:
            queue = await self._channel.declare_queue(f"{self._prefix}{name}", durable=True, arguments=QUORUM)
            await queue.consume(self._on_event, no_ack=True)
        answers = await self._channel.declare_queue(f"{self._prefix}answers", durable=True, arguments=QUORUM)
        await answers.consume(self._on_reply, no_ack=True)

    async def say(self, action: str, **body: Any) -> None:
        message = aio_pika.Message(
            json.dumps(body).encode(),
            message_id=action,
            reply_to=f"{self._prefix}answers",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._channel.default_exchange.publish(message, f"{self._prefix}{action}", timeout=10)

    async def _on_event(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.events[message.message_id or ""] = json.loads(message.body) | {"name": message.routing_key}

    async def _on_reply(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.replies[message.correlation_id or ""] = json.loads(message.body)


async def survive(yard: Yard, point: str, citizen: Citizen, status: str) -> None:
    """Let a worker die at a point, and the next one finish what is there."""
    async with yard.worker(ADAPTER, ready="", **{VARIABLE: f"{point}:1"}) as victim:
        assert await victim.ended(60) == -signal.SIGKILL
    await yard.bury(victim)
    async with yard.worker(ADAPTER):
        await citizen.shows(status)
        await yard.quiet()


@pytest.mark.parametrize(
    "points",
    [
        ("journal", "intent", "intent", "call"),
        later(("outbox", "call", "call", "answer")),
        later(("publish", "answer", "answer", "outbox")),
        later(("mark", "outbox", "outbox", "publish")),
        later(("journal", "ack", "publish", "mark")),
    ],
    ids="-".join,
)
async def test_a_conversation_survives_a_kill_at_each_step(
    yard: Yard, contour: Contour, points: tuple[str, str, str, str]
) -> None:
    root = f"Form{uuid4().hex[:8]}"
    yard.environment |= contour.environment | {
        "SERVICES": ",".join(ACTIONS),
        "EPGU_ORDER_TYPES": json.dumps([{"namespace": "urn:visit/1.0.0", "request_root": root}]),
        "SMEV_NODE_ID": root,
        "USE_PERSONAL_SIGNATURE": "false",
    }
    citizen = Citizen(contour)
    async with operator(yard) as channel:
        agency = Agency(yard, channel)
        await agency.listen()
        made = await citizen.ask("/account/orders", {"namespace": "urn:visit/1.0.0", "root": root})
        citizen.order = made["order_id"]
        await survive(yard, points[0], citizen, "2")
        await agency.say("epgu.order.set-status", order_id=citizen.order, tech_code=6, send_message_allowed=True)
        await survive(yard, points[1], citizen, "6")
        written = (await citizen.ask(f"/account/orders/{citizen.order}/messages", {"text": "Когда?"}))["message_id"]
        await survive(yard, points[2], citizen, "6")
        await agency.say("epgu.message.send", order_id=citizen.order, text="Завтра")
        await survive(yard, points[3], citizen, "6")
        async with asyncio.timeout(20):
            while len(agency.events) < 2 or len(agency.replies) < 2:  # noqa: ASYNC110 — the broker's consumers tell
                await asyncio.sleep(0.02)
    view = await citizen.view()
    assert [status["code"] for status in view["statuses"]] == ["21", "2", "6"]
    assert [message["text"] for message in view["messages"]] == ["Когда?", "Завтра"]
    told = sorted(
        (event["name"].removeprefix(yard.environment["MQ_PREFIX"]), event["message_id"])
        for event in agency.events.values()
    )
    assert told == [("epgu.message.received", written), ("epgu.order.received", made["message_id"])]
    assert await citizen.answers(written) == ["content"]
    assert await citizen.answers(made["message_id"]) == []
    assert agency.replies == {
        action: {"result": {"order_id": citizen.order, "code": 0}}
        for action in ("epgu.order.set-status", "epgu.message.send")
    }
    assert await yard.ask("select count(*) from exchanges where action = 'epgu.order.request'") == 2
    assert await yard.ask("select count(*) from exchanges where state <> 'replied'") == 0
