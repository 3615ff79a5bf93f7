"""A worker of the product that serves the ШЭП, between a real broker and the simulated gateway."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from adapter import settings as configuration
from adapter.bootstrap import open_gateways
from adapter.services.registry import known_actions, make_providers, make_services
from adapter.shep_opening import open_shep
from adapter.web.shep import ShepEndpoint
from adapter.worker import Worker
from simulators.keys import make_keys
from simulators.shep.keys import GATEWAY_BIN, OTHER_BIN, OWN_BIN
from simulators.sign_service.app import make_app
from tests.contract.sign_service_stand import serving, tokens_of
from tests.integration.conftest import Books, HouseBuilder
from tests.integration.shep_house import OURS, SAMPLE, Shep, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.contract.shep_stand import Stand


@pytest.fixture
async def shep(
    request: pytest.FixtureRequest,
    builder: HouseBuilder,
    stand: Stand,
    shep_keys: Path,
    tmp_path: Path,
) -> AsyncIterator[Shep]:
    """A worker that serves every action of the ШЭП, and the simulator that knows its door.

    A parameter is how long a synchronous caller is held, in seconds.
    """
    make_keys(shep_keys.parent)
    registry = tmp_path / "services.toml"
    registry.write_text(SAMPLE.read_text("utf-8") + OURS, encoding="utf-8")
    tokens, port = tokens_of(shep_keys), free_port()
    async with AsyncExitStack() as stack:
        environment = builder.environment | {
            "SERVICES": "shep.*",
            "SIGN_SERVICE": await stack.enter_async_context(serving(make_app(shep_keys.parent))),
            "SHEP_SERVICES_FILE": str(registry),
            "SHEP_SYNC_URL": stand.url("/shep/sync"),
            "SHEP_ASYNC_URL": stand.url("/shep/async"),
            "SHEP_SENDER_ID": "adapter",
            "SHEP_PASSWORD": "adapter-password",
            "SHEP_BIN": OWN_BIN,
            "SHEP_GATEWAY_BIN": GATEWAY_BIN,
            "SHEP_SIGN_KEY": "shep-gost",
            "SHEP_SIGN_TOKEN": tokens["shep-gost"],
            "SHEP_SIGN_TOKEN_OFFICIAL": tokens["shep-official"],
            "SHEP_LISTEN": f"127.0.0.1:{port}",
            "SHEP_PUBLIC_URL": f"http://127.0.0.1:{port}",
        }
        settings = configuration.load(environment, known_actions(environment))
        services = {
            action: service for action, service in make_services(environment).items() if action.startswith("shep.")
        }
        providers, books = make_providers(services, environment), Books()
        opened, sources = await open_gateways(settings, services, books, stack, providers)
        opened, doors = await open_shep(settings, opened, books, stack, providers)
        for endpoint in doors:
            assert isinstance(endpoint, ShepEndpoint)
            endpoint.options = replace(endpoint.options, patience=getattr(request, "param", 50.0))
        worker = Worker(settings, opened, [*sources, *doors], books)
        task = asyncio.create_task(worker.run())
        await builder.until(worker, task)
        door = f"http://127.0.0.1:{port}"
        point = {"url": f"{door}/async", "repeat_delay": 0, "security": 1}
        both = ("adapter", "other")
        world = {
            "parties": [
                {"sender_id": "adapter", "password": "adapter-password", "bin": OWN_BIN, "point": 7},
                {"sender_id": "other", "password": "other-password", "bin": OTHER_BIN},
            ],
            "points": [{"id": 7, **point}, {"id": 8, **point, "url": f"{door}/sync"}],
            "services": [
                {"service_id": "OwnSync", "owner": "adapter", "mode": "sync", "point": 8, "users": both},
                {"service_id": "OwnAsync", "owner": "adapter", "mode": "async", "point": 7, "users": both},
            ],
        }
        await stand.post("/_sim/world", world, 204)
        try:
            async with builder.upstream() as upstream:
                yield Shep(upstream, stand, door)
        finally:
            worker.stop()
            await asyncio.wait_for(task, 30)
