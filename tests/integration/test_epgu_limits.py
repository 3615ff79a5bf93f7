"""Limits and tokens of ЕПГУ in a real database: held over connections that count at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from adapter.gateways.epgu.keeping import Shared, TokensInDatabase
from adapter.gateways.epgu.limits import WINDOW, Bounds, LimitsInDatabase
from adapter.gateways.epgu.statements import AwayError
from adapter.journal.lending import Lending
from adapter.journal.migrate import migrate
from adapter.journal.writer import JournalUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deploy.local.postgres import LocalPostgres


@pytest.fixture(scope="module")
async def database(postgres: LocalPostgres) -> AsyncIterator[dict[str, object]]:
    name = f"test_{uuid4().hex[:12]}"
    postgres.start()
    postgres.create_database(name)
    address: dict[str, object] = {
        "host": postgres.host, "port": postgres.port, "user": postgres.user, "password": postgres.password,
        "database": name,
    }  # fmt: skip
    connection = await asyncpg.connect(**address)
    await migrate(connection)
    await connection.close()
    yield address
    postgres.drop_database(name)


@pytest.fixture
async def connection(database: dict[str, object]) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(**database)
    await opened.execute("update epgu_requests set requests = 0; delete from epgu_orders_made; delete from epgu_tokens")
    yield opened
    await opened.close()


@pytest.fixture
async def shared(database: dict[str, object], connection: asyncpg.Connection) -> AsyncIterator[Shared]:
    lending = Lending(lambda: asyncpg.connect(**database))
    yield Shared(lending.lend, away=(JournalUnavailableError,))
    await lending.aclose()


async def test_no_more_orders_than_allowed_are_counted_at_once(shared: Shared) -> None:
    limits = LimitsInDatabase(Bounds(orders=5), shared)
    waits = await asyncio.gather(*(limits.take_order("1", "10000000113") for _ in range(12)))
    assert sum(wait == 0 for wait in waits) == 5
    assert all(WINDOW - 60 < wait <= WINDOW for wait in waits if wait)
    assert await limits.take_order("2", "10000000113") == 0


async def test_an_order_leaves_the_window_after_ten_minutes(shared: Shared, connection: asyncpg.Connection) -> None:
    limits = LimitsInDatabase(Bounds(orders=2), shared)
    assert [await limits.take_order("1", "7") for _ in range(2)] == [0, 0]
    await connection.execute("update epgu_orders_made set at = at - interval '599 seconds'")
    assert 0 < await limits.take_order("1", "7") <= 1
    await connection.execute("update epgu_orders_made set at = at - interval '1 second'")
    assert await limits.take_order("1", "7") == 0
    assert await connection.fetchval("select count(*) from epgu_orders_made") == 1


async def test_requests_are_counted_by_calendar_and_begin_anew(shared: Shared, connection: asyncpg.Connection) -> None:
    limits = LimitsInDatabase(Bounds(hour=7), shared)
    waits = await asyncio.gather(*(limits.take_request() for _ in range(10)))
    assert sum(wait == 0 for wait in waits) in {7, 8, 9, 10}, "an hour may begin meanwhile"
    await connection.execute("update epgu_requests set requests = 7 where period = 'hour'")
    assert 0 < await limits.take_request() <= 3600
    counted = await connection.fetchval("select requests from epgu_requests where period = 'year'")
    await connection.execute("update epgu_requests set began = began - interval '1 hour' where period = 'hour'")
    assert await limits.take_request() == 0
    assert await connection.fetchval("select requests from epgu_requests where period = 'year'") == counted + 1
    assert await connection.fetchval("select requests from epgu_requests where period = 'hour'") == 1


async def test_a_token_is_found_until_it_ends(shared: Shared) -> None:
    shelf = TokensInDatabase(shared)
    identifier = await shelf.keep("plain-token")
    assert await shelf.keep("plain-token") == identifier
    assert await shelf.find(identifier) == "plain-token"
    later = TokensInDatabase(shared, clock=lambda: datetime.now(UTC) - timedelta(hours=1))
    ended = await later.keep("another")
    assert await shelf.find(ended) is None
    assert await shelf.find("00" * 32) is None


async def test_a_database_that_is_away_is_told_as_that() -> None:
    lending = Lending(lambda: asyncpg.connect(host="127.0.0.1", port=1, user="x", timeout=1))
    with pytest.raises(AwayError):
        await LimitsInDatabase(Bounds(), Shared(lending.lend, away=(JournalUnavailableError,))).take_request()
