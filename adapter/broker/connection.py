"""Plain (not robust) connections: a dead one is replaced by its owner, never revived behind the owner's back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiormq.channel import Channel
from aiormq.connection import Connection
from aiormq.exceptions import AMQPError

from adapter.broker.transport import TolerantTransportFactory

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from adapter.settings import Broker

__all__ = [
    "BROKER_ERRORS",
    "BrokerAddress",
    "Channel",
    "Connection",
    "close_quietly",
    "closed",
    "connect",
    "open_channel",
]

#: What a broken connection, channel or socket raises; anything else is a defect of ours.
BROKER_ERRORS: tuple[type[Exception], ...] = (AMQPError, OSError, TimeoutError, asyncio.InvalidStateError, RuntimeError)


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where RabbitMQ is and how to log in; ``user`` is ``None`` for login by certificate (SASL EXTERNAL).

    ``context`` is ``None`` for a plain connection. ``heartbeat`` and ``timeout`` are in seconds.
    """

    host: str
    port: int
    vhost: str = "/"
    user: str | None = None
    password: str | None = None
    context: ssl.SSLContext | None = None
    heartbeat: int = 10
    timeout: float = 10.0

    @classmethod
    def of(cls, broker: Broker) -> BrokerAddress:
        """Return the address that the settings name; certificates are read now, so renewed ones are seen."""
        return cls(
            host=broker.host,
            port=broker.port,
            vhost=broker.vhost,
            user=broker.user,
            password=broker.password,
            context=broker.ssl_context(),
            heartbeat=broker.heartbeat,
        )

    def url(self, name: str) -> str:
        """Return the AMQP URL; ``name`` is what the broker's connection list shows."""
        scheme = "amqps" if self.context else "amqp"
        login = f"{quote(self.user, '')}:{quote(self.password or '', '')}@" if self.user else ""
        auth = "plain" if self.user else "external"
        return (
            f"{scheme}://{login}{self.host}:{self.port}/{quote(self.vhost, '')}"
            f"?heartbeat={self.heartbeat}&auth={auth}&name={quote(name, '')}"
        )


@asynccontextmanager
async def connect(address: BrokerAddress, name: str) -> AsyncIterator[Connection]:
    """Open a connection for one owner and close it with them.

    Raises one of :data:`BROKER_ERRORS` when the broker cannot be reached or refuses the login.
    """
    connection = Connection(
        address.url(name), transport_factory=TolerantTransportFactory(address.context, timeout=address.timeout)
    )
    try:
        async with asyncio.timeout(address.timeout):
            await connection.connect()
        yield connection
    finally:
        await close_quietly(connection, address.timeout)


async def open_channel(connection: Connection, *, confirms: bool = True, wait: float) -> Channel:
    """Open a channel within ``wait`` seconds; ``confirms`` asks the broker to confirm publishes."""
    channel = await connection.channel(publisher_confirms=confirms, timeout=wait)
    assert isinstance(channel, Channel)  # noqa: S101 — narrows aiormq's abstract return type
    return channel


async def close_quietly(thing: Connection | Channel, wait: float) -> None:
    """Close within ``wait`` seconds; a peer that is already gone cannot fail us any more."""
    try:
        async with asyncio.timeout(wait):
            await thing.close()
    except (*BROKER_ERRORS, asyncio.CancelledError):  # type: ignore[misc]  # a tuple of classes all the same
        # A closing aiormq object reports its own end as CancelledError; ours still has to pass.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise


async def closed(thing: Connection | Channel) -> None:
    """Wait until a connection or channel has ended, for whatever reason."""
    await asyncio.wait([asyncio.ensure_future(thing.closing)])
