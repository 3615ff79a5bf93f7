"""The outside of the queues: publishes a backlog with confirms, consumes the replies, keeps the time of each."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiormq

from adapter.broker.codec import read_properties
from adapter.broker.connection import Channel, Connection, open_channel
from adapter.broker.transport import TolerantTransportFactory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from _stand import Process, Stand

_QUORUM: Any = {"x-queue-type": "quorum"}
_AT_ONCE = 500
_WAIT = 30.0


class Outside:
    """An upstream system on a connection of its own, as light as Python allows."""

    def __init__(self, connection: Connection, channel: Channel, replies: Channel) -> None:
        """Publish on one channel, read replies on the other."""
        self._channel = channel
        self._replies = replies
        self._taken: list[tuple[float, bytes]] = []
        connection.deliveries.open(replies.number, self._take)
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
        connection = Connection(url, TolerantTransportFactory(context, timeout=_WAIT))
        await connection.connect()
        try:
            channels = [await open_channel(connection, confirms=confirms, wait=_WAIT) for confirms in (True, False)]
            yield cls(connection, *channels)
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
        await self._channel.basic_publish(
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
        return str((await self._replies.basic_consume(queue, _nothing, no_ack=True, timeout=_WAIT)).consumer_tag)

    async def forget(self, tag: str) -> None:
        """Take no more replies."""
        await self._replies.basic_cancel(tag, timeout=_WAIT)

    async def waiting(self, queue: str) -> int:
        """Return how many messages of a queue are not delivered yet."""
        return int((await self._channel.queue_declare(queue, passive=True, timeout=_WAIT)).message_count or 0)

    def expect(self, count: int, on_first: Callable[[], None] = lambda: None) -> None:
        """Wait for ``count`` replies from now on; ``on_first`` is called with the first."""
        self.arrived, self.surplus, self._taken = {}, 0, []
        self._wanted, self._on_first = count, on_first
        self._done.clear()

    async def finish(self, seconds: float, workers: Sequence[Process] = ()) -> None:
        """Return when every reply has come; raises RuntimeError with the last words of a worker that ended first."""
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._done.wait(), 1)
                if self._done.is_set():
                    self._count()
                if self._done.is_set():
                    return
                for worker in workers:
                    worker.must_live()

    def _count(self) -> None:
        """Read what was taken; replies that came twice make room for as many more."""
        for moment, properties in self._taken:
            name = (read_properties(properties).correlation_id or b"").decode()
            self.surplus += name in self.arrived
            self.arrived.setdefault(name, moment)
        self._taken = []
        if len(self.arrived) < self._wanted:
            self._done.clear()

    def _take(self, _tag: int, _redelivered: bool, properties: bytes, _body: object) -> None:  # noqa: FBT001 — a sink
        """Note the moment; everything else has time until the run is over."""
        self._taken.append((time.perf_counter(), properties))
        if len(self._taken) == 1 and not self.arrived:
            self._on_first()
        if len(self._taken) + len(self.arrived) >= self._wanted:
            self._done.set()


async def _nothing(_message: aiormq.abc.DeliveredMessage) -> None:
    """Take no delivery from the library."""
