"""Keys of the ШЭП's parties and the engine that reads them, once per session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapter.signing.gost import GostUnavailableError
from adapter.signing.kz import KzEngine
from simulators.shep.keys import make_shep_keys
from tests.contract.shep_stand import Stand, standing_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="session")
def kz() -> KzEngine:
    try:
        return KzEngine.open()
    except GostUnavailableError as error:
        pytest.skip(f"no GOST engine on this machine: {error}")


@pytest.fixture(scope="session")
def shep_keys(tmp_path_factory: pytest.TempPathFactory, kz: KzEngine) -> Path:
    """The folder that simulators.shep.keys makes."""
    return make_shep_keys(tmp_path_factory.mktemp("shep"), kz)


@pytest.fixture
async def stand(shep_keys: Path, kz: KzEngine) -> AsyncIterator[Stand]:
    async with standing_up(shep_keys, kz) as found:
        yield found
