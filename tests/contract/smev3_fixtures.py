"""Fixtures of the simulator's tests: a running СМЭВ3 simulator with its clock and a registered caller."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestClient, TestServer

from simulators.smev3.app import make_app
from simulators.smev3.config import SimulatorConfig
from tests.contract.smev3_caller import Caller, Clock
from tests.contract.smev3_probes import VERSIONS
from tests.contract.smev3_world import World
from tests.contract.smev3_worlds import Both

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.signing.gost import GostEngine


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def caller(gost: GostEngine, keys: Path, clock: Clock) -> Caller:
    return Caller(gost, keys, clock=clock)


@pytest.fixture
async def world(keys: Path, gost: GostEngine, clock: Clock, caller: Caller) -> AsyncIterator[World]:
    app = make_app(SimulatorConfig(keys=keys, clock=clock), gost)
    async with TestClient(TestServer(app)) as client:
        yield World(client, caller, clock)


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    number: str = request.param
    return number


@pytest.fixture
async def both(keys: Path, gost: GostEngine, clock: Clock, caller: Caller, version: str) -> AsyncIterator[Both]:
    app = make_app(SimulatorConfig(keys=keys, clock=clock), gost)
    async with TestClient(TestServer(app)) as client:
        consumer = World(client, replace(caller, version=version), clock)
        both = Both(consumer, World(client, replace(caller, version=version, name="ov512"), clock))
        await both.register()
        yield both
