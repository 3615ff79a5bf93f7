"""Broker and database die under the worker: it pauses, comes back alone, and loses nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import orjson
import pytest

from adapter.exchange import Accepted, Answer, AnswerKind, Repeat
from adapter.journal.operations import Note
from adapter.journal.writer import JournalUnavailableError
from tests.integration.conftest import ScriptedGateway
from tests.integration.rows import until

if TYPE_CHECKING:
    from adapter.worker import Worker
    from deploy.local.postgres import LocalPostgres
    from deploy.local.rabbitmq import LocalRabbit
    from tests.conftest import Database
    from tests.integration.conftest import HouseBuilder, Upstream


async def readiness(worker: Worker, part: str, *, works: bool) -> None:
    async with asyncio.timeout(60):
        while worker.parts().get(part) is not works:  # noqa: ASYNC110 — readiness is a question
            await asyncio.sleep(0.05)


async def results(upstream: Upstream, count: int) -> list[int]:
    return sorted([orjson.loads((await upstream.reply(60)).body)["result"] for _ in range(count)])


async def distinct_results(upstream: Upstream, seen: set[int], count: int) -> set[int]:
    found = set(seen)
    while len(found) < count:
        found.add(orjson.loads((await upstream.reply(60)).body)["result"])
    return found


async def test_commands_published_while_the_database_is_away_are_answered_when_it_is_back(
    builder: HouseBuilder, postgres: LocalPostgres
) -> None:
    async with builder.worker() as (worker, *_), builder.upstream() as upstream:
        await upstream.ask("echo", -1)
        postgres.kill()
        await readiness(worker, "database", works=False)
        for number in range(20):
            await upstream.publish("echo", number, message_id=f"n-{number}")
        postgres.start()
        await readiness(worker, "database", works=True)
        # The first reply may come again under its id: its mark may have been lost.
        assert await distinct_results(upstream, {-1}, 21) == set(range(-1, 20))


async def test_every_backend_terminated_in_the_middle_of_a_load_costs_no_reply(
    builder: HouseBuilder, database: Database, postgres: LocalPostgres
) -> None:
    admin = await asyncpg.connect(
        host=database.host, port=database.port, user=database.user, password=database.password, database="postgres"
    )
    async with builder.worker(), builder.upstream() as upstream:
        publishing = asyncio.gather(*(upstream.publish("echo", n, message_id=f"b-{n}") for n in range(300)))
        first = orjson.loads((await upstream.reply()).body)["result"]
        await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'adapter'")
        await publishing
        # A reply whose mark was lost goes out again under its id, so copies are counted apart.
        assert {first} | await distinct_results(upstream, {first}, 300) == set(range(300))
    await admin.close()


async def test_a_killed_broker_comes_back_and_the_worker_with_it(builder: HouseBuilder, rabbit: LocalRabbit) -> None:
    async with builder.worker() as (worker, *_):
        async with builder.upstream() as upstream:
            await upstream.ask("echo", 1)
        rabbit.kill()
        await readiness(worker, "publisher", works=False)
        rabbit.start()
        await readiness(worker, "publisher", works=True)
        await readiness(worker, f"queue {builder.environment['MQ_PREFIX']}echo", works=True)
        async with builder.upstream() as upstream:
            assert await upstream.ask("echo", 2) == {"result": 2}


@pytest.mark.parametrize("action", ["echo"])
async def test_a_stopped_worker_leaves_nothing_behind_and_a_new_one_goes_on(builder: HouseBuilder, action: str) -> None:
    async with builder.upstream() as upstream:
        async with builder.worker():
            for number in range(50):
                await upstream.publish(action, number, message_id=f"s-{number}")
        async with builder.worker():
            assert await results(upstream, 50) == list(range(50))


async def test_an_acceptance_is_remembered_over_an_outage_of_the_database(
    builder: HouseBuilder, postgres: LocalPostgres
) -> None:
    accepted = asyncio.Event()

    def accept(*_: object) -> Accepted:
        accepted.set()
        return Accepted(b"taken")

    gateway = ScriptedGateway(repeat_rules={"Send": Repeat.NEVER}, script=accept)
    gateway.hold.clear()
    async with builder.worker(gateway) as (worker, _, source, *_), builder.upstream() as upstream:
        await upstream.publish("call", 1, message_id="accepted")
        prepared, _ = await asyncio.wait_for(gateway.sent.get(), 15)
        postgres.kill()
        await readiness(worker, "database", works=False)
        gateway.hold.set()
        await accepted.wait()
        with pytest.raises(JournalUnavailableError):
            # Written after the acceptance was: when this has failed, so has that.
            await worker._journal.write(Note())
        postgres.start()
        await readiness(worker, "database", works=True)
        body = orjson.dumps("answered")
        answer = Answer("scripted", "key", prepared.gateway_id, AnswerKind.ANSWER, body, body)
        # A call that may never be repeated was accepted: its answer is the first and only thing anyone hears of it.
        reply = asyncio.create_task(upstream.reply(30))
        connection = await asyncpg.connect(**worker._journal._address.arguments)
        await until(connection, "select state in ('waiting', 'uncertain') from exchanges")
        await connection.close()
        await source.bring(answer)
        assert orjson.loads((await reply).body) == {"result": "answered"}
