"""Upstream's hands on a worker of the product that serves the ШЭП, and what it serves there."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contract.shep_stand import Stand
    from tests.integration.conftest import Upstream

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

[[services]]
key = "OwnOpen"
system = "adapter"
name = "ТЕСТ Наш сервис без подписей"
mode = "Асинхронный"
delivery = "PUSH"
security = 0
"""
ELEMENT = "<a  x='1'/>"
DATA = {"form": "child", "content": ELEMENT}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Shep:
    """Upstream's hands on the adapter, and the simulator's world around it."""

    def __init__(self, upstream: Upstream, stand: Stand, door: str) -> None:
        self.upstream = upstream
        self.stand = stand
        self.door = door

    @asynccontextmanager
    async def events(self, name: str) -> AsyncIterator[asyncio.Queue[Any]]:
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        queue = await self.upstream.channel.get_queue(self.upstream.prefix + name)
        tag = await queue.consume(arrived.put, no_ack=True)
        yield arrived
        await queue.cancel(tag)


async def told(queue: asyncio.Queue[Any]) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads((await asyncio.wait_for(queue.get(), 15)).body)
    return body
