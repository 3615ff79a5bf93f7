"""A worker in this process on the real broker and database, with a scripted gateway in place of the state's."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import asyncpg
import orjson
import pytest

from adapter import settings as configuration
from adapter.errors import FieldFault, InvalidCommandError
from adapter.exchange import (
    Accepted,
    Answer,
    AnswerKind,
    Call,
    Command,
    Prepared,
    Repeat,
    Reply,
    Sent,
    Step,
)
from adapter.journal.journal import DatabaseAddress, Journal
from adapter.journal.migrate import migrate
from adapter.pipeline.ports import Registry
from adapter.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from adapter.exchange import Service
    from adapter.incoming import Arrivals, Incoming, Provider
    from adapter.journal.records import Exchange
    from adapter.tracing import TracingObserver
    from deploy.local.certificates import Certificates
    from deploy.local.rabbitmq import LocalRabbit
    from tests.conftest import Database


class EchoService:
    """Answers at once (``echo``), or calls the gateway (``call``): what the pipeline needs of a service, no more."""

    title = "Эхо"
    gateway = "scripted"
    deadline = timedelta(minutes=5)
    schema = None
    examples = ()

    def __init__(self, action: str, *, calls: bool) -> None:
        """``calls`` makes every command one call of the scripted gateway."""
        self.action = action
        self._calls = calls
        self.started = 0

    def start(self, command: Command) -> Step:
        self.started += 1
        try:
            body = orjson.loads(command.body)
        except orjson.JSONDecodeError:
            raise InvalidCommandError([FieldFault("body", "тело не является JSON")]) from None
        if isinstance(body, dict) and body.get("explode"):
            raise RuntimeError("a defect with a secret value")
        if self._calls:
            return Call("scripted", "Send", command.body)
        return Reply({"result": body})

    def resume(self, command: Command, answer: Answer) -> Step:
        return Reply({"result": orjson.loads(answer.content)})

    def command_schema(self) -> Mapping[str, Any]:
        return {}


class StepsService(EchoService):
    """Calls the gateway twice (``steps``): the second call takes what the first was answered."""

    def resume(self, command: Command, answer: Answer) -> Step:
        told = orjson.loads(answer.content)
        return Call("scripted", "Send", answer.content) if "order" in told else Reply({"result": told})


@dataclass
class ScriptedGateway:
    """Does what the test says with every call, and keeps its own books."""

    name: str = "scripted"
    repeat_rules: dict[str, Repeat] = field(default_factory=lambda: {"Send": Repeat.SAME_ID})
    id_lifetime: timedelta | None = None
    script: Callable[[Prepared, int], Sent] = lambda *_: Accepted(b"taken")
    prepared: list[Prepared] = field(default_factory=list)
    sent: asyncio.Queue[tuple[Prepared, int]] = field(default_factory=asyncio.Queue)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    prepare_error: Exception | None = None

    def __post_init__(self) -> None:
        self.hold.set()

    async def prepare(self, call: Call) -> Prepared:
        if self.prepare_error is not None:
            raise self.prepare_error
        prepared = Prepared(call.operation, str(uuid4()), call.content, datetime.now(UTC))
        self.prepared.append(prepared)
        return prepared

    async def send(self, prepared: Prepared, *, earlier_attempts: int) -> Sent:
        self.sent.put_nowait((prepared, earlier_attempts))
        await self.hold.wait()
        return self.script(prepared, earlier_attempts)


class ScriptedSource:
    """Hands the pipeline the answers a test puts into it."""

    name = "scripted"

    def __init__(self) -> None:
        """Keep the intake until the worker runs."""
        self._intake: asyncio.Future[Arrivals] = asyncio.get_running_loop().create_future()

    async def run(self, intake: Arrivals) -> None:
        self._intake.set_result(intake)
        await asyncio.Event().wait()

    async def receive(self, incoming: Incoming) -> bool:
        return await (await self._intake).receive(incoming)

    async def word(self, incoming: Incoming, seconds: float) -> bytes | None:
        return await (await self._intake).word(incoming, seconds)

    async def bring(self, answer: Answer) -> bool:
        return await (await self._intake).take(answer)


@dataclass
class Books:
    """What the worker told its observer."""

    finished: list[tuple[str, str | None]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def command_finished(self, exchange: Exchange, *, outcome: str, code: str | None, reply_bytes: int) -> None:
        self.finished.append((outcome, code))

    def gateway_call(self, operation: str, *_: object, **__: object) -> None:
        self.counts[operation] = self.counts.get(operation, 0) + 1

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n


class Upstream:
    """An upstream system: publishes commands with confirms and reads the replies of its own queue."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel, queue: aio_pika.abc.AbstractQueue, prefix: str) -> None:
        """Replies come to ``queue``."""
        self.channel = channel
        self.queue = queue
        self.prefix = prefix
        self.replies: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()

    async def publish(self, action: str, body: Any, **properties: Any) -> None:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        properties.setdefault("reply_to", self.queue.name)
        message = aio_pika.Message(raw, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **properties)
        await self.channel.default_exchange.publish(message, self.prefix + action, timeout=10)

    async def reply(self, seconds: float = 15) -> aio_pika.abc.AbstractIncomingMessage:
        return await asyncio.wait_for(self.replies.get(), seconds)

    async def read(self, queue: str) -> aio_pika.abc.AbstractIncomingMessage:
        """Return the next message of any queue."""
        arrived: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        source = await self.channel.get_queue(queue)
        tag = await source.consume(arrived.put, no_ack=True)
        try:
            return await asyncio.wait_for(arrived.get(), 20)
        finally:
            await source.cancel(tag)

    async def ask(self, action: str, body: Any, **properties: Any) -> dict[str, Any]:
        properties.setdefault("message_id", str(uuid4()))
        await self.publish(action, body, **properties)
        return orjson.loads((await self.reply()).body)


@dataclass
class House:
    """Everything a test of the pipeline touches."""

    worker: Worker
    gateway: ScriptedGateway
    source: ScriptedSource
    books: Books
    upstream: Upstream
    database: asyncpg.Connection
    services: dict[str, EchoService]
    environment: dict[str, str]
    task: asyncio.Task[None]

    async def eventually(self, question: str, *arguments: Any) -> None:
        """Wait until the journal answers a question with true: the one place where a test has to look again."""
        async with asyncio.timeout(20):
            while not await self.database.fetchval(question, *arguments):  # noqa: ASYNC110 — a table gives no signal
                await asyncio.sleep(0.02)

    def answer(self, prepared: Prepared, content: Any, **more: Any) -> Answer:
        values = {"kind": AnswerKind.ANSWER, "key": str(uuid4())} | more
        body = orjson.dumps(content)
        return Answer(source="scripted", reference=prepared.gateway_id, raw=b"raw " + body, content=body, **values)


class HouseBuilder:
    """Starts workers on one database and one set of queues."""

    def __init__(self, environment: dict[str, str], rabbit: LocalRabbit, certificates: Certificates) -> None:
        """``environment`` is what an operator would set."""
        self.environment = environment
        self.rabbit = rabbit
        self.certificates = certificates
        #: What a worker serves beside the usual two actions.
        self.services: dict[str, Service] = {}
        self.providers: dict[str, Provider] = {}
        #: What a worker is observed by in place of its books.
        self.tracing: TracingObserver | None = None

    @asynccontextmanager
    async def worker(
        self, gateway: ScriptedGateway | None = None, **environment: str
    ) -> AsyncIterator[
        tuple[Worker, ScriptedGateway, ScriptedSource, Books, dict[str, EchoService], asyncio.Task[None]]
    ]:
        variables = self.environment | environment
        services = {"echo": EchoService("echo", calls=False), "call": EchoService("call", calls=True)}
        everything = {**services, **self.services}
        settings = configuration.load(variables, dict.fromkeys(everything, "scripted"))
        gateway, source, books = gateway or ScriptedGateway(), ScriptedSource(), Books()
        registry = Registry(everything, {gateway.name: gateway}, providers=self.providers)
        tracing = self.tracing
        worker = Worker(settings, registry, [source], tracing or books, trace=None if tracing is None else tracing.step)
        task = asyncio.create_task(worker.run())
        try:
            await self.until(worker, task)
            yield worker, gateway, source, books, services, task
        finally:
            if not task.done():
                worker.stop()
            await asyncio.wait_for(task, 30)

    @staticmethod
    async def until(worker: Worker, task: asyncio.Task[None]) -> None:
        async with asyncio.timeout(30):
            while not (parts := worker.parts()) or not all(parts.values()) or len(parts) < 4:
                if task.done():
                    task.result()
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def upstream(self) -> AsyncIterator[Upstream]:
        connection = await aio_pika.connect(
            host=self.rabbit.host,
            port=self.rabbit.port,
            ssl=True,
            ssl_context=upstream_context(self.certificates),
            login=self.rabbit.username,
            password=self.rabbit.password,
        )
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(exclusive=True)
            upstream = Upstream(channel, queue, self.environment["MQ_PREFIX"])
            await queue.consume(upstream.replies.put, no_ack=True)
            yield upstream


def upstream_context(certificates: Certificates) -> Any:
    pair = certificates.client("upstream")
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.load_cert_chain(str(pair.certificate), str(pair.key))
    return context


@pytest.fixture
def builder(rabbit: LocalRabbit, certificates: Certificates, database: Database) -> HouseBuilder:
    pair = certificates.client("adapter")
    environment = {
        "CA_CERT": str(certificates.ca),
        "CLIENT_CERT": str(pair.certificate),
        "CLIENT_KEY": str(pair.key),
        "MQ_HOST": rabbit.host,
        "MQ_PORT": str(rabbit.port),
        "MQ_PREFIX": f"t{uuid4().hex[:8]}.",
        "MQ_MAX_BODY": "100kB",
        "SERVICES": "*",
        "HEALTH_PORT": "0",
        **database.environment,
    }
    return HouseBuilder(environment, rabbit, certificates)


@pytest.fixture
async def house(builder: HouseBuilder, database: Database) -> AsyncIterator[House]:
    """One running worker, an upstream system, and a look into the journal."""
    async with builder.worker() as (worker, gateway, source, books, services, task), builder.upstream() as upstream:
        connection = await asyncpg.connect(
            host=database.host,
            port=database.port,
            user=database.user,
            password=database.password,
            database=database.name,
        )
        try:
            yield House(worker, gateway, source, books, upstream, connection, services, builder.environment, task)
        finally:
            await connection.close()


@pytest.fixture
async def journal(database: Database) -> AsyncIterator[Journal]:
    address = DatabaseAddress(
        {
            "host": database.host,
            "port": database.port,
            "user": database.user,
            "password": database.password,
            "database": database.name,
        }
    )
    connection = await address.connect()
    await migrate(connection)
    await connection.close()
    journal = Journal(address, worker_name="test")
    await journal.take_lease()
    task = asyncio.create_task(journal.run())
    await journal.available.wait()
    yield journal
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def look(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        host=database.host, port=database.port, user=database.user, password=database.password, database=database.name
    )
    yield connection
    await connection.close()
