"""Queues and exchanges: looked for first, created only where missing, foreign arguments left as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiormq.exceptions import ChannelNotFoundEntity

from adapter.broker.connection import close_quietly, open_channel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from adapter.broker.connection import Channel, Connection

log = structlog.get_logger(__name__)

#: Where the broker puts what it drops from a command queue; the adapter consumes and answers it.
RETURNED: Final = "adapter.returned"
#: Topic exchange of everything nobody asked for.
EVENTS: Final = "adapter.events"
_WAIT: Final = 10.0
#: High enough never to be met by reconnects; RabbitMQ 4 drops after 20 when nothing is said.
_DELIVERY_LIMIT: Final = 1_000_000


#: Arguments of every queue that is declared here.
QUORUM: Final[Mapping[str, Any]] = {"x-queue-type": "quorum", "x-delivery-limit": _DELIVERY_LIMIT}


@dataclass(frozen=True, slots=True)
class Names:
    """Names on the wire, with the deployment's optional prefix."""

    prefix: str = ""

    def command(self, action: str) -> str:
        """Queue that upstream systems publish commands of ``action`` to."""
        return f"{self.prefix}{action}"

    def reply(self, action: str) -> str:
        """Queue of replies to commands that named no reply_to."""
        return f"{self.prefix}{action}.reply"

    @property
    def returned(self) -> str:
        """Dead-letter queue of all command queues."""
        return f"{self.prefix}{RETURNED}"

    @property
    def events(self) -> str:
        """Topic exchange of events."""
        return f"{self.prefix}{EVENTS}"

    def action(self, queue: str) -> str:
        """Action of a command queue."""
        return queue.removeprefix(self.prefix)

    def is_ours(self, queue: str, actions: Iterable[str]) -> bool:
        """Tell whether ``queue`` is one the adapter consumes: a reply sent there would come back as a command."""
        return queue == self.returned or queue in {self.command(action) for action in actions}


def command_arguments(names: Names) -> Mapping[str, Any]:
    """Return the arguments of a command queue: what leaves it by the broker's doing comes to ``adapter.returned``."""
    return {
        **QUORUM,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": names.returned,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def declare(connection: Connection, names: Names, actions: Iterable[str], events: Iterable[str]) -> None:
    """Make sure that everything the adapter consumes from or publishes to exists.

    Raises a broker error when the login may not create what is missing.
    """
    command = command_arguments(names)
    await _ensure_queue(connection, names.returned, QUORUM)
    for action in actions:
        await _ensure_queue(connection, names.command(action), command)
        await _ensure_queue(connection, names.reply(action), QUORUM)
    await _ensure_exchange(connection, names.events)
    for event in events:
        await _ensure_queue(connection, f"{names.prefix}{event}", QUORUM)
        await _bind(connection, f"{names.prefix}{event}", names.events, event)


async def missing(connection: Connection, names: Names, actions: Iterable[str]) -> list[str]:
    """Return the queues of ``actions`` that do not exist yet; changes nothing."""
    wanted = [names.returned, *(queue for action in actions for queue in (names.command(action), names.reply(action)))]
    absent = []
    for queue in wanted:
        channel = await open_channel(connection, wait=_WAIT)
        try:
            await channel.queue_declare(queue, passive=True, timeout=_WAIT)
        except ChannelNotFoundEntity:
            absent.append(queue)
        await close_quietly(channel, _WAIT)
    return absent


async def _ensure_queue(connection: Connection, queue: str, arguments: Mapping[str, Any]) -> None:
    async def look(channel: Channel) -> None:
        await channel.queue_declare(queue, passive=True, timeout=_WAIT)

    async def create(channel: Channel) -> None:
        await channel.queue_declare(queue, durable=True, arguments=dict(arguments), timeout=_WAIT)
        log.info("queue created", queue=queue)

    await _ensure(connection, look, create)


async def _ensure_exchange(connection: Connection, exchange: str) -> None:
    async def look(channel: Channel) -> None:
        await channel.exchange_declare(exchange, passive=True, timeout=_WAIT)

    async def create(channel: Channel) -> None:
        await channel.exchange_declare(exchange, exchange_type="topic", durable=True, timeout=_WAIT)
        log.info("exchange created", exchange=exchange)

    await _ensure(connection, look, create)


async def _bind(connection: Connection, queue: str, exchange: str, key: str) -> None:
    channel = await open_channel(connection, wait=_WAIT)
    await channel.queue_bind(queue, exchange, key, timeout=_WAIT)
    await close_quietly(channel, _WAIT)


async def _ensure(
    connection: Connection,
    look: Callable[[Channel], Awaitable[None]],
    create: Callable[[Channel], Awaitable[None]],
) -> None:
    """Look passively; a refused look costs its channel, so creation takes a new one."""
    channel = await open_channel(connection, wait=_WAIT)
    try:
        await look(channel)
    except ChannelNotFoundEntity:
        await close_quietly(channel, _WAIT)
        channel = await open_channel(connection, wait=_WAIT)
        await create(channel)
    await close_quietly(channel, _WAIT)
