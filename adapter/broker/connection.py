"""Plain (not robust) connections: a dead one is replaced by its owner, never revived behind the owner's back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiormq.connection
import structlog
from aiormq.channel import Channel
from aiormq.exceptions import AMQPError

from adapter.broker.transport import TolerantTransportFactory

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Sequence

    from adapter.settings import Broker

log = structlog.get_logger(__name__)

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


class Connection(aiormq.connection.Connection):
    """The library's connection with our deliveries beside it."""

    def __init__(self, url: str, transport: TolerantTransportFactory) -> None:
        """``transport`` opens the socket."""
        super().__init__(url, transport_factory=transport)
        self.deliveries = transport.deliveries
        self._transport = transport

    def write_now(self, frames: bytes) -> None:
        """Send whole frames past the library's queue, whose writer takes a turn of the loop for them."""
        if self._transport.writer is not None:
            self._transport.writer.write_now(frames)


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where RabbitMQ is and how to log in; ``user`` is ``None`` for login by certificate (SASL EXTERNAL).

    ``context`` is ``None`` for a plain connection. ``heartbeat`` and ``timeout`` are in seconds; ``timeout`` is for one
    node. ``others`` are the nodes to try, in that order, when this one cannot be reached.
    """

    host: str
    port: int
    vhost: str = "/"
    user: str | None = None
    password: str | None = None
    context: ssl.SSLContext | None = None
    heartbeat: int = 10
    timeout: float = 10.0
    others: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, broker: Broker) -> BrokerAddress:
        """Return the address that the settings name; certificates are read now, so renewed ones are seen."""
        (host, port), *others = broker.nodes
        return cls(
            host=host,
            port=port,
            vhost=broker.vhost,
            user=broker.user,
            password=broker.password,
            context=broker.ssl_context(),
            heartbeat=broker.heartbeat,
            others=tuple(others),
        )

    @property
    def where(self) -> str:
        """Every node as ``host:port``, for people."""
        return ", ".join(f"{host}:{port}" for host, port in ((self.host, self.port), *self.others))

    def each(self, start: int = 0) -> list[BrokerAddress]:
        """Return every node as an address of its own, from node number ``start`` (counted round and round) on."""
        nodes = ((self.host, self.port), *self.others)
        turn = start % len(nodes)
        return [replace(self, host=host, port=port, others=()) for host, port in nodes[turn:] + nodes[:turn]]

    def url(self, name: str) -> str:
        """Return the AMQP URL; ``name`` is what the broker's connection list shows."""
        scheme = "amqps" if self.context else "amqp"
        login = f"{quote(self.user, '')}:{quote(self.password or '', '')}@" if self.user else ""
        auth = "plain" if self.user else "external"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            f"{scheme}://{login}{host}:{self.port}/{quote(self.vhost, '')}"
            f"?heartbeat={self.heartbeat}&auth={auth}&name={quote(name, '')}"
        )


@asynccontextmanager
async def connect(address: BrokerAddress, name: str, *, start: int = 0) -> AsyncIterator[Connection]:
    """Open a connection to the first node that takes one, for one owner, and close it with them.

    Nodes are tried in turn from number ``start`` on. Raises one of :data:`BROKER_ERRORS` when none can be reached or
    takes the login.
    """
    connection = await _open_any(address.each(start), name)
    try:
        yield connection
    finally:
        await close_quietly(connection, address.timeout)


async def _open_any(nodes: Sequence[BrokerAddress], name: str) -> Connection:
    *most, last = nodes
    for node in most:
        try:
            return await _open(node, name)
        except BROKER_ERRORS as error:
            log.warning("a node of the broker is passed over", host=node.where, error=type(error).__name__)
    return await _open(last, name)


async def _open(node: BrokerAddress, name: str) -> Connection:
    transport = TolerantTransportFactory(node.context, timeout=node.timeout)
    connection = Connection(node.url(name), transport)
    try:
        async with asyncio.timeout(node.timeout):
            await connection.connect()
    except asyncio.CancelledError:
        await close_quietly(connection, node.timeout)
        # aiormq reports a node that dies under the handshake as CancelledError; ours has to pass.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError("the connection ended while it was opened") from None
    except BaseException:
        await close_quietly(connection, node.timeout)
        raise
    return connection


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
