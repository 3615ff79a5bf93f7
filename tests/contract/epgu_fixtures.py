"""Fixtures of the ЕПГУ simulator's tests: one that runs, with a clock that stands until a test moves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestClient, TestServer

from simulators.epgu.app import make_app
from simulators.epgu.config import SimulatorConfig
from tests.contract.epgu_caller import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp.web import Application, Request

    from adapter.signing.gost import GostEngine


@pytest.fixture(scope="session")
async def epgu(keys: Path, gost: GostEngine) -> AsyncIterator[TestClient[Request, Application]]:
    async with TestClient(TestServer(make_app(SimulatorConfig(keys=keys), gost))) as client:
        yield client


@pytest.fixture
async def world(epgu: TestClient[Request, Application], gost: GostEngine, keys: Path) -> World:
    world = World(epgu, gost, keys)
    await world.admin("POST", "reset")
    await world.admin("POST", "clock", {"stopped": True})
    return world
