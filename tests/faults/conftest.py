"""Faults use the house of the integration tests, with a broker and a database of their own to break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploy.local.postgres import LocalPostgres
from deploy.local.rabbitmq import LocalRabbit
from tests.integration.conftest import builder, house  # noqa: F401 — the same house

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.local.certificates import Certificates


@pytest.fixture(scope="session")
def rabbit(service_state: Path, certificates: Certificates) -> Iterator[LocalRabbit]:
    """Start a broker that tests may kill."""
    with LocalRabbit(service_state / "frail-rabbitmq", certificates, quiet=True) as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres(service_state: Path) -> Iterator[LocalPostgres]:
    """Start a database that tests may kill."""
    server = LocalPostgres(service_state / "frail-postgres", quiet=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()
