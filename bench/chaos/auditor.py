"""An upstream system that keeps books: publishes with confirms, reads replies with acks, survives a dead broker."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
from aio_pika.exceptions import AMQPException
from pamqp import commands

from bench.chaos.books import Books, Reply

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

#: What a broker that goes away raises on its clients.
_AWAY: tuple[type[Exception], ...] = (AMQPException, OSError, TimeoutError, RuntimeError, asyncio.InvalidStateError)
_TIMEOUT = 10.0
_PAUSE = 0.3


@contextmanager
def surviving() -> Iterator[None]:
    """Go on after a broker that went away; aiormq may report its end as CancelledError, ours has to pass."""
    try:
        yield
    except _AWAY:
        return
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise


class Unnamed(commands.Basic.Properties):
    """Properties without a message_id on the wire; aiormq gives every message one, for its own pairing."""

    def marshal(self) -> bytes:
        """Return the property section without it."""
        name, self.message_id = self.message_id, None
        try:
            return bytes(super().marshal())
        finally:
            self.message_id = name


class Auditor:
    """Publishes commands to ``command_queue`` and reads everything that comes back to a durable queue of its own."""

    def __init__(self, url: str | Sequence[str], context: ssl.SSLContext, command_queue: str) -> None:
        """``url`` is the broker's AMQP URL, or those of its nodes; ``context`` is the upstream system's own TLS."""
        self._urls = [url] if isinstance(url, str) else list(url)
        self._context = context
        self._command_queue = command_queue
        self.reply_queue = f"audit.{uuid4().hex}"
        self.books = Books()
        self._news = asyncio.Condition()
        self._listening = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str | Sequence[str], context: ssl.SSLContext, command_queue: str
    ) -> AsyncIterator[Auditor]:
        """Read replies for the length of a block; the reply queue ends with it."""
        auditor = cls(url, context, command_queue)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(auditor._read())
            await asyncio.wait_for(auditor._listening.wait(), 30)
            try:
                yield auditor
            finally:
                reading.cancel()
                await auditor._remove_queue()

    async def publish(self, commands: Iterable[tuple[str, bytes]], *, most: int = 50, **properties: Any) -> None:
        """Publish (message_id, body) pairs until each is confirmed, ``most`` at once.

        What ended without a confirm goes out again under the same message_id, as an upstream system would do it.
        """
        waiting = list(commands)
        while waiting:
            with surviving():
                async with await self._connect("audit publisher") as connection:
                    channel = await connection.channel(on_return_raises=True)
                    while waiting:
                        waiting = await self._publish_batch(channel, waiting, most, properties)
            if waiting:
                await asyncio.sleep(_PAUSE)

    async def _publish_batch(
        self, channel: aio_pika.abc.AbstractChannel, waiting: list[tuple[str, bytes]], most: int, properties: Any
    ) -> list[tuple[str, bytes]]:
        """Publish the first ``most`` and return what is still to be published. Raises when none was confirmed."""
        batch = waiting[:most]
        attempts = (self._publish(channel, *command, properties) for command in batch)
        results = await asyncio.gather(*attempts, return_exceptions=True)
        failed = [command for command, result in zip(batch, results, strict=True) if result is not None]
        self.books.confirmed |= {name for name, _ in batch} - {name for name, _ in failed}
        if len(failed) == len(batch):
            raise next(result for result in results if result is not None)
        return failed + waiting[most:]

    async def answered(self, seconds: float) -> None:
        """Wait until every confirmed command has a reply. Raises TimeoutError with the number still missing."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(self._complete)
        except TimeoutError:
            missing = len(self.books.missing())
            raise TimeoutError(f"{missing} of {len(self.books.confirmed)} commands have no reply") from None

    def _complete(self) -> bool:
        """Tell whether nothing is missing; the costly comparison is made only when the numbers allow it."""
        return len(self.books.replies) >= len(self.books.confirmed) and not self.books.missing()

    async def progressed(self, replies: int, seconds: float) -> None:
        """Wait until ``replies`` commands have been answered."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: len(self.books.replies) >= replies)

    async def caught_up(self, seconds: float = 30) -> None:
        """Read everything that is already in the reply queue: a marker of our own is the last in it."""
        marker = f"marker-{uuid4()}"
        async with asyncio.timeout(seconds), await self._connect("audit marker") as connection:
            channel = await connection.channel(on_return_raises=True)
            message = aio_pika.Message(b"{}", message_id=marker, correlation_id=marker)
            await channel.default_exchange.publish(message, self.reply_queue, mandatory=True, timeout=_TIMEOUT)
            async with self._news:
                await self._news.wait_for(lambda: marker in self.books.replies)
        del self.books.replies[marker]

    async def _publish(
        self, channel: aio_pika.abc.AbstractChannel, message_id: str, body: bytes, properties: dict[str, Any]
    ) -> None:
        values = {"message_id": message_id, "correlation_id": message_id, "reply_to": self.reply_queue} | properties
        values["delivery_mode"] = aio_pika.DeliveryMode.PERSISTENT
        make = commands.Basic.Properties if values["message_id"] else Unnamed
        underlay = await channel.get_underlay_channel()
        try:
            await underlay.basic_publish(
                body, routing_key=self._command_queue, properties=make(**values), mandatory=True, timeout=_TIMEOUT
            )
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise ConnectionResetError("the connection ended under a publish") from None

    async def _read(self) -> None:
        while True:
            with surviving():
                async with await self._connect("audit reader") as connection:
                    channel = await connection.channel()
                    await channel.set_qos(prefetch_count=500)
                    queue = await channel.declare_queue(
                        self.reply_queue, durable=True, arguments={"x-queue-type": "quorum"}, timeout=_TIMEOUT
                    )
                    await queue.consume(self._take, timeout=_TIMEOUT)
                    self._listening.set()
                    # aio-pika's own closed() tells of our closing alone; the transport below knows its end.
                    await asyncio.wait([asyncio.ensure_future((await channel.get_underlay_channel()).closing)])
            await asyncio.sleep(_PAUSE)

    async def _take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        reply = Reply(message.message_id or "", message.body, bool(message.headers.get("x-adapter-late")))
        known = self.books.replies[message.correlation_id or ""]
        # What the broker delivers to us again because our own ack was lost is no repeat of the adapter's.
        if not (message.redelivered and reply in known):
            known.append(reply)
        with surviving():
            await message.ack()
        async with self._news:
            self._news.notify_all()

    async def _connect(self, name: str) -> aio_pika.abc.AbstractConnection:
        """Connect to the first node that takes us; raises what the last one raised."""
        *most, last = [f"{url}&name={name.replace(' ', '+')}" for url in self._urls]
        for url in most:
            with surviving():
                return await aio_pika.connect(url, ssl_context=self._context, timeout=_TIMEOUT)
        return await aio_pika.connect(last, ssl_context=self._context, timeout=_TIMEOUT)

    async def _remove_queue(self) -> None:
        with surviving():
            async with asyncio.timeout(_TIMEOUT), await self._connect("audit end") as connection:
                channel = await connection.channel()
                await channel.queue_delete(self.reply_queue)
