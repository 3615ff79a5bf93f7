"""The other side of the queue, for people: publish one command and wait for its reply, as an upstream system would."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import aio_pika
from aiormq.exceptions import PublishError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.broker.connection import BrokerAddress

#: Seconds for a publish whose reply nobody waits for.
_TELL: Final = 20.0
#: A queue that nobody consumes: what comes is gone after ten minutes, and never more than a thousand.
_FORGETFUL: Final[dict[str, Any]] = {"x-message-ttl": 600_000, "x-max-length": 1000}


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """A reply as it came: ``late`` tells that it follows an earlier one."""

    body: bytes
    message_id: str
    correlation_id: str
    late: bool


async def ask(
    address: BrokerAddress, queue: str, body: bytes, *, headers: Mapping[str, Any] | None = None, wait: float
) -> UpstreamReply:
    """Publish ``body`` to ``queue`` with a reply queue of our own and return the first reply within ``wait`` seconds.

    Raises TimeoutError when none came, and aio-pika's errors when the broker refuses.
    """
    async with asyncio.timeout(wait):
        async with await _reach(address) as connection:
            channel = await connection.channel(on_return_raises=True)
            replies = await channel.declare_queue(exclusive=True)
            arrived: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
            await replies.consume(arrived.put, no_ack=True)
            message_id = str(uuid4())
            message = aio_pika.Message(
                body,
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=message_id,
                correlation_id=message_id,
                reply_to=replies.name,
                headers=dict(headers or {}),
            )
            await channel.default_exchange.publish(message, queue, mandatory=True, timeout=10)
            reply = await arrived.get()
            return UpstreamReply(
                reply.body,
                reply.message_id or "",
                reply.correlation_id or "",
                bool(reply.headers.get("x-adapter-late")),
            )


async def tell(  # noqa: PLR0913  — what a message is made of
    address: BrokerAddress,
    queue: str,
    body: bytes,
    *,
    message_id: str,
    reply_to: str,
    headers: Mapping[str, Any] | None = None,
) -> bool:
    """Publish ``body`` to ``queue`` with a confirm and do not wait; false when there is no such queue.

    ``reply_to`` is a queue that keeps replies for minutes and is made where it is missing. Raises one of
    ``BROKER_ERRORS``.
    """
    async with asyncio.timeout(_TELL), await _reach(address) as connection:
        channel = await connection.channel(on_return_raises=True)
        await channel.declare_queue(reply_to, durable=True, arguments=_FORGETFUL)
        message = aio_pika.Message(
            body,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=message_id,
            correlation_id=message_id,
            reply_to=reply_to,
            headers=dict(headers or {}),
        )
        try:
            await channel.default_exchange.publish(message, queue, mandatory=True, timeout=10)
        except PublishError:
            return False
        return True


async def _reach(address: BrokerAddress) -> aio_pika.abc.AbstractConnection:
    """Connect to the first node that takes us. Raises what the last one raised."""
    *most, last = address.each()
    for node in most:
        with suppress(aio_pika.exceptions.AMQPException, OSError, TimeoutError):
            return await _connect(node)
    return await _connect(last)


async def _connect(node: BrokerAddress) -> aio_pika.abc.AbstractConnection:
    return await aio_pika.connect(node.url("adapter send"), ssl_context=node.context, timeout=node.timeout)
