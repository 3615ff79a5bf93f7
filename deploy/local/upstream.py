"""An upstream system as its own developers would write it: publish a command, wait for the reply on an own queue."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode
from uuid import uuid4

import aio_pika
from aio_pika.exceptions import AMQPException

from deploy.local.console import StepError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from aio_pika.abc import AbstractIncomingMessage

CONNECT_SECONDS = 15
PUBLISH_SECONDS = 15
REPLY_SECONDS = 90


@dataclass(slots=True)
class Conversation:
    """One command and what came of it; ``moments`` are (seconds after the publish, what happened)."""

    message_id: str
    published_at: float
    reply: bytes = b""
    seconds: float = 0.0
    moments: list[tuple[float, str]] = field(default_factory=list)

    @property
    def body(self) -> dict[str, Any]:
        """The reply's JSON."""
        body: dict[str, Any] = json.loads(self.reply)
        return body


class Upstream:
    """A connection with the upstream system's own certificate and an exclusive reply queue."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        """``variables`` are those of .local/upstream.env."""
        self._variables = variables
        self._waiting: dict[str, asyncio.Future[AbstractIncomingMessage]] = {}
        self._talks: dict[str, Conversation] = {}
        #: Every event as it came: its name, its message_id, its bytes.
        self.told: list[tuple[str, str, bytes]] = []
        #: Every event heard so far: its name and its body.
        self.events: list[tuple[str, dict[str, Any]]] = []

    async def __aenter__(self) -> Self:
        """Connect, and listen for replies and for events."""
        try:
            self._connection = await aio_pika.connect(_address(self._variables), timeout=CONNECT_SECONDS)
            self._channel = await self._connection.channel()
            self._replies = await self._channel.declare_queue(exclusive=True, timeout=CONNECT_SECONDS)
            await self._replies.consume(self._take_reply, no_ack=True)
            await self._follow_events()
        except (AMQPException, OSError, TimeoutError) as fault:
            raise StepError(f"The upstream client cannot connect to RabbitMQ: {fault}") from fault
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection; the exclusive queues go with it."""
        await asyncio.wait_for(self._connection.close(), CONNECT_SECONDS)

    async def ask(self, action: str, command: Mapping[str, Any]) -> Conversation:
        """Publish ``command`` and return the conversation with its reply. Raises StepError when none comes."""
        talk = Conversation(str(uuid4()), time.time())
        self._talks[talk.message_id] = talk
        waiting = self._waiting[talk.message_id] = asyncio.get_running_loop().create_future()
        message = aio_pika.Message(
            json.dumps(command, ensure_ascii=False).encode(),
            content_type="application/json",
            message_id=talk.message_id,
            correlation_id=talk.message_id,
            reply_to=self._replies.name,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            headers={"x-progress": "true"},
        )
        try:
            await self._channel.default_exchange.publish(message, action, mandatory=True, timeout=PUBLISH_SECONDS)
            self._happened(talk, "command confirmed by RabbitMQ")
            async with asyncio.timeout(REPLY_SECONDS):
                reply = await waiting
        except TimeoutError as fault:
            raise StepError(f"No reply came within {REPLY_SECONDS} s; see .local/log/adapter.log") from fault
        except AMQPException as fault:
            raise StepError(f"RabbitMQ did not take the command: {fault}") from fault
        finally:
            del self._waiting[talk.message_id]
        talk.reply = reply.body
        talk.seconds = time.time() - talk.published_at
        self._happened(talk, "reply")
        return talk

    async def event(self, name: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Take messages from the durable queue of an event until one is ``wanted``; return its body.

        Raises StepError when none comes.
        """
        try:
            queue = await self._channel.get_queue(name)
            async with asyncio.timeout(REPLY_SECONDS), queue.iterator() as messages:
                async for message in messages:
                    async with message.process():
                        body: dict[str, Any] = json.loads(message.body)
                    if wanted(body):
                        return body
        except TimeoutError as fault:
            raise StepError(f"No event {name} came within {REPLY_SECONDS} s; see .local/log/adapter.log") from fault
        except AMQPException as fault:
            raise StepError(f"RabbitMQ does not give the events {name}: {fault}") from fault
        raise StepError(f"The queue of {name} has ended")

    async def _follow_events(self) -> None:
        """Copy the adapter's events to a queue of our own, for the timeline."""
        events = await self._channel.declare_queue(exclusive=True, timeout=CONNECT_SECONDS)
        await events.bind("adapter.events", "#", timeout=CONNECT_SECONDS)
        await events.consume(self._take_event, no_ack=True)

    async def _take_reply(self, message: AbstractIncomingMessage) -> None:
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    async def _take_event(self, message: AbstractIncomingMessage) -> None:
        self.told.append((message.routing_key or "", message.message_id or "", message.body))
        self.events.append((message.routing_key or "", json.loads(message.body)))
        talk = self._talks.get(message.correlation_id or "")
        if talk is not None:
            self._happened(talk, f"event {message.routing_key}")

    @staticmethod
    def _happened(talk: Conversation, what: str) -> None:
        talk.moments.append((time.time() - talk.published_at, what))


def _address(variables: Mapping[str, str]) -> str:
    """Return the AMQP URL: log-in by certificate, or by password where MQ_USER is given (the certificate stays)."""
    query = {
        "cafile": variables["CA_CERT"],
        "certfile": variables["CLIENT_CERT"],
        "keyfile": variables["CLIENT_KEY"],
    }
    login = ""
    if variables.get("MQ_USER"):
        login = f"{quote(variables['MQ_USER'], safe='')}:{quote(variables.get('MQ_PASSWORD', ''), safe='')}@"
    else:
        query["auth"] = "EXTERNAL"
    return f"amqps://{login}{variables['MQ_HOST']}:{variables['MQ_PORT']}/?{urlencode(query)}"
