"""Poison is bounded: it is answered or parked, and the commands beside it are served."""

from __future__ import annotations

import asyncio
import json
import signal
import struct
from typing import TYPE_CHECKING
from uuid import uuid4

import aiormq
import orjson
import pytest

from adapter.broker.transport import RawProperties
from tests.faults.conftest import ADAPTER, numbered
from tests.integration.conftest import upstream_context
from tests.integration.test_wire_poison import properties, short

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.conftest import Contour, Yard

LIMIT = 3


def long(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def death(queue: bytes) -> bytes:
    """Write the header that the broker puts on what it drops, as anybody may who can publish."""
    table = short(b"queue") + b"S" + long(queue) + short(b"reason") + b"S" + long(b"expired")
    return short(b"x-death") + b"A" + long(b"F" + long(table))


def nested(depth: int) -> bytes:
    """Write a header of tables in tables."""
    table = b""
    for _ in range(depth):
        table = short(b"h") + b"F" + long(table)
    return table


@pytest.fixture
async def raw(yard: Yard) -> AsyncIterator[aiormq.abc.AbstractChannel]:
    """Open a channel on which any property bytes can be published."""
    rabbit = yard.rabbit
    url = f"amqps://{rabbit.username}:{rabbit.password}@{rabbit.host}:{rabbit.port}/"
    connection = await aiormq.connect(url, context=upstream_context(yard.certificates))
    try:
        yield await connection.channel()
    finally:
        await connection.close()


async def send(yard: Yard, raw: aiormq.abc.AbstractChannel, queue: str, section: bytes, body: bytes = b"{}") -> None:
    wrapped = RawProperties(section, uuid4().hex)
    await raw.basic_publish(body, routing_key=yard.environment["MQ_PREFIX"] + queue, properties=wrapped, timeout=10)


async def test_a_message_that_kills_the_process_is_parked_and_answered_and_its_neighbours_are_served(
    yard: Yard,
) -> None:
    poison = (str(uuid4()), b'{"die": true}')
    async with yard.auditor("die") as auditor:
        kills = 0
        async with yard.worker() as victim:
            await auditor.publish([*numbered(5), poison, *numbered(5)])
            kills += await victim.ended(30) == -signal.SIGKILL
        await yard.bury(victim)
        while not auditor.books.replies.get(poison[0]):
            async with yard.worker(ready="") as victim:
                answered = asyncio.create_task(auditor.answered(30))
                died = asyncio.create_task(victim.ended(30))
                await asyncio.wait({answered, died}, return_when=asyncio.FIRST_COMPLETED)
                kills += died.done() and died.result() == -signal.SIGKILL
                answered.cancel()
                died.cancel()
            await yard.bury(victim)
            assert kills <= LIMIT + 1
    assert kills == LIMIT + 1  # once in the crowd, which blames nobody, then alone until the limit
    assert auditor.books.outcomes() == {"result": 10, "ADAPTER-DEAD": 1}
    assert await yard.ask("select count(*) from exchanges where state = 'dead'") == 1


async def test_a_row_is_not_blamed_for_a_crash_that_another_message_caused(yard: Yard) -> None:
    recorder = yard.recorder
    recorder.gate.clear()
    innocent = numbered(1)
    async with yard.auditor("call") as auditor, yard.auditor("die") as poisoner:
        async with yard.worker() as victim:
            await auditor.publish(innocent)
            await recorder.next()
            await yard.kill(victim)
        for _ in range(LIMIT + 1):
            async with yard.worker() as victim:
                await recorder.next(8)
                await poisoner.publish([(str(uuid4()), b'{"die": true}')])
                assert await victim.ended(30) == -signal.SIGKILL
            await yard.bury(victim)
            await yard.ask("delete from exchanges where action = 'die'")
            assert await yard.ask("select crash_attempts from exchanges") == 0
        recorder.gate.set()
        async with yard.worker():
            await auditor.answered(30)
    assert auditor.books.outcomes() == {"result": 1}


async def test_broken_json_and_a_handler_that_always_raises_are_answered_once_each(yard: Yard) -> None:
    broken = [
        (str(uuid4()), body) for body in (b"", b"{", b'{"a":', b"\xff\xfe", b"\x00" * 50, b"[" * 50_000, b'"\\ud800"')
    ]
    raising = [(str(uuid4()), b'{"explode": true}') for _ in range(5)]
    good = numbered(50)
    async with yard.auditor("echo") as auditor, yard.worker() as victim:
        await auditor.publish([*good[:25], *broken, *raising, *good[25:]])
        await auditor.answered(30)
        await yard.quiet()
        await auditor.caught_up()
        assert victim.alive
    verdict = auditor.books.verdict()
    assert (verdict.lost, verdict.surplus, verdict.repeats) == ((), (), 0)
    assert auditor.books.outcomes() == {"result": 50, "ADAPTER-INVALID-COMMAND": 7, "ADAPTER-INTERNAL": 5}
    assert await yard.ask("select count(*) from exchanges where crash_attempts > 0") == 0


@pytest.mark.parametrize(
    ("queue", "section"),
    [
        ("echo", properties(reply_to=b"a\x00b", message_id=b"nul-reply-to")),
        ("echo", properties(reply_to=b"r", message_id=b"\x00" * 200, correlation=b"\x00\xff" * 100)),
        ("echo", properties(reply_to=b"r", headers=nested(60))),
        ("adapter.returned", properties(reply_to=b"r", headers=death(b"no\x00such\xff"))),
        ("adapter.returned", properties(reply_to=b"r", headers=death(b"x" * 5000))),
        ("adapter.returned", properties(reply_to=b"r", message_id=None)),
    ],
    ids=["reply_to NUL", "ids", "nested tables", "x-death NUL", "x-death long", "no x-death"],
)
async def test_wire_poison_neither_stops_the_worker_nor_stays_without_an_outcome(
    yard: Yard, raw: aiormq.abc.AbstractChannel, queue: str, section: bytes
) -> None:
    async with yard.auditor("echo") as auditor, yard.worker() as victim:
        await send(yard, raw, queue, section)
        await auditor.publish(numbered(5))
        await auditor.answered(20)
        assert victim.alive
        await yard.eventually("select count(*) = 6 and bool_and(finished_at is not null) from exchanges", seconds=15)


async def test_rows_that_postgres_refuses_do_not_take_their_batch_along(
    yard: Yard, raw: aiormq.abc.AbstractChannel
) -> None:
    async with yard.auditor("echo") as auditor, yard.worker() as victim:
        victim.send(signal.SIGSTOP)  # so that everything arrives in few large batches
        for number in range(10):
            await auditor.publish(numbered(10))
            section = properties(reply_to=b"r", message_id=b"\x00%d" % number, correlation=b"\x00")
            await send(yard, raw, "echo", section, b'"\\u0000\x00"')
        victim.send(signal.SIGCONT)
        await auditor.answered(30)
        await yard.eventually("select count(*) = 110 and bool_and(finished_at is not null) from exchanges")
    assert auditor.books.outcomes() == {"result": 100}


async def test_schema_bombs_are_refused_by_name_and_the_worker_goes_on(yard: Yard, contour: Contour) -> None:
    yard.environment |= contour.environment
    deep = b'{"actions":' + b'{"actions":[' * 20_000 + b"]}" * 20_000 + b"}"
    wide = json.dumps({"actions": [{"transport_id": "x"}] * 2000}).encode()
    many = json.dumps({"actions": [{f"k{n}": n for n in range(5000)}]}).encode()
    entity = json.dumps({"actions": [{"transport_id": "&a;" * 1000, "action_type": "<!DOCTYPE a [" * 100}]}).encode()
    huge = b'{"actions": [{"transport_id": ' + b"9" * 20_000 + b"}]}"
    bombs = [(str(uuid4()), body) for body in (deep, wide, many, entity, huge)]
    async with yard.auditor("zhkh-debt-requests") as auditor, yard.worker(ADAPTER, MQ_MAX_BODY="1MB") as victim:
        await auditor.publish(bombs)
        await auditor.answered(30)
        assert victim.alive
        assert victim.resident() < 300 * 2**20
    assert auditor.books.outcomes() == {"ADAPTER-INVALID-COMMAND": len(bombs)}
    entries = orjson.dumps(await contour.ledger())
    assert b"DOCTYPE" not in entries
