"""Migrations: applied once, by one, unchanged for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from adapter.journal.migrate import MIGRATIONS, MigrationError, migrate, pending, read_migrations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conftest import Database


async def connect(database: Database) -> asyncpg.Connection:
    return await asyncpg.connect(
        host=database.host, port=database.port, user=database.user, password=database.password, database=database.name
    )


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    found = await connect(database)
    yield found
    await found.close()


async def test_a_fresh_database_gets_every_migration_and_a_second_run_none(connection: asyncpg.Connection) -> None:
    assert await pending(connection) == read_migrations()
    assert await migrate(connection) == read_migrations()
    assert await migrate(connection) == []
    assert await pending(connection) == []


async def test_two_workers_starting_together_migrate_once(database: Database) -> None:
    connections = [await connect(database) for _ in range(4)]
    applied = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(len(done) for done in applied) == [0, 0, 0, len(read_migrations())]
    for connection in connections:
        await connection.close()


async def test_a_migration_changed_after_it_was_applied_stops_the_start(
    connection: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "0001_first.pre.sql"
    file.write_text("create table one (n integer)", encoding="utf-8")
    await migrate(connection, folder=tmp_path)
    file.write_text("create table one (n bigint)", encoding="utf-8")
    with pytest.raises(MigrationError, match="0001 first"):
        await migrate(connection, folder=tmp_path)


async def test_pre_migrations_alone_leave_the_post_ones_for_later(
    connection: asyncpg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "0001_first.pre.sql").write_text("create table one (n integer)", encoding="utf-8")
    (tmp_path / "0001_first.post.sql").write_text("alter table one add m integer", encoding="utf-8")
    assert [migration.phase for migration in await migrate(connection, phases=("pre",), folder=tmp_path)] == ["pre"]
    assert [migration.phase for migration in await pending(connection, tmp_path)] == ["post"]
    assert [migration.phase for migration in await migrate(connection, folder=tmp_path)] == ["post"]


async def test_a_failing_migration_leaves_nothing_of_itself(connection: asyncpg.Connection, tmp_path: Path) -> None:
    (tmp_path / "0001_broken.pre.sql").write_text("create table one (n integer); select nonsense", encoding="utf-8")
    with pytest.raises(asyncpg.PostgresError):
        await migrate(connection, folder=tmp_path)
    assert await connection.fetchval("select to_regclass('one')") is None


def test_a_misnamed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "first.sql").write_text("select 1", encoding="utf-8")
    with pytest.raises(MigrationError, match=r"first\.sql"):
        read_migrations(tmp_path)


def test_every_migration_has_its_number_once() -> None:
    seen = [(migration.number, migration.phase) for migration in read_migrations(MIGRATIONS)]
    assert len(seen) == len(set(seen))
