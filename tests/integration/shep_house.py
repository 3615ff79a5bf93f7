"""A worker that serves the actions of the ШЭП, between a real broker and the simulated gateway."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from adapter import settings as configuration
from adapter.bootstrap import open_gateways
from adapter.services.registry import known_actions, make_providers, make_services
from adapter.shep_opening import open_shep
from adapter.web.shep import ShepEndpoint
from adapter.worker import Worker
from tests.integration.conftest import Books, HouseBuilder, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from adapter.pipeline.ports import Registry
    from tests.contract.shep_stand import Stand

SAMPLE = Path(__file__).parents[2] / "deploy" / "local" / "shep-services.toml"
OURS = """
[[services]]
key = "OwnSync"
system = "adapter"
name = "ТЕСТ Наш сервис"
mode = "Синхронный"
security = 2

[[services]]
key = "OwnAsync"
system = "adapter"
name = "ТЕСТ Наш сервис с отложенным ответом"
mode = "Асинхронный"
delivery = "PUSH"
point = 7

[[services]]
key = "OwnOpen"
system = "adapter"
name = "ТЕСТ Наш сервис без подписей"
mode = "Асинхронный"
delivery = "PUSH"
security = 0

[[services]]
key = "OwnNotified"
system = "adapter"
name = "ТЕСТ Наш сервис, о доставке которому сообщаем"
mode = "Асинхронный"
delivery = "PUSH"
delivery_notifications = 1

[[services]]
key = "OwnPull"
system = "adapter"
name = "ТЕСТ Наш сервис, сообщения которого забираем"
mode = "Асинхронный"
delivery = "PULL"
delivery_notifications = 1
poll_interval = "1 секунда"
poll_amount = 2

[[services]]
key = "SealedSync"
system = "other"
name = "ТЕСТ Сервис с шифрованием, отвечающий сразу"
mode = "Синхронный"
encryption = 1

[[services]]
key = "OwnSealed"
system = "adapter"
name = "ТЕСТ Наш сервис с шифрованием"
mode = "Синхронный/Асинхронный"
delivery = "PUSH"
encryption = 1

[[services]]
key = "SyncOutside"
system = "other"
name = "ТЕСТ Сервис ВШЭП, отвечающий сразу"
mode = "Синхронный"
contour = "ВШЭП"

[[services]]
key = "AsyncOutside"
system = "other"
name = "ТЕСТ Сервис ВШЭП"
mode = "Асинхронный"
delivery = "PUSH"
contour = "ВШЭП"

[[services]]
key = "AsyncThrottled"
system = "other"
name = "ТЕСТ Сервис с тротлингом"
mode = "Асинхронный"
delivery = "PUSH"
point = 9

[[points]]
id = 7
url = "https://adapter.example.org/shep/async"
call = 2
repeats = 10
async_timeout = "40 секунд"
max_errors = 5
max_interval = "1 минута"
security = 1

[[points]]
id = 9
url = "https://other.example.org/shep"
call = 2
throttling = 1
throttling_timeout = "3 секунды"
requests = 2
security = 1

[[services]]
key = "AsyncAnswered"
system = "other"
name = "ТЕСТ Сервис, ответом которого заканчивается команда"
mode = "Асинхронный"
delivery = "PUSH"
reply = "answer"
answer_within = "2 дня"
"""
ELEMENT = "<a  x='1'/>"
BOTH = ("adapter", "other")
DATA = {"form": "child", "content": ELEMENT}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Shep:
    """Upstream's hands on the adapter, and the simulator's world around it."""

    upstream: Upstream
    stand: Stand
    door: str
    builder: HouseBuilder
    environment: dict[str, str]
    registry: Registry
    books: Books
    look: asyncpg.Connection
    patience: float = field(default=50.0)

    @asynccontextmanager
    async def messages(self, name: str) -> AsyncIterator[asyncio.Queue[Any]]:
        """Yield what comes to a queue, whole."""
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        queue = await self.upstream.channel.get_queue(self.upstream.prefix + name)
        tag = await queue.consume(arrived.put, no_ack=True)
        yield arrived
        await queue.cancel(tag)

    events = messages

    async def send(self, service_id: str, **properties: Any) -> dict[str, Any]:
        """Send a REQUEST and return the command's reply."""
        return await self.upstream.ask("shep.async.send", request(service_id), **properties)

    async def arrive(self, service_id: str, **more: Any) -> str:
        """Have the other party send a message of a service; return its number."""
        sent = {"sender_id": "other", "service_id": service_id, "data": DATA, **more}
        number: str = (await self.stand.post("/_sim/send", sent, 201))["message_id"]
        return number

    async def eventually(self, question: str, *arguments: Any) -> Any:
        """Wait until the journal answers a question with something true."""
        async with asyncio.timeout(20):
            while not (found := await self.look.fetchval(question, *arguments)):  # noqa: ASYNC110 — a table gives no signal
                await asyncio.sleep(0.02)
        return found


def request(service_id: str, **info: Any) -> dict[str, Any]:
    return {
        "message_info": {"service_id": service_id, "message_type": "REQUEST", **info},
        "message_data": {"data": DATA},
    }


def second(shep: Shep) -> dict[str, str]:
    """Return the environment of another worker of the same deployment."""
    return shep.environment | {"SHEP_LISTEN": f"127.0.0.1:{free_port()}"}


async def told(queue: asyncio.Queue[Any]) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads((await asyncio.wait_for(queue.get(), 15)).body)
    return body


@asynccontextmanager
async def at_work(
    builder: HouseBuilder, environment: dict[str, str], patience: float = 50.0
) -> AsyncIterator[tuple[Registry, Books]]:
    """Run a worker; ``patience`` is how long a synchronous caller is held, in seconds."""
    async with AsyncExitStack() as stack:
        settings = configuration.load(environment, known_actions(environment))
        services = {
            action: service
            for action, service in make_services(environment).items()
            if action in settings.services.actions
        }
        providers, books = make_providers(services, environment), Books()
        opened, sources = await open_gateways(settings, services, books, stack, providers)
        opened, doors = await open_shep(settings, opened, books, stack, providers)
        for endpoint in doors:
            if isinstance(endpoint, ShepEndpoint):
                endpoint.options = replace(endpoint.options, patience=patience)
        worker = Worker(settings, opened, [*sources, *doors], books)
        task = asyncio.create_task(worker.run())
        try:
            await builder.until(worker, task)
            yield opened, books
        finally:
            worker.stop()
            await asyncio.wait_for(task, 30)
