"""A worker between queues and the ШЭП is killed: what was pushed is one event, what was sent is never sent again."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aio_pika
import aiohttp
import pytest

from adapter.faultpoints import VARIABLE
from bench.chaos.processes import PROJECT, Victim
from simulators.shep.keys import GATEWAY_BIN, OTHER_BIN, OWN_BIN, make_shep_keys
from tests.faults.conftest import ADAPTER, later
from tests.faults.test_broker_away import operator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.faults.conftest import Yard

SEND = "shep.async.send"
RECEIVED = "shep.message.received"
DATA = {"form": "child", "content": "<a/>"}
OURS = """
[[services]]
key = "OwnNotified"
system = "adapter"
name = "ТЕСТ Наш сервис"
mode = "Асинхронный"
delivery = "PUSH"
delivery_notifications = 1
"""


@dataclass
class Gateway:
    """The simulated gateway and the signing service as processes; its door is where a worker has to listen."""

    url: str
    environment: dict[str, str]

    async def call(self, path: str, body: Any = None) -> Any:
        async with aiohttp.ClientSession() as session:
            method = session.get if body is None else session.post
            async with method(f"{self.url}{path}", **({} if body is None else {"json": body})) as response:
                assert response.ok, await response.text()
                return await response.json() if "json" in response.content_type else None


@dataclass
class Upstream:
    """What came to the queues of an upstream system."""

    channel: aio_pika.abc.AbstractChannel
    prefix: str
    events: list[aio_pika.abc.AbstractIncomingMessage] = field(default_factory=list)
    replies: list[dict[str, Any]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def on_event(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with self.news:
            self.events.append(message)
            self.news.notify_all()

    async def on_reply(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with self.news:
            self.replies.append(json.loads(message.body))
            self.news.notify_all()

    async def heard(self, seconds: float = 60) -> None:
        async with asyncio.timeout(seconds), self.news:
            await self.news.wait_for(lambda: self.events)


@pytest.fixture
async def gateway(gost_keys: Path, tmp_path: Path) -> AsyncIterator[Gateway]:
    make_shep_keys(gost_keys)
    keys = ["--keys", str(gost_keys), "--port", "0"]
    sign = [sys.executable, "-m", "simulators.sign_service", *keys]
    shep = [sys.executable, "-m", "simulators.shep", *keys]
    services = tmp_path / "services.toml"
    sample = (PROJECT / "deploy/local/shep-services.toml").read_text(encoding="utf-8")
    services.write_text(sample + OURS, encoding="utf-8")
    async with Victim.running(sign, {}, '"ready"') as signing, Victim.running(shep, {}, '"ready"') as simulator:
        sign_url, url = [json.loads(await program.said('"ready"'))["url"] for program in (signing, simulator)]
        tokens = json.loads((gost_keys / "kz" / "tokens.json").read_text(encoding="utf-8"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            door = f"127.0.0.1:{probe.getsockname()[1]}"
        environment = {
            "SERVICES": "shep.async.*",
            "SIGN_SERVICE": sign_url,
            "SHEP_SERVICES_FILE": str(services),
            "SHEP_SYNC_URL": f"{url}/shep/sync",
            "SHEP_ASYNC_URL": f"{url}/shep/async",
            "SHEP_SENDER_ID": "adapter",
            "SHEP_PASSWORD": "adapter-password",
            "SHEP_BIN": OWN_BIN,
            "SHEP_GATEWAY_BIN": GATEWAY_BIN,
            "SHEP_SIGN_KEY": "shep-gost",
            "SHEP_SIGN_TOKEN": tokens["shep-gost"],
            "SHEP_SIGN_TOKEN_OFFICIAL": tokens["shep-official"],
            "SHEP_LISTEN": door,
            "SHEP_PUBLIC_URL": f"http://{door}",
        }
        found = Gateway(url, environment)
        both = ("adapter", "other")
        point = {"id": 7, "url": f"http://{door}/async", "repeat_delay": 0.2, "repeats": 1000, "max_errors": 1000}
        notified = {"service_id": "OwnNotified", "owner": "adapter", "mode": "async", "point": 7, "users": both}
        parties = [
            {"sender_id": "adapter", "password": "adapter-password", "bin": OWN_BIN, "point": 7},
            {"sender_id": "other", "password": "other-password", "bin": OTHER_BIN},
        ]
        services_there = [notified | {"delivery_notifications": True}]
        await found.call("/_sim/world", {"parties": parties, "points": [point], "services": services_there})
        yield found


@asynccontextmanager
async def upstream(yard: Yard) -> AsyncIterator[Upstream]:
    prefix = yard.environment["MQ_PREFIX"]
    quorum = {"x-queue-type": "quorum"}
    command = {
        **quorum,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"{prefix}adapter.returned",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-delivery-limit": 1_000_000,
    }
    async with operator(yard) as channel:
        found = Upstream(channel, prefix)
        replies = await channel.declare_queue(f"{prefix}answers", durable=True, arguments=quorum)
        events = await channel.declare_queue(f"{prefix}{RECEIVED}", durable=True, arguments=quorum)
        await channel.declare_queue(f"{prefix}{SEND}", durable=True, arguments=command)
        await replies.consume(found.on_reply, no_ack=True)
        await events.consume(found.on_event, no_ack=True)
        yield found


@pytest.mark.parametrize(
    "points",
    [
        # The push is durable and not answered; then its event is confirmed and the notification is not sent.
        ("journal", "publish"),
        later(("outbox",)),
        later(("intent",)),
        later(("call",)),
        later(("mark",)),
    ],
    ids="-".join,
)
async def test_a_pushed_message_is_one_event_and_the_gateway_hears_that_it_was_taken(
    yard: Yard, gateway: Gateway, points: tuple[str, ...]
) -> None:
    yard.environment |= gateway.environment
    async with upstream(yard) as system:
        sent = {"sender_id": "other", "service_id": "OwnNotified", "data": DATA}
        number = (await gateway.call("/_sim/send", sent))["message_id"]
        for point in points:
            async with yard.worker(ADAPTER, ready="", **{VARIABLE: point}) as victim:
                assert await victim.ended(60) == -signal.SIGKILL
            await yard.bury(victim)
        async with yard.worker(ADAPTER):
            await system.heard()
            await yard.eventually("select count(*) > 0 from exchanges where action = 'shep.notice'", seconds=60)
            await yard.quiet()
    assert {json.loads(event.body)["message_id"] for event in system.events} == {number}
    assert len({event.message_id for event in system.events}) == 1
    (letter,) = [one for one in await gateway.call("/_sim/messages") if one["message_id"] == number]
    assert letter["delivery_notification"]["receive_status"] == "MESSAGE_ACCEPTED"
    assert await yard.ask("select count(*) from exchanges where action = 'shep.notice'") == 1
    assert await yard.ask("select count(*) from exchanges where state <> 'replied'") == 0


@pytest.mark.parametrize(
    ("point", "outcome"),
    [
        # The bytes have left and the receipt is not durable; then it is, and nobody has been told.
        ("call", "ADAPTER-UNCERTAIN"),
        pytest.param("answer", "result", marks=pytest.mark.long),
    ],
)
async def test_an_answer_finds_its_command_whether_or_not_the_receipt_was_kept(
    yard: Yard, gateway: Gateway, point: str, outcome: str
) -> None:
    yard.environment |= gateway.environment
    body = {"message_info": {"service_id": "AsyncEcho", "message_type": "REQUEST"}, "message_data": {"data": DATA}}
    async with upstream(yard) as system:
        command = aio_pika.Message(
            json.dumps(body).encode(),
            message_id="order-1",
            correlation_id="case-1",
            reply_to=f"{system.prefix}answers",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await system.channel.default_exchange.publish(command, f"{system.prefix}{SEND}", timeout=10)
        async with yard.worker(ADAPTER, ready="", **{VARIABLE: point}) as victim:
            assert await victim.ended(60) == -signal.SIGKILL
        await yard.bury(victim)
        async with yard.worker(ADAPTER):
            await system.heard()
            await yard.eventually(
                "select not exists (select 1 from exchanges where state not in ('replied', 'uncertain'))", seconds=60
            )
    event, reply = json.loads(system.events[0].body), system.replies[0]
    assert (system.events[0].correlation_id, event["command"]["message_id"]) == ("case-1", "order-1")
    assert event.get("assumed", False) is (outcome == "ADAPTER-UNCERTAIN")
    assert reply.get("error", {}).get("error_code", "result") == outcome
    sent = [one for one in await gateway.call("/_sim/ledger") if one["operation"] == "sendMessage"]
    assert len(sent) == 1
