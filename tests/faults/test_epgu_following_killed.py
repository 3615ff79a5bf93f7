"""The follower of ЕПГУ is killed between a 200 and everything after it: no order is forgotten, no change told twice."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import aio_pika
import pytest

from adapter.faultpoints import VARIABLE
from bench.chaos.processes import Victim
from tests.faults.conftest import ADAPTER, later
from tests.faults.test_broker_away import operator
from tests.faults.test_postamat_killed import COMMAND_QUEUE, DURABLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.faults.conftest import Contour, Yard

SUBMIT, CHANGED = "epgu.order.submit", "epgu.order.status-changed"
META = {"service_code": "10000000113", "target_code": "-10000000113", "region": "36000000000"}
#: Every status that the simulator gives an order of this service.
STATUSES = [0, 17, 21, 2, 6, 3]
LET_GO = "update epgu_follower set lease_until = '-infinity'"


@pytest.fixture(scope="module")
async def portal(gost_keys: Path) -> AsyncIterator[str]:
    argv = [sys.executable, "-m", "simulators.epgu", "--keys", str(gost_keys), "--port", "0"]
    async with Victim.running([*argv, "--process-step", "0.1", "--status-step", "0.3"], {}, '"ready"') as simulator:
        yield json.loads(await simulator.said('"ready"'))["url"]


@pytest.fixture
def followed(yard: Yard, contour: Contour, portal: str, tmp_path: Path) -> Yard:
    yard.environment |= contour.environment | {
        "SERVICES": SUBMIT,
        "FILES_ROOT": str(tmp_path),
        "EPGU_URL": portal,
        "ESIA_URL": portal,
        "ESIA_API_KEYS": "head=11111111-1111-4111-8111-111111111111",
        "EPGU_FOLLOW_FIRST": "0.1",
        "EPGU_FOLLOW_POLL": "0.2",
    }
    return yard


class Upstream:
    """Sends one application and keeps what comes of it by message_id: a repeat of a message is the same one."""

    def __init__(self, yard: Yard, channel: aio_pika.abc.AbstractChannel) -> None:
        """Listen to nothing yet."""
        self._prefix = yard.environment["MQ_PREFIX"]
        self._channel = channel
        self._more = asyncio.Condition()
        self.replies: dict[str, dict[str, Any]] = {}
        self.events: dict[str, tuple[int, dict[str, Any]]] = {}

    async def submit(self) -> None:
        returned = {"x-dead-letter-routing-key": f"{self._prefix}adapter.returned"}
        queue = f"{self._prefix}{SUBMIT}"
        await self._channel.declare_queue(queue, durable=True, arguments=COMMAND_QUEUE | returned)
        for name, take in ((CHANGED, self._on_event), ("answers", self._on_reply)):
            declared = await self._channel.declare_queue(f"{self._prefix}{name}", durable=True, arguments=DURABLE)
            await declared.consume(take, no_ack=True)
        file = {"name": "req.xml", "content_base64": "PGE+JHtvcmRlcklkfTwvYT4="}
        message = aio_pika.Message(
            json.dumps({**META, "files": [file], "substitute": ["req.xml"]}).encode(),
            message_id="application",
            reply_to=f"{self._prefix}answers",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._channel.default_exchange.publish(message, queue, timeout=10)

    async def _on_reply(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with self._more:
            self.replies[message.message_id or ""] = json.loads(message.body)
            self._more.notify_all()

    async def _on_event(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        sequence = message.headers["x-adapter-seq"]
        assert isinstance(sequence, int)
        async with self._more:
            self.events[message.message_id or ""] = (sequence, json.loads(message.body))
            self._more.notify_all()

    async def until_the_end(self) -> None:
        async with asyncio.timeout(60), self._more:
            await self._more.wait_for(lambda: any(body["final"] for _, body in self.events.values()))

    def assert_each_was_told_once(self) -> None:
        (reply,) = self.replies.values()
        told = sorted(self.events.values(), key=lambda event: event[0])
        assert [sequence for sequence, _ in told] == list(range(2, len(STATUSES) + 2))
        assert [body["status_id"] for _, body in told] == STATUSES
        assert {body["order_id"] for _, body in told} == {reply["result"]["order_id"]}
        assert {body["command"]["message_id"] for _, body in told} == {"application"}


@pytest.mark.parametrize(
    "points",
    [
        # Of the upload's answer, of the reply, of the first news.
        ("call:2", "outbox:1", "outbox:1"),
        later(("answer:2", "outbox:1", "outbox:1", "publish:1")),
        later(("mark:1", "outbox:1", "publish:1", "mark:1")),
    ],
    ids="-".join,
)
async def test_every_change_is_told_once_though_the_worker_is_killed_at_these_points(
    followed: Yard, points: tuple[str, ...]
) -> None:
    async with operator(followed) as channel:
        upstream = Upstream(followed, channel)
        await upstream.submit()
        for point in points:
            async with followed.worker(ADAPTER, ready="", **{VARIABLE: point}) as victim:
                assert await victim.ended(60) == -signal.SIGKILL
            await followed.bury(victim)
            await followed.ask(LET_GO)
        async with followed.worker(ADAPTER):
            await upstream.until_the_end()
            await followed.quiet()
    upstream.assert_each_was_told_once()


@pytest.mark.long
async def test_a_worker_killed_inside_the_transaction_of_news_has_told_nothing(followed: Yard) -> None:
    async with operator(followed) as channel:
        upstream = Upstream(followed, channel)
        await upstream.submit()
        async with followed.worker(ADAPTER) as victim:
            await followed.eventually("select cardinality(told) > 0 from epgu_followed")
            hand = await followed.connect()
            try:
                # The order's row is written; the event's, in the same transaction, has to wait for this hand.
                await hand.execute("begin")
                await hand.execute("lock table outbox in share mode")
                told = await followed.ask("select cardinality(told) from epgu_followed")
                await followed.eventually(
                    "select exists (select 1 from pg_locks l join pg_class c on c.oid = l.relation"
                    " where c.relname = 'outbox' and l.mode = 'RowExclusiveLock' and not l.granted)"
                )
                await followed.kill(victim)
            finally:
                await hand.close()
            assert await followed.ask("select cardinality(told) from epgu_followed") == told
        await followed.ask(LET_GO)
        async with followed.worker(ADAPTER):
            await upstream.until_the_end()
            await followed.quiet()
    upstream.assert_each_was_told_once()
