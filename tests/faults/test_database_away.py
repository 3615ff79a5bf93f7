"""Without Postgres nothing is consumed and nothing is acked; it goes on when Postgres is back."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from bench.chaos.services import fell, rise
from tests.faults.conftest import numbered
from tests.faults.test_broker_away import balanced, free_port, operator, readiness

if TYPE_CHECKING:
    import asyncpg

    from deploy.local.postgres import LocalPostgres
    from tests.faults.conftest import Yard

MEGABYTE = 2**20


async def waiting_in_the_broker(yard: Yard, action: str, count: int) -> None:
    """Wait until ``count`` commands are ready in their queue: delivered to nobody, acked by nobody."""
    async with operator(yard) as channel, asyncio.timeout(40):
        while True:
            queue = await channel.declare_queue(yard.environment["MQ_PREFIX"] + action, passive=True)
            if queue.declaration_result.message_count == count:
                return
            await asyncio.sleep(0.05)


async def test_while_the_database_is_away_commands_stay_in_the_broker_and_are_answered_afterwards(
    yard: Yard, postgres: LocalPostgres
) -> None:
    port = free_port()
    async with yard.auditor("call") as auditor, yard.worker(HEALTH_PORT=str(port)) as victim:
        await auditor.publish(numbered(20))
        await auditor.answered(30)
        await yard.quiet()
        await fell(postgres)
        await auditor.publish(numbered(50))
        await readiness(port, ready=False)
        await waiting_in_the_broker(yard, "call", 50)
        await rise(postgres)
        await readiness(port, ready=True)
        await balanced(yard, auditor, 70)
        assert victim.alive


async def test_a_database_that_restarts_and_loses_every_backend_under_load_costs_nothing(
    yard: Yard, postgres: LocalPostgres
) -> None:
    ending = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'adapter'"
    async with yard.auditor("call") as auditor, yard.worker() as victim:
        publishing = asyncio.create_task(auditor.publish(numbered(300), most=20))
        await auditor.progressed(20, 30)
        await yard.ask(ending)
        await auditor.progressed(80, 30)
        await asyncio.to_thread(postgres.restart)
        await auditor.progressed(140, 30)
        await yard.ask(ending)
        await publishing
        await balanced(yard, auditor, 300)
        assert victim.alive


def limit_files(postgres: LocalPostgres, size: int | None) -> None:
    """Let no file of the server grow past ``size`` bytes (``ulimit -f``), in the postmaster and all its children."""
    postmaster = postgres.pid
    soft = "unlimited" if size is None else str(size)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(
                    (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
                )
                owner = entry.stat()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if postmaster in (parent, int(entry.name)):
                argv = ["prlimit", f"--pid={entry.name}", f"--fsize={soft}:unlimited"]
                # Root without its capabilities may not do it, the server's own account may.
                account = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
                subprocess.run(argv, **account, check=True, timeout=10)


async def test_a_database_out_of_space_pauses_consumption_and_no_ack_goes_without_a_journal_row(
    yard: Yard, postgres: LocalPostgres
) -> None:
    count = 60
    bodies = [(name, orjson.dumps({"noise": os.urandom(300_000).hex()})) for name, _ in numbered(count)]
    try:
        async with yard.auditor("echo") as auditor, yard.worker(MQ_MAX_BODY="1MB", MQ_PREFETCH="5") as victim:
            limit_files(postgres, 17 * MEGABYTE)  # a segment of the write-ahead log has 16 MB and must still fit
            publishing = asyncio.create_task(auditor.publish(bodies, most=5))
            await victim.said("journal is away")
            await publishing
            rows = await yard.ask("select count(*) from exchanges")
            assert 0 < rows < count
            async with operator(yard) as channel:
                queue = await channel.declare_queue(yard.environment["MQ_PREFIX"] + "echo", passive=True)
                ready = queue.declaration_result.message_count
            assert ready <= count - await yard.ask("select count(*) from exchanges where settled")
            assert ready + 5 >= count - await yard.ask("select count(*) from exchanges")
            limit_files(postgres, None)
            await auditor.answered(60)
            await yard.quiet()
            await auditor.caught_up()
            assert victim.alive
    finally:
        limit_files(postgres, None)
    verdict = auditor.books.verdict()
    assert (verdict.commands, verdict.lost, verdict.surplus) == (count, (), ())
    assert auditor.books.outcomes() == {"result": count}


async def test_no_command_is_acked_before_its_row_is_committed(yard: Yard) -> None:
    lock = await yard.connect()
    try:
        async with yard.auditor("call") as auditor, yard.worker():
            await auditor.publish(numbered(1))
            await auditor.answered(30)
            await yard.quiet()
            transaction = lock.transaction()
            await transaction.start()
            await lock.execute("lock table exchanges in access exclusive mode")
            await auditor.publish(numbered(10))
            await _blocked(yard)
            # Delivered, unacked, not journaled: cutting the worker off now has to bring them all back.
            assert len(yard.recorder.submits) == 1
            await transaction.rollback()
            await balanced(yard, auditor, 11)
    finally:
        await lock.close()


async def _blocked(yard: Yard) -> None:
    """Wait until the worker's writer waits for the lock."""
    question = (
        "select exists (select 1 from pg_stat_activity where application_name = 'adapter' and wait_event_type = 'Lock')"
    )
    admin: asyncpg.Connection = await yard.connect()
    try:
        async with asyncio.timeout(30):
            while not await admin.fetchval(question):  # noqa: ASYNC110 — a table gives no signal
                await asyncio.sleep(0.02)
    finally:
        await admin.close()
