"""Fixtures of the gateway ЕПГУ's tests: the simulator, a signing service, and gateways between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simulators.sign_service.app import make_app as make_sign_service
from tests.contract.epgu_stand import TINY, TINY_SETTINGS, opened
from tests.contract.sign_service_stand import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.contract.epgu_caller import World
    from tests.contract.epgu_stand import Parts, Stand


@pytest.fixture(scope="session")
async def sign_service(keys: Path) -> AsyncIterator[str]:
    async with serving(make_sign_service(keys)) as url:
        yield url


@pytest.fixture
async def parts(world: World, tmp_path: Path, sign_service: str) -> AsyncIterator[Parts]:
    async with opened(world, tmp_path, sign_service) as made:
        yield made


@pytest.fixture
async def stand(parts: Parts) -> Stand:
    return parts.stand()


@pytest.fixture
async def tiny(parts: Parts) -> Stand:
    """A stand with small chunks on both sides."""
    await parts.world.set(**TINY_SETTINGS)
    return parts.stand(TINY)
