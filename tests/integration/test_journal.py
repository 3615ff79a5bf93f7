"""The group-committing writer on a real database: groups, fences, poison."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from adapter.exchange import State
from adapter.journal.evidence import EvidenceAs
from adapter.journal.journal import Journal
from adapter.journal.operations import Finish, Mark, Note, Retry, Settle, TakenAs, Wait
from adapter.journal.records import OutboxRow, ProofRow
from adapter.journal.writer import RowRefusedError
from tests.integration.rows import evidence, submit, take


async def test_what_arrives_together_is_committed_together_and_each_hears_its_own_result(journal: Journal) -> None:
    takes = [take(journal, str(n).encode(), key=str(n % 7).encode()) for n in range(700)]
    results = await asyncio.gather(*(journal.write(one) for one in takes))
    assert sum(result.kind is TakenAs.NEW for result in results) == 7
    assert sum(result.kind is TakenAs.REUSED for result in results) == 693


async def test_one_row_that_postgres_refuses_fails_alone(journal: Journal, look: asyncpg.Connection) -> None:
    takes = [take(journal, str(n).encode()) for n in range(50)]
    takes[20].exchange.message_id = "a\x00b"
    takes[33].exchange.correlation = "\ud800"
    results = await asyncio.gather(*(journal.write(one) for one in takes), return_exceptions=True)
    refused = [n for n, result in enumerate(results) if isinstance(result, RowRefusedError)]
    assert refused == [20, 33]
    assert await look.fetchval("select count(*) from exchanges") == 48


async def test_the_same_key_and_body_is_a_repeat_another_body_is_reuse(journal: Journal) -> None:
    first = await journal.write(take(journal, b"1", key=b"k"))
    repeat = take(journal, b"1", key=b"k")
    taken = await journal.write(repeat)
    assert taken.kind is TakenAs.REPEAT
    assert taken.exchange is not None
    assert taken.exchange.repeat_of == first.exchange_id
    reuse = take(journal, b"2", key=b"k")
    reused = await journal.write(reuse)
    assert reused.kind is TakenAs.REUSED
    assert reused.exchange is not None
    assert reused.exchange.refusal == "message-id-reused"


async def test_a_redelivery_of_an_unsettled_row_is_recognised_once_per_row(journal: Journal) -> None:
    one, two = take(journal, b"same"), take(journal, b"same")
    await asyncio.gather(journal.write(one), journal.write(two))
    again = [take(journal, b"same", session="s2", redelivered=True) for _ in range(3)]
    verdicts = [(await journal.write(delivery)).kind for delivery in again]
    assert verdicts == [TakenAs.REDELIVERED, TakenAs.REDELIVERED, TakenAs.NEW]


async def test_a_settled_row_is_never_taken_for_a_redelivery(journal: Journal) -> None:
    first = take(journal, b"x")
    await journal.write(first)
    await journal.write(Settle([first.exchange.id]))
    again = await journal.write(take(journal, b"x", session="s2", redelivered=True))
    assert again.kind is TakenAs.NEW


async def test_a_keyed_redelivery_needs_no_second_reply(journal: Journal) -> None:
    first = await journal.write(take(journal, b"x", key=b"k"))
    again = await journal.write(take(journal, b"x", key=b"k", session="s2", redelivered=True))
    assert (again.kind, again.exchange_id) == (TakenAs.REDELIVERED, first.exchange_id)


async def test_a_stranger_cannot_move_a_row_that_is_not_its_own(journal: Journal, look: asyncpg.Connection) -> None:
    row = take(journal)
    await journal.write(row)
    stranger = uuid4()
    assert await journal.write(submit(journal, row.exchange.id, owner=stranger)) is False
    assert await journal.write(Wait(row.exchange.id, stranger)) is False
    assert await journal.write(Retry(row.exchange.id, stranger, 1.0)) is False
    finish = Finish(row.exchange.id, stranger, State.RECEIVED, State.REPLIED, b"{}", None)
    assert (await journal.write(finish)).applied is False
    assert await look.fetchval("select state from exchanges") == "received"


async def test_what_did_not_apply_writes_no_reply_and_no_proof(journal: Journal, look: asyncpg.Connection) -> None:
    row = take(journal)
    await journal.write(row)
    out = OutboxRow(uuid4(), datetime.now(UTC), row.exchange.id, "reply", "", "q", "m", b"{}", b"p")
    proof = ProofRow(row.exchange.id, "outcome")
    finish = Finish(row.exchange.id, uuid4(), State.RECEIVED, State.REPLIED, b"{}", None, outbox=(out,), proof=(proof,))
    await journal.write(finish)
    assert await look.fetchval("select count(*) from outbox") == 0
    assert await look.fetchval("select count(*) from proof") == 0


async def test_a_whole_life_moves_through_every_state(journal: Journal, look: asyncpg.Connection) -> None:
    row = take(journal)
    await journal.write(row)
    exchange_id = row.exchange.id
    assert await journal.write(submit(journal, exchange_id))
    assert await journal.write(Retry(exchange_id, journal.worker, 0.0))
    assert [found.id for found in await journal.claim_retries(["echo"], 10)] == [exchange_id]
    assert await journal.write(submit(journal, exchange_id, state=State.RETRYING, attempts=1))
    assert await journal.write(Wait(exchange_id, journal.worker))
    taken = await journal.write(evidence(journal, "g-1", b"key-1"))
    assert taken.kind is EvidenceAs.MATCHED
    finish = Finish(exchange_id, journal.worker, State.ANSWERED, State.REPLIED, b'{"result":1}', None)
    assert (await journal.write(finish)).applied
    loaded = await journal.load(exchange_id)
    assert loaded is not None
    assert (loaded.state, loaded.attempts, loaded.replies) == (State.REPLIED, 2, 1)
    assert [proof["kind"] for proof in await journal.proofs(exchange_id, "answer")] == ["answer"]


async def test_evidence_is_matched_once_then_news_or_a_repeat_and_strangers_are_orphans(journal: Journal) -> None:
    row = take(journal)
    await journal.write(row)
    await journal.write(submit(journal, row.exchange.id))
    status = await journal.write(evidence(journal, "g-1", b"status", final=False))
    assert status.kind is EvidenceAs.NEWS
    verdicts = [(await journal.write(evidence(journal, "g-1", key))).kind for key in (b"a", b"a", b"b")]
    assert verdicts == [EvidenceAs.MATCHED, EvidenceAs.REPEAT, EvidenceAs.NEWS]
    assert (await journal.write(evidence(journal, "unknown", b"c"))).kind is EvidenceAs.ORPHAN


async def test_proof_cannot_be_changed_or_deleted(journal: Journal, look: asyncpg.Connection) -> None:
    await journal.write(Note(proof=(ProofRow(uuid4(), "request", "m", b"bytes"),)))
    for statement in ("update proof set data = 'x'", "delete from proof"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await look.execute(statement)


async def test_a_parked_message_comes_back_when_its_time_has_come(journal: Journal) -> None:
    out = OutboxRow(uuid4(), datetime.now(UTC), uuid4(), "reply", "", "q", "m", b"{}", b"p")
    await journal.write(Note(outbox=(out,)))
    assert await journal.claim_outbox([out.id], 10, 1000) == []
    await journal.write(Mark(out, "parked", reason="unroutable", delay=0.0))
    (again,) = await journal.claim_outbox([], 10, 1000)
    assert (again.id, again.attempts) == (out.id, 1)
    await journal.write(Mark(again, "sent"))
    assert await journal.claim_outbox([], 10, 1000) == []


async def test_rows_of_a_living_worker_are_not_rescued(journal: Journal, look: asyncpg.Connection) -> None:
    other = Journal(journal._address, worker_name="other")
    await other.take_lease()
    row = take(journal, owner=other.worker)
    await journal.write(row)
    assert await journal.claim_orphan(["echo"]) is None
    await look.execute("update workers set lease_until = now() where id = $1", other.worker)
    rescued = await journal.claim_orphan(["echo"])
    assert rescued is not None
    assert (rescued.id, rescued.crash_attempts) == (row.exchange.id, 1)


async def test_day_partitions_are_made_ahead_and_twice_is_once(journal: Journal, look: asyncpg.Connection) -> None:
    await journal.sweep(7)
    await journal.sweep(7)
    today = datetime.now(UTC).strftime("%Y%m%d")
    names = {row["relname"] for row in await look.fetch("select relname from pg_class where relname like 'proof_2%'")}
    assert f"proof_{today}" in names
