"""What two deliveries, two runs or two workers may do to one row at the same moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from adapter.exchange import State
from adapter.journal.operations import Finish, Retry, TakenAs
from adapter.journal.records import OutboxRow
from adapter.journal.writer import RowRefusedError
from tests.integration.rows import submit, take

if TYPE_CHECKING:
    import asyncpg

    from adapter.journal.journal import Journal


async def until_blocked(look: asyncpg.Connection, writing: asyncio.Future[object]) -> None:
    """Wait until somebody waits for a lock that ``look`` holds, or ``writing`` got through all the same."""
    blocked = "select count(*) > 0 from pg_locks where not granted"
    async with asyncio.timeout(10):
        while not writing.done() and not await look.fetchval(blocked):  # noqa: ASYNC110 — locks give no signal
            await asyncio.sleep(0.01)


async def test_a_repeat_journaled_beside_a_row_that_postgres_refuses_becomes_the_command_itself(
    journal: Journal,
    look: asyncpg.Connection,
) -> None:
    sick, twin = take(journal, b"1", key=b"k"), take(journal, b"1", key=b"k")
    sick.exchange.message_id = "a\x00b"
    refused, taken = await asyncio.gather(journal.write(sick), journal.write(twin), return_exceptions=True)
    assert isinstance(refused, RowRefusedError)
    assert taken.kind is TakenAs.NEW
    row = await look.fetchrow("select state, repeat_of, owner from exchanges where id = $1", twin.exchange.id)
    assert (row["state"], row["repeat_of"], row["owner"]) == ("received", None, journal.worker)


async def test_another_body_beside_a_row_that_postgres_refuses_is_not_held_for_reuse(
    journal: Journal,
    look: asyncpg.Connection,
) -> None:
    sick, other = take(journal, b"1", key=b"k"), take(journal, b"2", key=b"k")
    sick.exchange.message_id = "a\x00b"
    await asyncio.gather(journal.write(sick), journal.write(other), return_exceptions=True)
    assert await look.fetchval("select refusal from exchanges where id = $1", other.exchange.id) is None


async def test_of_two_intents_for_one_row_in_one_commit_only_one_may_call(journal: Journal) -> None:
    row = take(journal)
    await journal.write(row)
    applied = await asyncio.gather(*(journal.write(submit(journal, row.exchange.id, name)) for name in ("g-1", "g-2")))
    assert sorted(applied) == [False, True]
    loaded = await journal.load(row.exchange.id)
    assert loaded is not None
    assert loaded.gateway_id == ("g-1" if applied[0] else "g-2")


async def test_of_two_outcomes_for_one_row_in_one_commit_only_one_replies(
    journal: Journal,
    look: asyncpg.Connection,
) -> None:
    row = take(journal)
    await journal.write(row)
    finishes = [
        Finish(
            row.exchange.id,
            journal.worker,
            State.RECEIVED,
            state,
            b"{}",
            None,
            outbox=(OutboxRow(uuid4(), datetime.now(UTC), row.exchange.id, "reply", "", "q", "m", b"{}", b"p"),),
        )
        for state in (State.REPLIED, State.EXPIRED)
    ]
    results = await asyncio.gather(*(journal.write(finish) for finish in finishes))
    assert sorted(result.applied for result in results) == [False, True]
    assert await look.fetchval("select count(*) from outbox") == 1


async def test_whoever_knows_an_old_state_of_a_row_makes_no_call_for_it(journal: Journal) -> None:
    row = take(journal)
    await journal.write(row)
    assert await journal.write(submit(journal, row.exchange.id, "g-1"))
    await journal.write(Retry(row.exchange.id, journal.worker, 0.0))
    assert await journal.claim_retries(["echo"], 10)
    # A copy read before the first attempt would mint a second id for a request that may have been taken.
    assert await journal.write(submit(journal, row.exchange.id, "g-2")) is False
    assert await journal.write(submit(journal, row.exchange.id, "g-1", state=State.RETRYING, attempts=1))


async def test_a_redelivery_is_recognised_while_its_row_is_being_changed(
    journal: Journal,
    look: asyncpg.Connection,
) -> None:
    row = take(journal, b"x")
    await journal.write(row)
    change = look.transaction()
    await change.start()
    await look.execute("update exchanges set attempts = 1 where id = $1", row.exchange.id)
    again = journal.write(take(journal, b"x", session="s2", redelivered=True))
    await until_blocked(look, again)
    await change.commit()
    assert (await again).kind is TakenAs.REDELIVERED


async def test_a_delivery_and_its_redelivery_in_one_commit_are_one_command(
    journal: Journal,
    look: asyncpg.Connection,
) -> None:
    first, again = take(journal, b"x"), take(journal, b"x", session="s2", redelivered=True)
    _, verdict = await asyncio.gather(journal.write(first), journal.write(again))
    assert (verdict.kind, verdict.exchange_id) == (TakenAs.REDELIVERED, first.exchange.id)
    assert await look.fetchval("select count(*) from exchanges") == 1


async def test_a_redelivered_reuse_of_a_message_id_is_refused_once(
    journal: Journal,
    look: asyncpg.Connection,
) -> None:
    await journal.write(take(journal, b"1", key=b"k"))
    await journal.write(take(journal, b"2", key=b"k"))
    again = await journal.write(take(journal, b"2", key=b"k", session="s2", redelivered=True))
    assert again.kind is TakenAs.REDELIVERED
    assert await look.fetchval("select count(*) from exchanges") == 2


async def test_a_commit_that_loses_a_deadlock_is_made_again(
    journal: Journal,
    look: asyncpg.Connection,
) -> None:
    insert = "insert into command_key (key, exchange_id, body_sha256) values ($1, gen_random_uuid(), 's')"
    other = look.transaction()
    await other.start()
    await look.execute("set local deadlock_timeout = '30s'")
    await look.execute(insert, b"b")
    writing = asyncio.gather(*(journal.write(take(journal, b"1", key=key)) for key in (b"a", b"b")))
    await until_blocked(look, writing)
    # Both wait for each other now: Postgres ends the journal's transaction.
    await look.execute(insert, b"a")
    await other.rollback()
    assert [taken.kind for taken in await writing] == [TakenAs.NEW, TakenAs.NEW]
