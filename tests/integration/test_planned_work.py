"""Planned work: nothing is sent while it goes on, no attempt counts, and afterwards everything goes on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson
import pytest

from adapter.errors import Code, KnownError
from adapter.exchange import Accepted, Repeat, TryLater
from adapter.pipeline import planned
from tests.documents_read import words
from tests.integration.conftest import EchoService, ScriptedGateway, StepsService
from tests.integration.rows import until
from tests.integration.test_recovery_commands import desk  # noqa: F401 — the same desk

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.exchange import Command
    from tests.integration.conftest import House, HouseBuilder
    from tests.integration.test_recovery_commands import Desk

PLAN = """
insert into planned_work (gateway, service, begins_at, ends_at, reason, added_by)
values ('scripted', $1, now() - interval '1 minute', now() + interval '1 hour', 'test', 'test') returning id
"""
END = "update planned_work set ended_at = now(), ended_by = 'test' where id = $1"


class NamedService(EchoService):
    """Calls the service that its command names (``named``)."""

    def called_service(self, command: Command) -> str:
        return str(orjson.loads(command.body).get("service", ""))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "_PACE", 0.05)
    monkeypatch.setattr(planned, "_AGAIN", 0.2)


@pytest.fixture
def builder(builder: HouseBuilder) -> HouseBuilder:
    builder.services["named"] = NamedService("named", calls=True)
    builder.services["steps"] = StepsService("steps", calls=True)
    return builder


async def seen(house: House, *services: str) -> None:
    """Wait until the worker knows of exactly the work on these services."""
    work = house.worker._bulkheads["scripted"].planned
    assert work is not None
    async with asyncio.timeout(10):
        while sorted(window.service for window in work._windows) != sorted(services):  # noqa: ASYNC110 — no signal
            await asyncio.sleep(0.02)


async def waiting(database: asyncpg.Connection, count: int = 1) -> None:
    await until(database, "select count(*) = $1 from exchanges where state = 'retrying' and owner is null", count)


async def answered(house: House, body: Any, answer: Any = None) -> None:
    """Wait for the call with ``body``, answer it and hear the reply."""
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    assert orjson.loads(prepared.body) == body
    await house.source.bring(house.answer(prepared, answer or body))
    assert orjson.loads((await house.upstream.reply()).body) == {"result": answer or body}


async def test_commands_to_a_gateway_wait_for_the_end_of_the_work_and_no_attempt_counts(house: House) -> None:
    number = await house.database.fetchval(PLAN, "")
    await seen(house, "")
    await house.upstream.publish("call", {"n": 1}, message_id="m-1")
    await waiting(house.database)
    assert await house.upstream.ask("echo", {"n": 2}) == {"result": {"n": 2}}
    assert house.worker.away() == ["scripted planned work"]
    facts = await house.database.fetch(
        "select kind, convert_from(meta, 'utf8') as meta from proof where kind = 'retry'"
    )
    assert [orjson.loads(fact["meta"]) for fact in facts] == [
        {"code": Code.MAINTENANCE.wire, "attempt": 0, "sent": False}
    ]
    assert await house.database.fetchval("select attempts + crash_attempts from exchanges where action = 'call'") == 0
    assert (house.gateway.prepared, house.gateway.sent.qsize()) == ([], 0)
    await house.database.execute(END, number)
    await answered(house, {"n": 1})
    assert await house.database.fetchval("select attempts from exchanges where action = 'call'") == 1
    assert house.worker.away() == []


async def test_commands_to_one_service_wait_and_those_to_its_neighbours_do_not(house: House) -> None:
    number = await house.database.fetchval(PLAN, "Closed")
    await seen(house, "Closed")
    await house.upstream.publish("named", {"service": "Closed"}, message_id="m-1")
    await waiting(house.database)
    await house.upstream.publish("named", {"service": "Open"}, message_id="m-2")
    await answered(house, {"service": "Open"})
    assert house.gateway.sent.empty()
    await house.database.execute(END, number)
    await answered(house, {"service": "Closed"})


async def test_an_action_can_be_the_service(house: House) -> None:
    await house.database.execute(PLAN, "call")
    await seen(house, "call")
    await house.upstream.publish("call", {"n": 1}, message_id="m-1")
    await waiting(house.database)
    await house.upstream.publish("named", {"n": 2}, message_id="m-2")
    await answered(house, {"n": 2})


async def test_a_deadline_that_passes_meanwhile_is_told_with_its_cause(house: House) -> None:
    await house.database.execute(PLAN, "")
    await seen(house, "")
    deadline = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    await house.upstream.publish("call", {"n": 1}, message_id="m-1", headers={"x-deadline": deadline})
    error = orjson.loads((await house.upstream.reply()).body)["error"]
    assert error["error_code"] == Code.EXPIRED.wire
    assert error["details"] == {"cause": Code.MAINTENANCE.wire, "cause_description": Code.MAINTENANCE.sentence}
    assert house.gateway.prepared == []


async def test_a_call_that_retries_waits_too_and_is_sent_under_its_id_afterwards(builder: HouseBuilder) -> None:
    gateway = ScriptedGateway(repeat_rules={"Send": Repeat.SAFE})
    gateway.script = lambda _, earlier: (
        Accepted(b"taken") if earlier else TryLater(KnownError(Code.GATEWAY_UNAVAILABLE), raw=b"busy", after=0.1)
    )
    async with builder.worker(gateway) as (worker, *_), builder.upstream() as upstream:
        database = await asyncpg.connect(**worker._journal._address.arguments)
        gateway.hold.clear()
        await upstream.publish("call", 1, message_id="m-1")
        first, _ = await asyncio.wait_for(gateway.sent.get(), 10)
        number = await database.fetchval(PLAN, "")
        work = worker._bulkheads["scripted"].planned
        assert work is not None
        await work.look()
        gateway.hold.set()
        await waiting(database)
        assert gateway.sent.empty()
        await database.execute(END, number)
        second, earlier = await asyncio.wait_for(gateway.sent.get(), 10)
        assert (second.gateway_id, earlier) == (first.gateway_id, 1)
        await until(database, "select state = 'waiting' and attempts = 2 from exchanges")
        await database.close()


async def test_a_further_call_of_a_conversation_waits_and_what_was_answered_stays(house: House) -> None:
    await house.upstream.publish("steps", {"n": 1}, message_id="m-1")
    first, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    number = await house.database.fetchval(PLAN, "")
    await seen(house, "")
    await house.source.bring(house.answer(first, {"order": 7}))
    await until(house.database, "select state = 'answered' and owner is null from exchanges")
    assert len(house.gateway.prepared) == 1
    await house.database.execute(END, number)
    await answered(house, {"order": 7}, {"done": True})
    assert await house.database.fetchval("select attempts + crash_attempts from exchanges") == 2


async def test_every_worker_keeps_to_the_plan_also_one_that_starts_and_one_that_ends_meanwhile(
    builder: HouseBuilder,
) -> None:
    async with builder.upstream() as upstream:
        async with builder.worker() as (first, gateway, *_):
            database = await asyncpg.connect(**first._journal._address.arguments)
            number = await database.fetchval(PLAN, "")
            async with builder.worker() as second:
                work = first._bulkheads["scripted"].planned
                assert work is not None
                await work.look()
                for n in range(10):
                    await upstream.publish("call", n, message_id=f"m-{n}")
                await waiting(database, 10)
        assert gateway.prepared == second[1].prepared == []
        async with builder.worker() as (_, last, *_):
            await database.execute(END, number)
            sent = {}
            for _ in range(10):
                prepared, earlier = await asyncio.wait_for(last.sent.get(), 10)
                sent[int(prepared.body)] = earlier
        assert sent == dict.fromkeys(range(10), 0)
        assert await database.fetchval("select bool_and(attempts = 1) from exchanges")
        await database.close()


async def test_people_announce_and_end_work_by_commands(house: House, desk: Desk, tmp_path: Path) -> None:  # noqa: F811
    letter = tmp_path / "letter.docx"
    times = ("--from", "2036-11-24T12:00:00+03:00", "--for", "90m", "--reason", "release 2.1")
    planned_far = await desk.type("maintenance", "add", "smev3", *times, "--notice", str(letter), "--json")
    assert planned_far.code == 0
    assert [warning.split(" ")[0] for warning in planned_far.json["warnings"]] == ["part"]
    text = "\n".join(words(letter.read_bytes()))
    assert {"24.11.2036 12:00 (UTC+03:00)", "1,5 ч", "release 2.1"} <= set(words(letter.read_bytes()))
    assert "приостанавливается информационное взаимодействие через СМЭВ3" in text
    now = await desk.type("maintenance", "add", "postamat", "--from", "now", "--for", "1h", "--reason", "power")
    assert "begins within three days" in now.err
    states = {row["gateway"]: row["state"] for row in (await desk.type("maintenance", "list", "--json")).json}
    assert states == {"postamat": "goes on", "smev3": "planned"}
    assert "called off" in (await desk.type("maintenance", "end", str(planned_far.json["number"]))).out
    assert (await desk.type("maintenance", "end", str(planned_far.json["number"]))).code == 1
    assert "power" in (await desk.type("maintenance", "list")).out
    nowhere = ("--notice", str(tmp_path / "nowhere" / "letter.docx"))
    for wrong in (("epgu", "--service", "nothing"), ("shep", "--service", "Echo"), ("epgu", *nowhere)):
        refused = await desk.type("maintenance", "add", *wrong, *times)
        assert (refused.code, refused.err.partition(":")[0]) == (1, wrong[1])
    assert len((await desk.type("maintenance", "list", "--all", "--json")).json) == 2
    assert "with its offset" in (await desk.type("maintenance", "add", "epgu", "--from", "tomorrow", *times[2:])).err
