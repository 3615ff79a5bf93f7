"""Acks that are certain reach their rows: with a move where one comes, else on their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapter.exchange import State
from adapter.journal.operations import Finish, Move, Retry, Wait
from tests.integration.rows import submit, take, until

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

    from adapter.journal.journal import Journal

SETTLED = "select settled from exchanges where id = $1"


async def taken(journal: Journal) -> UUID:
    row = take(journal)
    await journal.write(row)
    return row.exchange.id


async def test_a_mark_that_no_move_carries_is_written_by_itself(journal: Journal, look: asyncpg.Connection) -> None:
    row = await taken(journal)
    journal.settlements.add([row])
    await until(look, SETTLED, row)


@pytest.mark.parametrize("kind", ["wait", "retry", "finish"])
async def test_a_move_carries_the_mark_of_its_row(journal: Journal, look: asyncpg.Connection, kind: str) -> None:
    row = await taken(journal)
    if kind == "finish":
        move: Move | Finish = Finish(row, journal.worker, State.RECEIVED, State.REPLIED, b"{}", None)
    else:
        await journal.write(submit(journal, row))
        move = Wait(row, journal.worker) if kind == "wait" else Retry(row, journal.worker, 60)
    journal.settlements.add([row])
    written = journal.write(move)
    assert move.settled
    assert await written
    assert await look.fetchval(SETTLED, row)


async def test_a_mark_whose_move_does_not_apply_is_written_by_itself(
    journal: Journal, look: asyncpg.Connection
) -> None:
    row = await taken(journal)
    journal.settlements.add([row])
    assert not await journal.write(Wait(row, journal.worker))
    await until(look, SETTLED, row)


async def test_the_end_of_a_worker_waits_for_its_marks(journal: Journal, look: asyncpg.Connection) -> None:
    rows = [await taken(journal) for _ in range(3)]
    journal.settlements.add(rows)
    await journal.settlements.drain()
    assert await look.fetchval("select bool_and(settled) from exchanges where id = any($1)", rows)
