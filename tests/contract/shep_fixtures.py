"""Keys of the ШЭП's parties and the engine that reads them, once per session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapter.http import make_session
from adapter.signing.gost import GostUnavailableError
from adapter.signing.kz import KzEngine
from adapter.signing.kz_client import KzSigningClient
from simulators.keys import make_keys
from simulators.shep.keys import make_shep_keys
from simulators.sign_service.app import make_app
from tests.contract.shep_caller import Caller
from tests.contract.shep_stand import Stand, standing_up
from tests.contract.sign_service_stand import serving, tokens_of

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


@pytest.fixture(scope="module")
def folder(shep_keys: Path) -> Path:
    make_keys(shep_keys.parent)
    return shep_keys.parent


@pytest.fixture
async def caller(stand: Stand, folder: Path) -> AsyncIterator[Caller]:
    async with serving(make_app(folder)) as url, make_session(timeout=20) as session:
        signer = KzSigningClient(url, session=session, tokens=tokens_of(folder / "kz"))
        yield Caller(stand, session, signer)
