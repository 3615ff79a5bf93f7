"""Keys of the ШЭП's parties and the engine that reads them, once per session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapter.signing.gost import GostUnavailableError
from adapter.signing.kz import KzEngine
from simulators.shep.keys import make_shep_keys

if TYPE_CHECKING:
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
