"""One channel per queue: deliveries are handed over in batches, acked once durable, and the ack is made certain.

An ack belongs to the channel object that delivered. After each batch's ack one ``basic.qos`` travels the same channel:
its answer proves that the broker has processed the ack (ARCHITECTURE, Rules of the broker room).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from adapter.broker.connection import BROKER_ERRORS, Channel, Connection, close_quietly, closed, open_channel
from adapter.faultpoints import reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiormq.abc import DeliveredMessage

    from adapter.broker.deliveries import Body, Sink

log = structlog.get_logger(__name__)

#: Seconds by which the ack of a few deliveries lets their commands go first: nobody waits for it, and it takes others
#: along. In a crowd the broker waits for acks before it hands over more.
_LULL: Final = 0.002
_FEW: Final = 4
#: Bytes of one batch that is handed over; one delivery always goes.
_HEAVY: Final = 8 * 2**20
#: Seconds after which a batch that is not durable is stuck; a call may take ten minutes.
_LONGEST_HANDING: Final = 1800.0
#: Patiences after which a silent consumer should have been replaced several times.
_PATIENCES: Final = 6


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as the broker handed it over; ``properties`` is the raw property section."""

    queue: str
    tag: int
    body: Body
    properties: bytes
    redelivered: bool
    session: str

    @property
    def weight(self) -> int:
        """Bytes of the body that stand in memory."""
        return len(self.body) if isinstance(self.body, bytes) else 0


class BatchSink(Protocol):
    """Where deliveries go; the pipeline's intake implements it."""

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Make the batch durable. Raises when that is impossible: nothing is acked and the channel is given up."""
        ...

    def settle(self, queue: str, session: str, tags: Sequence[int]) -> None:
        """Learn that the broker has processed the acks of these tags: it will not deliver them again."""
        ...


async def _pass_over(_: DeliveredMessage) -> None:
    """Take no delivery from the library: they come by :mod:`adapter.broker.deliveries`."""


class QueueConsumer:
    """Consumes one queue on one channel until the channel, the connection or the sink gives up."""

    def __init__(  # noqa: PLR0913 — bounds, all by name
        self,
        queue: str,
        sink: BatchSink,
        *,
        prefetch: int,
        max_body: int,
        timeout: float = 10.0,
        patience: float = 10.0,
    ) -> None:
        """``prefetch`` bounds unacked deliveries, ``max_body`` the bytes of a body that is kept.

        ``timeout`` bounds every exchange with the broker, in seconds. After ``patience`` seconds without a delivery the
        consumer is replaced by a fresh one.
        """
        self.queue = queue
        self._sink = sink
        self._prefetch = prefetch
        self._max_body = max_body
        self._timeout = timeout
        self._patience = patience
        self._arrived: list[Delivery] = []
        self._signal = asyncio.Event()
        self._ending = False
        #: Tags alone: what is durable is no longer held here.
        self._durable: list[int] = []
        self._acks = asyncio.Event()
        self._drained = False
        self.consuming = asyncio.Event()
        self.last_delivery = monotonic()
        #: Since when the batch in hand is being made durable, ``None`` without one.
        self._handing_since: float | None = None

    @property
    def stuck(self) -> bool:
        """Whether this consumer has stood still for longer than anything it waits for may take.

        A batch in hand waits for running exchanges, and these for calls that end in time. Without one the consumer is
        replaced after its patience, whatever the broker says.
        """
        if not self.consuming.is_set():
            return False
        if self._handing_since is not None:
            return monotonic() - self._handing_since > _LONGEST_HANDING
        return monotonic() - self.last_delivery > _PATIENCES * (self._patience + self._timeout)

    async def run(self, connection: Connection, session: str, stopping: asyncio.Event) -> None:
        """Consume until ``stopping``; then cancel, drain what has arrived, and return.

        Raises a broker error when the channel ends by itself, and whatever the sink raises.
        """
        try:
            for number in count():
                await self._consume(connection, f"{session}:{number}", stopping)
                if stopping.is_set():
                    return
        finally:
            self.consuming.clear()
            self._handing_since = None

    async def _consume(self, connection: Connection, session: str, stopping: asyncio.Event) -> None:
        """Consume on one channel until ``stopping``, or until nothing has come for a while.

        A consumer of a queue that was deleted and declared again stays registered and gets nothing, and nobody says so
        (LOCAL-SERVICES, "aio-pika 10: what was measured"). A silent one is therefore replaced: that costs four frames.
        """
        # A list of its own for each session: a late delivery of the channel before must not be acked on this one.
        self._arrived, self._durable = [], []
        self._ending = self._drained = False
        channel = await open_channel(connection, confirms=False, wait=self._timeout)
        try:
            await channel.basic_qos(prefetch_count=self._prefetch, timeout=self._timeout)
            connection.deliveries.open(channel.number, self._collector(session), self._max_body)
            consume = await channel.basic_consume(self.queue, _pass_over, timeout=self._timeout)
            self.consuming.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump())
                group.create_task(self._acknowledge(channel, session))
                await group.create_task(self._until_end(channel, stopping))
                await channel.basic_cancel(str(consume.consumer_tag), timeout=self._timeout)
                self._ending = True
                self._signal.set()
        finally:
            await close_quietly(channel, self._timeout)

    def _collector(self, session: str) -> Sink:
        arrived, signal, queue = self._arrived, self._signal, self.queue

        def collect(tag: int, redelivered: bool, properties: bytes, body: Body) -> None:  # noqa: FBT001 — a sink
            arrived.append(Delivery(queue, tag, body, properties, redelivered, session))
            self.last_delivery = monotonic()
            signal.set()

        return collect

    async def _until_end(self, channel: Channel, stopping: asyncio.Event) -> None:
        """Return on ``stopping`` or after a long silence; raise when the channel or its consumer ends first."""
        cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def note(_: object) -> None:
            if not cancelled.done():
                cancelled.set_result(None)

        channel.on_consumer_cancel_callbacks.add(note)
        waits: set[asyncio.Future[Any]] = {
            asyncio.create_task(stopping.wait()),
            asyncio.create_task(closed(channel)),
            cancelled,
        }
        self.last_delivery = monotonic()
        try:
            ended: set[asyncio.Future[Any]] = set()
            while not ended and (silence := monotonic() - self.last_delivery) < self._patience:
                ended, _ = await asyncio.wait(
                    waits, timeout=self._patience - silence, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            for wait in waits:
                wait.cancel()
        if ended and not stopping.is_set():
            raise ConnectionResetError(f"the broker ended the consumer of {self.queue}")

    async def _pump(self) -> None:
        """Hand over whatever arrived while the last batch was made durable."""
        while self._arrived or not self._ending:
            if not self._arrived:
                self._signal.clear()
                await self._signal.wait()
                continue
            tags = await self._hand_over(self._cut())
            self._durable += tags
            self._acks.set()
        self._drained = True
        self._acks.set()

    async def _hand_over(self, batch: list[Delivery]) -> list[int]:
        """Return the tags of a batch that is durable; its bodies are left to the exchanges."""
        self._handing_since = monotonic()
        await self._sink.accept(batch)
        self._handing_since = None
        return [delivery.tag for delivery in batch]

    def _cut(self) -> list[Delivery]:
        """Take what has arrived, of large bodies a few at a time: what is handed over stands in memory once more."""
        size, count = 0, 0
        for delivery in self._arrived:
            size += delivery.weight
            if count and size > _HEAVY:
                break
            count += 1
        batch = self._arrived[:count]
        del self._arrived[:count]
        return batch

    async def _acknowledge(self, channel: Channel, session: str) -> None:
        """Ack whatever became durable while the last ack was made certain; meanwhile more is handed over."""
        while self._durable or not self._drained:
            if not self._durable:
                self._acks.clear()
                await self._acks.wait()
                continue
            if not self._drained and len(self._durable) < _FEW:
                await asyncio.sleep(_LULL)
            tags, self._durable = self._durable, []
            await self._ack(channel, session, tags)

    async def _ack(self, channel: Channel, session: str, tags: list[int]) -> None:
        try:
            # The tags are a contiguous run of this channel's, and every earlier one is acked.
            await channel.basic_ack(tags[-1], multiple=True, wait=False)
            reach("ack")
            await channel.basic_qos(prefetch_count=self._prefetch, timeout=self._timeout)
        except BROKER_ERRORS:
            # The rows are durable; the broker will deliver them again and the journal will recognise them.
            log.warning("acks lost with their channel", queue=self.queue, count=len(tags))
            raise
        reach("barrier")
        self._sink.settle(self.queue, session, tags)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # The library waits by wait_for, which on Python 3.11 loses a cancellation that comes with the answer.
            raise asyncio.CancelledError
