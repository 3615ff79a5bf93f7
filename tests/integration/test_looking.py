"""What recovery looks for: enough, never too much, and nothing that is only on its way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from adapter.journal.operations import Note
from adapter.journal.records import OutboxRow
from adapter.journal.statements import sql
from adapter.pipeline.recovery import Recovery
from tests.integration.rows import take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from adapter.journal.journal import Journal
    from adapter.journal.records import Exchange


class Endless:
    """Stands where the dispatcher stands: what it starts never ends."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.running: list[UUID] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.free = 2**40

    def room(self, largest: int) -> int:
        return max(1, self.free // largest)

    def start(self, exchange: Exchange) -> asyncio.Task[Any]:
        self.running.append(exchange.id)
        self.tasks.append(asyncio.create_task(asyncio.Event().wait()))
        return self.tasks[-1]

    start_repeat = start


class NoRelay:
    """Takes rows and publishes nothing."""

    held: tuple[UUID, ...] = ()
    room = room_bytes = 1000

    def offer(self, rows: list[OutboxRow]) -> None:
        pass


@pytest.fixture
async def endless() -> AsyncIterator[Endless]:
    endless = Endless()
    yield endless
    for task in endless.tasks:
        task.cancel()
    await asyncio.gather(*endless.tasks, return_exceptions=True)


@pytest.fixture
def recovery(journal: Journal, endless: Endless) -> Recovery:
    return Recovery(journal, endless, NoRelay(), ["echo"], returned="r")  # type: ignore[arg-type]


async def test_a_row_that_is_just_being_started_is_not_taken_for_lost(
    journal: Journal, recovery: Recovery, endless: Endless
) -> None:
    row = take(journal)
    await journal.write(row)
    await recovery._take_up_lost()
    assert endless.running == []
    await recovery._take_up_lost()
    assert endless.running == [row.exchange.id]


async def test_a_gateway_that_takes_nothing_does_not_fill_the_process_with_retries(
    journal: Journal, recovery: Recovery, endless: Endless, look: asyncpg.Connection
) -> None:
    await asyncio.gather(*(journal.write(take(journal, str(n).encode())) for n in range(500)))
    await look.execute("update exchanges set state = 'retrying', owner = null, next_at = now()")
    for _ in range(4):
        await recovery._look()
    assert len(endless.running) == 200


async def test_large_commands_are_fetched_to_run_a_few_at_a_time(
    journal: Journal, recovery: Recovery, endless: Endless, look: asyncpg.Connection
) -> None:
    await asyncio.gather(*(journal.write(take(journal, str(n).encode())) for n in range(20)))
    await look.execute("update exchanges set state = 'retrying', owner = null, next_at = now()")
    endless.free = 3 * 2**20
    await recovery._look()
    assert len(endless.running) == 3


async def test_large_replies_are_fetched_to_leave_a_few_at_a_time(journal: Journal, look: asyncpg.Connection) -> None:
    rows = [
        OutboxRow(uuid4(), datetime.now(UTC), uuid4(), "reply", "", "q", str(n), b"x" * 100, b"p") for n in range(5)
    ]
    await journal.write(Note(outbox=rows))
    await look.execute("update outbox set next_at = now()")
    assert [len(await journal.claim_outbox([], 10, most)) for most in (250, 50)] == [2, 1]


async def test_a_reply_that_is_just_being_published_is_not_taken_for_unpublished(journal: Journal) -> None:
    row = OutboxRow(uuid4(), datetime.now(UTC), uuid4(), "reply", "", "q", "m", b"{}", b"p")
    await journal.write(Note(outbox=(row,)))
    assert await journal.claim_outbox([], 10, 1000) == []


async def test_somebody_who_reads_for_long_holds_up_neither_the_sweep_nor_the_writes(
    journal: Journal, look: asyncpg.Connection
) -> None:
    day = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y%m%d")
    await look.execute(f"drop table outbox_{day}")
    async with look.transaction():
        await look.fetchval("select count(*) from outbox")
        async with asyncio.timeout(10):
            await journal.sweep(7)
            row = OutboxRow(uuid4(), datetime.now(UTC), uuid4(), "reply", "", "q", "m", b"{}", b"p")
            await journal.write(Note(outbox=(row,)))
    await journal.sweep(7)
    assert await look.fetchval("select to_regclass($1) is not null", f"outbox_{day}")


async def test_one_sweep_forgets_every_old_identity(journal: Journal, look: asyncpg.Connection) -> None:
    await look.execute(
        "insert into command_key select int4send(n), gen_random_uuid(), 's', now() - interval '8 days'"
        " from generate_series(1, 25000) n"
    )
    await journal.sweep(7)
    assert await look.fetchval("select count(*) from command_key") == 0


async def test_lost_rows_are_found_without_reading_the_whole_journal(
    journal: Journal, look: asyncpg.Connection
) -> None:
    await look.execute(
        "with rows as (insert into incoming (id, body_sha256, body_size, properties)"
        " select gen_random_uuid(), 's', 1, 'p' from generate_series(1, 5000) returning id)"
        " insert into exchanges (id, action, source, state, deadline, fingerprint)"
        " select id, 'a', 'a', 'waiting', now(), 'f' from rows"
    )
    await look.execute("analyze exchanges, incoming")
    await journal.claim_lost([], 10)
    plan = await look.fetch(
        f"explain {sql('claim_lost')}".replace("$1", f"'{journal.worker}'").replace("$2", "'{}'").replace("$3", "10")
    )
    assert "Seq Scan" not in "\n".join(row[0] for row in plan)
