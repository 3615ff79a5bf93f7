"""The fixture that runs the house of the ШЭП."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from simulators.keys import make_keys
from simulators.shep.keys import GATEWAY_BIN, OTHER_BIN, OWN_BIN
from simulators.sign_service.app import make_app
from tests.contract.sign_service_stand import serving, tokens_of
from tests.integration.shep_house import BOTH, OURS, SAMPLE, Shep, at_work, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from tests.contract.shep_stand import Stand
    from tests.integration.conftest import HouseBuilder


@pytest.fixture
async def shep(  # noqa: PLR0917 — fixtures
    request: pytest.FixtureRequest,
    builder: HouseBuilder,
    stand: Stand,
    shep_keys: Path,
    tmp_path: Path,
    look: asyncpg.Connection,
) -> AsyncIterator[Shep]:
    """A worker that serves every action of the ШЭП, and the simulator that knows its door.

    A parameter is how long a synchronous caller is held, in seconds.
    """
    make_keys(shep_keys.parent)
    services = tmp_path / "services.toml"
    services.write_text(SAMPLE.read_text("utf-8") + OURS, encoding="utf-8")
    tokens, port = tokens_of(shep_keys), free_port()
    door = f"http://127.0.0.1:{port}"
    point = {"url": f"{door}/async", "repeat_delay": 0, "security": 1}
    world = {
        "parties": [
            {"sender_id": "adapter", "password": "adapter-password", "bin": OWN_BIN, "point": 7},
            {"sender_id": "other", "password": "other-password", "bin": OTHER_BIN},
        ],
        "points": [{"id": 7, **point}, {"id": 8, **point, "url": f"{door}/sync"}],
        "services": [
            {"service_id": "OwnSync", "owner": "adapter", "mode": "sync", "point": 8, "users": BOTH},
            {"service_id": "OwnAsync", "owner": "adapter", "mode": "async", "point": 7, "users": BOTH},
            {
                "service_id": "OwnNotified",
                "owner": "adapter",
                "mode": "async",
                "point": 7,
                "users": BOTH,
                "delivery_notifications": True,
            },
            {
                "service_id": "OwnPull",
                "owner": "adapter",
                "mode": "async",
                "delivery": "PULL",
                "users": BOTH,
                "delivery_notifications": True,
                "pull_again": True,
            },
            {"service_id": "AsyncThrottled", "owner": "other", "mode": "async", "point": 1, "users": BOTH},
            {"service_id": "AsyncAnswered", "owner": "other", "mode": "async", "point": 1, "users": BOTH},
        ],
    }
    await stand.post("/_sim/world", world, 204)
    async with AsyncExitStack() as stack:
        environment = builder.environment | {
            "SERVICES": "shep.*",
            "SIGN_SERVICE": await stack.enter_async_context(serving(make_app(shep_keys.parent))),
            "SHEP_SERVICES_FILE": str(services),
            "SHEP_SYNC_URL": stand.url("/shep/sync"),
            "SHEP_ASYNC_URL": stand.url("/shep/async"),
            "SHEP_CIPHER_CERT": str(shep_keys / "gateway.crt.pem"),
            "SHEP_CIPHER_TOKEN": tokens["shep-cipher"],
            "VSHEP_SYNC_URL": stand.url("/vshep/sync"),
            "VSHEP_ASYNC_URL": stand.url("/vshep/async"),
            "SHEP_SENDER_ID": "adapter",
            "SHEP_PASSWORD": "adapter-password",
            "SHEP_BIN": OWN_BIN,
            "SHEP_GATEWAY_BIN": GATEWAY_BIN,
            "SHEP_SIGN_KEY": "shep-gost",
            "SHEP_SIGN_TOKEN": tokens["shep-gost"],
            "SHEP_SIGN_TOKEN_OFFICIAL": tokens["shep-official"],
            "SHEP_LISTEN": f"127.0.0.1:{port}",
            "SHEP_PUBLIC_URL": door,
        }
        patience = getattr(request, "param", 50.0)
        opened, books = await stack.enter_async_context(at_work(builder, environment, patience))
        upstream = await stack.enter_async_context(builder.upstream())
        yield Shep(upstream, stand, door, builder, environment, opened, books, look, patience)
