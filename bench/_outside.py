"""The outside of the queues: publishes a backlog with confirms, consumes the replies, keeps the time of each."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiormq

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from _stand import Process, Stand

_QUORUM: Any = {"x-queue-type": "quorum"}
_AT_ONCE = 500
_WAIT = 30.0


class Outside:
    """An upstream system on a connection of its own, as light as Python allows."""

    def __init__(self, channel: aiormq.abc.AbstractChannel, replies: aiormq.abc.AbstractChannel) -> None:
        """Publish on one channel, read replies on the other."""
        self._channel = channel
        self._replies = replies
        #: Correlation id to the moment (``time.perf_counter``) of its first reply.
        self.arrived: dict[str, float] = {}
        self.surplus = 0
        self._wanted = 0
        self._done = asyncio.Event()
        self._on_first: Callable[[], None] = lambda: None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, stand: Stand) -> AsyncIterator[Outside]:
        """Connect with a certificate."""
        variables = stand.broker_environment()
        context = ssl.create_default_context(cafile=variables["CA_CERT"])
        context.load_cert_chain(variables["CLIENT_CERT"], variables["CLIENT_KEY"])
        url = f"amqps://{variables['MQ_HOST']}:{variables['MQ_PORT']}/?auth=external&name=bench"
        connection = aiormq.Connection(url, context=context)
        await connection.connect()
        try:
            yield cls(await connection.channel(), await connection.channel(publisher_confirms=False))
        finally:
            await connection.close()

    async def declare(self, queue: str, arguments: dict[str, Any] | None = None) -> None:
        """Declare a durable quorum queue."""
        await self._channel.queue_declare(queue, durable=True, arguments=_QUORUM | (arguments or {}), timeout=_WAIT)

    async def delete(self, *queues: str) -> None:
        """Delete queues."""
        for queue in queues:
            await self._channel.queue_delete(queue, timeout=_WAIT)

    async def publish(self, queue: str, reply_to: str, body: bytes, name: str | None = None) -> str:
        """Publish one persistent command and return its id once the broker has confirmed it."""
        name = name or str(uuid4())
        channel = self._channel
        assert isinstance(channel, aiormq.Channel)  # noqa: S101 — narrows aiormq's abstract type
        await channel.basic_publish(
            body,
            routing_key=queue,
            properties=aiormq.spec.Basic.Properties(
                delivery_mode=2, message_id=name, correlation_id=name, reply_to=reply_to
            ),
            timeout=_WAIT,
            wait=False,
        )
        return name

    async def backlog(self, queue: str, reply_to: str, body: bytes, count: int) -> None:
        """Publish ``count`` commands."""
        for start in range(0, count, _AT_ONCE):
            most = min(_AT_ONCE, count - start)
            await asyncio.gather(*(self.publish(queue, reply_to, body) for _ in range(most)))

    async def listen(self, queue: str) -> str:
        """Take replies from now on; returns the consumer's tag."""
        return str((await self._replies.basic_consume(queue, self._take, no_ack=True, timeout=_WAIT)).consumer_tag)

    async def forget(self, tag: str) -> None:
        """Take no more replies."""
        await self._replies.basic_cancel(tag, timeout=_WAIT)

    async def waiting(self, queue: str) -> int:
        """Return how many messages of a queue are not delivered yet."""
        return int((await self._channel.queue_declare(queue, passive=True, timeout=_WAIT)).message_count or 0)

    def expect(self, count: int, on_first: Callable[[], None] = lambda: None) -> None:
        """Wait for ``count`` replies from now on; ``on_first`` is called with the first."""
        self.arrived, self.surplus = {}, 0
        self._wanted, self._on_first = count, on_first
        self._done.clear()

    async def finish(self, seconds: float, workers: Sequence[Process] = ()) -> None:
        """Return when every reply has come; raises RuntimeError with the last words of a worker that ended first."""
        async with asyncio.timeout(seconds):
            while not self._done.is_set():
                for worker in workers:
                    worker.must_live()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._done.wait(), 1)

    async def _take(self, message: aiormq.abc.DeliveredMessage) -> None:
        name = message.header.properties.correlation_id or ""
        if name in self.arrived:
            self.surplus += 1
            return
        self.arrived[name] = time.perf_counter()
        if len(self.arrived) == 1:
            self._on_first()
        if len(self.arrived) == self._wanted:
            self._done.set()
