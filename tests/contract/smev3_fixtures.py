"""Fixtures of the simulator's tests: a running СМЭВ3 simulator with its clock and a registered caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestClient, TestServer

from simulators.smev3.app import make_app
from simulators.smev3.config import SimulatorConfig
from tests.contract.smev3_caller import Caller, Clock
from tests.contract.smev3_world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.signing.gost import GostEngine


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def caller(gost: GostEngine, keys: Path) -> Caller:
    return Caller(gost, keys)


@pytest.fixture
async def world(keys: Path, gost: GostEngine, clock: Clock, caller: Caller) -> AsyncIterator[World]:
    app = make_app(SimulatorConfig(keys=keys, clock=clock), gost)
    async with TestClient(TestServer(app)) as client:
        yield World(client, caller, clock)
