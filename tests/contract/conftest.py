"""What every contract test of signed exchanges starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapter.signing.gost import GostEngine, GostUnavailableError
from simulators.keys import make_keys

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def gost() -> GostEngine:
    try:
        return GostEngine.open()
    except GostUnavailableError as error:
        pytest.skip(f"no GOST engine on this machine: {error}")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory, gost: GostEngine) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder, gost)
    return folder
