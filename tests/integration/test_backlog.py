"""The figures of the whole deployment, read from a real journal."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from adapter.journal.backlog import BacklogSample
from adapter.journal.migrate import migrate
from adapter.journal.statements import sql
from adapter.journal.writer import JournalUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import Database


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    found = await asyncpg.connect(
        host=database.host, port=database.port, user=database.user, password=database.password, database=database.name
    )
    await migrate(found)
    yield found
    await found.close()


async def put(connection: asyncpg.Connection, state: str, *, count: int = 1, minutes: int = 0) -> None:
    for _ in range(count):
        await connection.execute(
            "insert into exchanges (id, action, source, state, received_at, finished_at, deadline, fingerprint)"
            " values ($1, 'echo', 'echo', $2, now() - make_interval(mins => $3), now(), now(), '')",
            uuid4(),
            state,
            minutes,
        )


async def test_open_rows_are_counted_by_state_with_the_age_of_the_oldest(connection: asyncpg.Connection) -> None:
    asked = 0

    @asynccontextmanager
    async def lend() -> AsyncIterator[asyncpg.Connection]:
        nonlocal asked
        asked += 1
        yield connection

    await put(connection, "received", count=2)
    await put(connection, "received", minutes=10)
    await put(connection, "waiting", count=3)
    await put(connection, "dead", count=2)
    await connection.execute(
        "insert into proof (exchange_id, kind) select id, 'dropped' from exchanges where state = 'dead' limit 1"
    )
    await put(connection, "uncertain", count=2)
    await put(connection, "replied", count=5)
    sample = BacklogSample(lend)
    backlog = await sample.fresh()
    assert backlog is not None
    counts = {state: count for (kind, state), (count, _) in backlog.rows.items() if kind == "exchanges"}
    assert counts == {"received": 3, "waiting": 3, "dead": 1, "uncertain": 2}
    assert 599 < backlog.rows["exchanges", "received"][1] < 700
    assert 599 < backlog.lag["echo"] < 700
    await put(connection, "dead")
    assert await sample.fresh() is backlog
    assert asked == 1


async def test_counting_goes_no_further_than_it_was_told(connection: asyncpg.Connection) -> None:
    await put(connection, "waiting", count=5)
    rows = await connection.fetch(sql("backlog"), 3)
    assert [(row["label"], row["count"]) for row in rows] == [("waiting", 3)]


async def test_a_database_that_is_away_leaves_the_figures_unknown() -> None:
    @asynccontextmanager
    async def lend() -> AsyncIterator[asyncpg.Connection]:
        raise JournalUnavailableError
        yield

    assert await BacklogSample(lend).fresh() is None
