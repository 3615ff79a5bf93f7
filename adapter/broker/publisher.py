"""Publishing with confirms, mandatory, always with a timeout; a refused message is told apart from a dead broker."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import structlog
from aiormq.exceptions import DeliveryError, PublishError

from adapter.broker.connection import BROKER_ERRORS, Channel, Connection, close_quietly, closed, open_channel
from adapter.broker.transport import RawProperties, publish_frames

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

log = structlog.get_logger(__name__)


class Sent(Enum):
    """What became of one publish."""

    CONFIRMED = "confirmed"
    UNROUTABLE = "unroutable"
    """No queue takes it: parked until one does."""
    REFUSED = "refused"
    """The broker refuses this very message (over-size, nack), or it cannot be written as a frame: parked."""
    UNKNOWN = "unknown"
    """No confirm came: publish again under the same message_id."""


@dataclass(frozen=True, slots=True)
class Message:
    """One outgoing message; ``properties`` is a raw property section holding ``message_id``."""

    message_id: str
    exchange: str
    routing_key: str
    body: bytes
    properties: bytes


def _frames(channel: Channel, message: Message) -> bytes | None:
    """Return a message's frames, ``None`` when its names fit no frame."""
    try:
        return publish_frames(
            channel.number,
            message.exchange,
            message.routing_key,
            message.properties,
            message.body,
            channel.max_content_size,
        )
    except ValueError:
        return None


def _enrol(channel: Channel, message_id: str) -> asyncio.Future[Any]:
    """Note in aiormq's books that one more confirm is expected."""
    confirm: asyncio.Future[Any] = channel.create_future()
    channel.delivery_tag += 1
    channel.confirmations[channel.delivery_tag] = confirm
    channel.message_id_delivery_tag[message_id] = channel.delivery_tag
    return confirm


def _sent(confirm: asyncio.Future[Any]) -> Sent:
    """Read what became of one confirm."""
    if not confirm.done():
        confirm.cancel()
        return Sent.UNKNOWN
    if confirm.cancelled():
        return Sent.UNKNOWN
    match confirm.exception():
        case None:
            return Sent.CONFIRMED
        case PublishError():
            return Sent.UNROUTABLE
        case DeliveryError():
            return Sent.REFUSED
        case _:
            return Sent.UNKNOWN


class Publisher:
    """Publishes on one confirm channel of its connection; after a channel error, each on a channel of its own."""

    def __init__(self, *, timeout: float = 10.0) -> None:
        """``timeout`` bounds each confirm, in seconds."""
        self._timeout = timeout
        self._connection: Connection | None = None
        self._channel: Channel | None = None
        self._opening = asyncio.Lock()
        self.ready = asyncio.Event()

    async def run(self, connection: Connection, stopping: asyncio.Event) -> None:
        """Serve publishes on ``connection`` until ``stopping``; raises when the connection ends by itself."""
        self._connection = connection
        self._channel = await open_channel(connection, wait=self._timeout)
        self.ready.set()
        waits = {asyncio.create_task(stopping.wait()), asyncio.create_task(closed(connection))}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            self.ready.clear()
            self._connection = self._channel = None
        if not stopping.is_set():
            raise ConnectionResetError("the publishing connection ended")

    @property
    def open(self) -> bool:
        """Whether :meth:`begin` can write."""
        return self._channel is not None and not self._channel.is_closed and self.ready.is_set()

    def begin(self, messages: Sequence[Message]) -> Coroutine[Any, Any, list[Sent]]:
        """Write all at once; to be awaited for what became of each. Only while :attr:`open`."""
        assert self._channel is not None  # noqa: S101 — what ``open`` tells
        return self._outcome(self._channel, messages, *self._write(self._channel, messages))

    async def publish(self, messages: Sequence[Message]) -> list[Sent]:
        """Publish all, beside what others publish; the result at each place says what became of that message.

        Never raises. No two messages under way may share a message_id.
        """
        channel = await self._open_channel()
        if channel is None:
            return [Sent.UNKNOWN] * len(messages)
        return await self._outcome(channel, messages, *self._write(channel, messages))

    async def _open_channel(self) -> Channel | None:
        async with self._opening:
            if self._connection is None or self._connection.is_closed:
                return None
            if self._channel is None or self._channel.is_closed:
                try:
                    self._channel = await open_channel(self._connection, wait=self._timeout)
                except BROKER_ERRORS:
                    return None
            return self._channel

    def _write(
        self, channel: Channel, messages: Sequence[Message]
    ) -> tuple[list[Sent], dict[int, asyncio.Future[Any]]]:
        """Put a batch on the wire in one piece; return what is known of each already, and the confirms to come.

        A task per message would cost more than it. Uses aiormq's own books (tags, confirms, returns) so that its reader
        settles them.
        """
        results = [Sent.UNKNOWN] * len(messages)
        confirms: dict[int, asyncio.Future[Any]] = {}
        payload: list[bytes] = []
        connection = self._connection
        if connection is None or channel.is_closed:
            return results, confirms
        for index, message in enumerate(messages):
            frames = _frames(channel, message)
            if frames is None:
                results[index] = Sent.REFUSED
                continue
            payload.append(frames)
            confirms[index] = _enrol(channel, message.message_id)
        connection.write_now(b"".join(payload))
        return results, confirms

    async def _outcome(
        self,
        channel: Channel,
        messages: Sequence[Message],
        results: list[Sent],
        confirms: Mapping[int, asyncio.Future[Any]],
    ) -> list[Sent]:
        if confirms:
            await asyncio.wait(confirms.values(), timeout=self._timeout)
        for index, confirm in confirms.items():
            channel.message_id_delivery_tag.pop(messages[index].message_id, None)
            results[index] = _sent(confirm)
        if channel.is_closed:
            # One message closed the channel for everybody: find out which, alone.
            for index, result in enumerate(results):
                if result is Sent.UNKNOWN:
                    results[index] = await self._publish_alone(messages[index])
        return results

    async def _publish_alone(self, message: Message) -> Sent:
        """Publish on a channel of its own: who closes it is known."""
        connection = self._connection
        if connection is None or connection.is_closed:
            return Sent.UNKNOWN
        try:
            channel = await open_channel(connection, wait=self._timeout)
        except BROKER_ERRORS:
            return Sent.UNKNOWN
        try:
            result = await self._publish(channel, message)
            # A message that closed the channel it was alone on, told from one whose connection went away.
            if result is Sent.UNKNOWN and channel.is_closed and not connection.is_closed:
                return Sent.REFUSED
            return result
        finally:
            await close_quietly(channel, self._timeout)

    async def _publish(self, channel: Channel, message: Message) -> Sent:
        try:
            await channel.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=RawProperties(message.properties, message.message_id),
                mandatory=True,
                timeout=self._timeout,
                wait=False,
            )
        except PublishError:
            return Sent.UNROUTABLE
        except DeliveryError:
            return Sent.REFUSED
        except (ValueError, TypeError, struct.error) as error:
            # It cannot even be written as a frame: nothing has left, and nothing ever will.
            log.warning("publish cannot be encoded", error=type(error).__name__)
            return Sent.REFUSED
        except BROKER_ERRORS as error:
            log.warning("publish without a confirm", error=type(error).__name__)
            return Sent.UNKNOWN
        except asyncio.CancelledError:
            # aiormq reports a dying connection as CancelledError; ours has to pass.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Sent.UNKNOWN
        return Sent.CONFIRMED
