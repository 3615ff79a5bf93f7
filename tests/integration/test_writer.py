"""The writer beside a database that dies in silence, refuses everything, or is handed more than it can carry."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from unittest.mock import Mock
from uuid import uuid4

import pytest

from adapter.journal import writer
from adapter.journal.operations import Mark
from adapter.journal.records import OutboxRow
from adapter.journal.writer import JournalUnavailableError
from tests.integration.rows import take, until

if TYPE_CHECKING:
    import asyncpg

    from adapter.journal.journal import Journal


async def test_a_connection_that_dies_while_nothing_is_written_costs_no_write(
    journal: Journal, look: asyncpg.Connection
) -> None:
    ours = "from pg_stat_activity where application_name = 'adapter' and datname = current_database()"
    old = [row["pid"] for row in await look.fetch(f"select pid {ours}")]
    await look.execute(f"select pg_terminate_backend(pid) {ours}")
    await until(look, f"select count(*) > 0 {ours} and not (pid = any($1))", old, seconds=3)
    await journal.available.wait()
    row = take(journal)
    await journal.write(row)
    assert await look.fetchval("select count(*) from exchanges") == 1


async def test_a_database_that_refuses_every_write_is_asked_less_and_less_often(
    journal: Journal, look: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Mock()
    monkeypatch.setattr(writer, "log", log)
    await look.execute("alter table exchanges rename to moved")
    for _ in range(3):
        with pytest.raises(JournalUnavailableError):
            await journal.write(take(journal))
        assert not journal.available.is_set()
        await journal.available.wait()
    assert [call.kwargs["retry_in"] for call in log.warning.call_args_list] == [0.1, 0.2, 0.5]


async def test_heavy_rows_are_committed_in_groups_bounded_by_bytes(
    journal: Journal, look: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_HEAVY", 1000)
    takes = [take(journal, str(n).encode() * 400) for n in range(10)]
    await asyncio.gather(*(journal.write(one) for one in takes))
    assert await look.fetchval("select max(n) from (select count(*) n from exchanges group by xmin::text) t") <= 3


async def test_what_hurries_nobody_goes_with_what_does_and_alone_a_moment_later(
    journal: Journal, look: asyncpg.Connection
) -> None:
    first, second = take(journal, b"1"), take(journal, b"2")
    out = OutboxRow(uuid4(), datetime.now(UTC), first.exchange.id, "reply", "", "q", "m", b"{}", b"p")
    first.outbox = (out,)
    await journal.write(first)
    parked = journal.write(Mark(out, "parked", reason="unroutable"))
    assert await journal.write(second)
    assert parked.done()
    shared = "select count(*) from outbox o join exchanges e on o.xmin::text = e.xmin::text where e.id = $1"
    assert await look.fetchval(shared, second.exchange.id) == 1
    assert await journal.write(Mark(out, "sent"))
    assert await look.fetchval("select state from outbox") == "sent"


async def test_what_one_turn_of_the_loop_brings_after_another_is_one_commit(
    journal: Journal, look: asyncpg.Connection
) -> None:
    async def behind() -> None:
        await journal.write(take(journal, b"2"))

    async with asyncio.TaskGroup() as group:
        ahead = journal.write(take(journal, b"1"))
        asyncio.get_running_loop().call_soon(lambda: group.create_task(behind()))
        await ahead
    assert await look.fetchval("select count(distinct xmin::text) from exchanges") == 1


async def test_the_lease_is_kept_while_reading_is_stuck(journal: Journal, look: asyncpg.Connection) -> None:
    async with journal._reading:
        await look.execute("update workers set lease_until = now()")
        await until(look, "select lease_until > now() from workers where id = $1", journal.worker)
