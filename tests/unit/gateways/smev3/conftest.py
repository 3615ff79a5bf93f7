from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from adapter.gateways.smev3 import Smev3Options
from adapter.http import make_session
from tests.unit.gateways.smev3.scripted import ScriptedGateway, StubSigner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp


@pytest.fixture
def signer() -> StubSigner:
    return StubSigner()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with make_session(timeout=5) as session:
        yield session


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedGateway]:
    """A scripted gateway on a free port of the loopback interface."""
    gateway = ScriptedGateway()
    app = web.Application(client_max_size=32 * 2**20)
    app.router.add_post("/ws", gateway.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    gateway.endpoint = f"http://127.0.0.1:{port}/ws"
    yield gateway
    gateway.released.set()
    await runner.cleanup()


@pytest.fixture
def options(scripted: ScriptedGateway) -> Smev3Options:
    return Smev3Options(endpoint=scripted.endpoint, node_id="node-1", timeout=2, poll_min=0.01, poll_max=0.05)
