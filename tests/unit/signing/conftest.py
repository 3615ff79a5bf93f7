from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from asn1crypto import pem

from adapter.signing.gost import GostEngine
from simulators.keys import make_keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def gost() -> GostEngine:
    return GostEngine.open()


@pytest.fixture(scope="session")
def keys(gost: GostEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder, gost)
    return folder


@pytest.fixture(scope="session")
def der(keys: Path) -> Callable[[str], bytes]:
    return lambda name: pem.unarmor((keys / f"{name}.crt.pem").read_bytes())[2]
