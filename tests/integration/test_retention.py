"""What is over and old goes, on a real database; what somebody still needs never does."""

from __future__ import annotations

import asyncio
import hashlib
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from adapter import cli
from adapter.journal.migrate import migrate
from adapter.recovery.errors import RecoveryError
from adapter.recovery.retention import Rule, run, show

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from deploy.local.postgres import LocalPostgres
    from tests.conftest import Database

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
RULE = Rule(days=30, dedupe_days=7, files=None)
OLD, YOUNG = NOW - timedelta(days=60), NOW - timedelta(days=10)
_TABLES = (
    "exchanges, incoming, command_key, proof, outbox, subjects, last_words, locker_calls, epgu_tokens, epgu_followed,"
    " shep_emergencies"
)


@pytest.fixture(scope="module")
async def migrated(postgres: LocalPostgres) -> AsyncIterator[asyncpg.Connection]:
    name = "test_retention"
    postgres.start()  # a fault test may have left it down
    postgres.create_database(name)
    connection = await asyncpg.connect(
        host=postgres.host, port=postgres.port, user=postgres.user, password=postgres.password, database=name
    )
    await migrate(connection)
    yield connection
    await connection.close()
    postgres.drop_database(name)


@pytest.fixture
async def books(migrated: asyncpg.Connection) -> Books:
    """The empty journal, with partitions for the days of the tests."""
    await migrated.execute(f"truncate {_TABLES}")
    for parent in ("proof", "outbox"):
        for moment in (OLD, YOUNG):
            start = moment.replace(hour=0)
            await migrated.execute(
                f"create table if not exists {parent}_{start:%Y%m%d} partition of {parent} "
                f"for values from ('{start.isoformat()}') to ('{(start + timedelta(days=1)).isoformat()}')"
            )
    return Books(migrated)


class Books:
    """Writes what a worker would have written long ago."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self._made = 0

    async def exchange(
        self, state: str = "replied", at: datetime = OLD, *, ended: datetime | None = None, **more: Any
    ) -> UUID:
        self._made += 1
        one = UUID(int=int(at.timestamp() * 1000) << 80 | self._made)
        row = {"id": one, "action": "echo", "source": "echo", "state": state, "received_at": at, "fingerprint": b""}
        row |= {"deadline": at, "finished_at": (ended or at) if state not in {"waiting", "retrying"} else None} | more
        marks = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        statement = f"insert into exchanges ({', '.join(row)}) values ({marks})"  # noqa: S608  — names of ours
        await self.connection.execute(statement, *row.values())
        await self.connection.execute(
            "insert into incoming (id, body_sha256, body_size, properties) values ($1, '', 0, '')", one
        )
        await self.fact(one, "outcome", at)
        return one

    async def fact(self, one: UUID, kind: str, at: datetime, meta: Any = None, data: bytes | None = None) -> None:
        await self.connection.execute(
            "insert into proof (exchange_id, kind, at, meta, data) values ($1, $2, $3, $4, $5)",
            *(one, kind, at, orjson.dumps(meta or {}), data),
        )

    async def message(self, one: UUID, state: str, at: datetime = OLD) -> None:
        await self.connection.execute(
            "insert into outbox (id, created_at, exchange_id, kind, target, routing_key, message_id, body, properties,"
            " state) values ($1, $2, $1, 'reply', '', 'q', 'm', '', '', $3)",
            *(one, at, state),
        )

    async def left(self) -> set[UUID]:
        there = {row["id"] for row in await self.connection.fetch("select id from exchanges")}
        assert there == {row["id"] for row in await self.connection.fetch("select id from incoming")}
        return there

    async def days(self, parent: str = "proof") -> list[str]:
        rows = await self.connection.fetch(
            "select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::text::regclass", parent
        )
        return [row["name"] for row in rows]


async def test_what_is_over_and_old_goes_with_its_days_and_what_is_young_stays(books: Books) -> None:
    await books.exchange()
    await books.exchange("expired")
    young = await books.exchange(at=YOUNG)
    late = await books.exchange(ended=YOUNG)
    await books.fact(late, "outcome", YOUNG)
    done = await run(books.connection, RULE, NOW)
    assert done.exchanges == 2
    assert await books.left() == {young, late}
    assert f"proof_{YOUNG:%Y%m%d}" in await books.days()
    assert [day.fate for day in done.days if day.part == f"proof_{OLD:%Y%m%d}"] == ["held"]  # by the late one
    await run(books.connection, RULE, NOW + timedelta(days=31))
    assert await books.left() == set()
    assert f"proof_{OLD:%Y%m%d}" not in await books.days()
    assert f"outbox_{OLD:%Y%m%d}" not in await books.days("outbox")


@pytest.mark.parametrize("state", ["received", "submitting", "retrying", "waiting", "answered", "uncertain", "dead"])
async def test_what_is_open_or_waits_for_a_person_stays_with_all_its_bytes(books: Books, state: str) -> None:
    kept = await books.exchange(state)
    await books.message(kept, "sent")
    done = await run(books.connection, RULE, NOW)
    assert await books.left() == {kept}
    assert {day.fate for day in done.days} == {"held"}
    assert await books.connection.fetchval("select count(*) from proof where exchange_id = $1", kept) == 1
    assert await books.connection.fetchval("select count(*) from outbox where exchange_id = $1", kept) == 1


async def test_a_dead_one_goes_once_a_person_has_dropped_it(books: Books) -> None:
    dropped, replayed = await books.exchange("dead"), await books.exchange("dead")
    await books.fact(dropped, "dropped", OLD + timedelta(hours=1))
    await books.fact(replayed, "dropped", OLD + timedelta(hours=1))
    await books.fact(replayed, "outcome", OLD + timedelta(hours=2))
    await run(books.connection, RULE, NOW)
    assert await books.left() == {replayed}


async def test_a_message_that_has_not_gone_out_keeps_its_exchange_and_its_day(books: Books) -> None:
    parked = await books.exchange()
    await books.message(parked, "parked")
    await run(books.connection, RULE, NOW)
    assert await books.left() == {parked}
    assert f"outbox_{OLD:%Y%m%d}" in await books.days("outbox")


async def test_a_repeat_that_waits_keeps_the_command_that_it_repeats(books: Books) -> None:
    first = await books.exchange()
    repeat = await books.exchange("waiting", at=YOUNG, repeat_of=first)
    await run(books.connection, RULE, NOW)
    assert await books.left() == {first, repeat}


async def test_a_subject_is_kept_whole_until_its_youngest_exchange_is_old(books: Books) -> None:
    order, later, other = await books.exchange(), await books.exchange(at=YOUNG), await books.exchange()
    await books.connection.executemany(
        "insert into subjects (subject, exchange_id) values ($1, $2)", [("1", order), ("1", later), ("2", other)]
    )
    await books.connection.executemany(
        "insert into last_words (request_id, exchange_id) values ($1, $2)", [(order, later), (other, other)]
    )
    await run(books.connection, RULE, NOW)
    assert await books.left() == {order, later}
    assert await books.connection.fetchval("select count(*) from subjects") == 2
    assert await books.connection.fetchval("select request_id from last_words") == order


async def test_an_order_that_is_followed_and_an_emergency_that_is_open_keep_their_exchange(books: Books) -> None:
    followed, ended, emergency, closed = [await books.exchange() for _ in range(4)]
    await books.connection.executemany(
        "insert into epgu_followed (order_id, exchange_id, who, stage, checked_at) values ($1, $2, '{}', $3, $4)",
        [(1, followed, "statuses", OLD), (2, ended, "ended", OLD)],
    )
    await books.connection.executemany(
        "insert into shep_emergencies (opened_by, changed_by, exchange_id, received_at, closed_at)"
        " values ('adapter', 'adapter', $1, $2, $3)",
        [(emergency, OLD, None), (closed, OLD, OLD)],
    )
    done = await run(books.connection, RULE, NOW)
    assert await books.left() == {followed, emergency}
    assert done.registers["followed"] == 1
    assert await books.connection.fetchval("select order_id from epgu_followed") == 1


async def test_no_identity_outlives_its_exchange(books: Books) -> None:
    one = await books.exchange()
    await books.connection.execute(
        "insert into command_key (key, exchange_id, body_sha256, created_at) values ('k', $1, '', '2026-04-16Z')",
        one,
    )
    assert (await run(books.connection, RULE, NOW)).identities == 1
    assert await books.left() == set()
    with pytest.raises(RecoveryError, match="DEDUPE_DAYS"):
        Rule(days=7, dedupe_days=7, files=None)


async def test_what_fell_into_the_default_partition_is_emptied_when_all_of_it_is_over(books: Books) -> None:
    odd = OLD - timedelta(days=3)  # a day without a partition of its own
    kept = await books.exchange("uncertain", at=odd)
    await run(books.connection, RULE, NOW)
    assert await books.connection.fetchval("select count(*) from proof_default") == 1
    await books.connection.execute("update exchanges set state = 'failed' where id = $1", kept)
    await run(books.connection, RULE, NOW)
    assert await books.connection.fetchval("select count(*) from proof_default") == 0


async def test_a_day_that_somebody_reads_is_left_for_the_next_run(
    books: Books, postgres: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.recovery.retention._TRIES", 1)
    await books.exchange()
    reader = await asyncpg.connect(
        host=postgres.host,
        port=postgres.port,
        user=postgres.user,
        password=postgres.password,
        database="test_retention",
    )
    async with reader.transaction():
        await reader.fetch("select 1 from proof limit 1")
        done = await run(books.connection, RULE, NOW)
        assert [day.part for day in done.busy] == [f"proof_{OLD:%Y%m%d}"]
        # Whoever writes meanwhile does not wait behind it.
        async with asyncio.timeout(5):
            await reader.execute("insert into proof (exchange_id, kind) values (gen_random_uuid(), 'note')")
    await reader.close()
    assert not (await run(books.connection, RULE, NOW)).busy
    assert f"proof_{OLD:%Y%m%d}" not in await books.days()


async def test_a_row_that_a_worker_is_changing_is_left_for_another_day(books: Books, postgres: LocalPostgres) -> None:
    one = await books.exchange("expired")
    worker = await asyncpg.connect(
        host=postgres.host,
        port=postgres.port,
        user=postgres.user,
        password=postgres.password,
        database="test_retention",
    )
    async with worker.transaction():
        await worker.execute("update exchanges set state = 'answered' where id = $1", one)  # a late answer
        async with asyncio.timeout(10):
            assert (await run(books.connection, RULE, NOW)).exchanges == 0
    await worker.close()
    assert (await run(books.connection, RULE, NOW)).exchanges == 0
    assert await books.left() == {one}


async def test_small_registers_lose_what_is_old(books: Books) -> None:
    await books.connection.executemany(
        "insert into locker_calls (key, at) values ($1, $2)", [(b"old", OLD), (b"young", YOUNG)]
    )
    await books.connection.execute("insert into epgu_tokens values ('t', 'secret', now() - interval '1 s')")
    done = await run(books.connection, RULE, NOW)
    assert done.registers == {"calls": 1, "tokens": 1, "orders": 0, "followed": 0, "planned": 0}
    assert await books.connection.fetchval("select key from locker_calls") == b"young"


async def test_a_file_goes_when_no_exchange_that_is_kept_names_it(books: Books, tmp_path: Path) -> None:
    def stored(content: bytes, at: datetime) -> Path:
        digest = hashlib.sha256(content).hexdigest()
        file = tmp_path / digest[:2] / digest
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        os.utime(file, (at.timestamp(), at.timestamp()))
        return file

    gone, noted, sent = (stored(content, OLD) for content in (b"a", b"b", b"c"))
    young = stored(b"d", YOUNG)
    over, kept = await books.exchange(), await books.exchange("uncertain")
    await books.fact(over, "answer", OLD, {"attachments": [{"sha256": gone.name}]})
    await books.fact(kept, "answer", OLD, {"attachments": [{"sha256": noted.name}]})
    await books.fact(kept, "request", OLD, data=orjson.dumps({"path": f"{sent.parent.name}/{sent.name}"}))
    rule = Rule(days=30, dedupe_days=7, files=tmp_path)
    assert (await show(books.connection, rule, NOW)).files == 3
    done = await run(books.connection, rule, NOW)
    assert (done.files, done.files_size) == (1, 1)
    assert not gone.exists()
    assert noted.exists()
    assert sent.exists()
    assert young.exists()


async def test_the_overview_counts_and_changes_nothing(books: Books) -> None:
    over, kept = await books.exchange(), await books.exchange("uncertain")
    found = await show(books.connection, RULE, NOW)
    assert [(one.state, one.over, one.exchanges) for one in found.exchanges] == [
        ("replied", True, 1),
        ("uncertain", False, 1),
    ]
    assert {day.part for day in found.days if day.fate == "old"} == {
        f"{parent}_{OLD:%Y%m%d}" for parent in ("proof", "outbox")
    }
    assert await books.left() == {over, kept}


async def test_the_command_needs_a_rule_and_tells_what_it_removed(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in database.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RETENTION_DAYS", raising=False)
    connection = await asyncpg.connect(
        host=database.host, port=database.port, user=database.user, password=database.password, database=database.name
    )
    await migrate(connection)
    monkeypatch.setattr("adapter.recovery.door.configure", lambda *_, **__: None)
    assert await asyncio.to_thread(cli.main, ["retention", "run"]) == 1
    assert "RETENTION_DAYS" in capsys.readouterr().err
    await Books(connection).exchange()
    assert await asyncio.to_thread(cli.main, ["retention", "show", "--days", "30"]) == 0
    assert "1 exchanges replied" in capsys.readouterr().out
    monkeypatch.setenv("RETENTION_DAYS", "30")
    assert await asyncio.to_thread(cli.main, ["retention", "run", "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["exchanges"] == 1
    await connection.close()
