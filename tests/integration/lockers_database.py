"""One database for all tests of the lockers in a module, emptied for each: creating one costs more than a test."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from adapter.journal.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deploy.local.postgres import LocalPostgres

_TABLES = ("locker_calls", "locker_movements", "locker_cases", "locker_services", "lockers")


@pytest.fixture(scope="module")
async def filled_pool(postgres: LocalPostgres) -> AsyncIterator[asyncpg.Pool]:
    """Five connections to a migrated database of this module."""
    name = f"test_{uuid4().hex[:12]}"
    postgres.start()  # a fault test may have left it down
    postgres.create_database(name)
    address = {"host": postgres.host, "port": postgres.port, "user": postgres.user, "password": postgres.password}
    async with asyncpg.create_pool(**address, database=name, min_size=1, max_size=5) as pool:
        async with pool.acquire() as connection:
            await migrate(connection)
        yield pool
    postgres.drop_database(name)


@pytest.fixture(name="pool")
async def empty_pool(filled_pool: asyncpg.Pool) -> asyncpg.Pool:
    """The pool, with registers that hold nothing."""
    for table in _TABLES:
        await filled_pool.execute(f"delete from {table}")  # noqa: S608 — names of ours
    return filled_pool
