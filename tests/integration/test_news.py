"""What gateways say beside the answer, and which answer belongs to which call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import orjson
import pytest

from adapter.broker.codec import read_properties
from adapter.broker.topology import Names
from adapter.exchange import Event
from adapter.pipeline.answers import read_answer
from adapter.pipeline.envelope import Addressing
from tests.integration.rows import evidence, submit, take

if TYPE_CHECKING:
    import asyncpg

    from adapter.journal.journal import Journal
    from adapter.journal.records import Exchange, OutboxRow


def status(exchange: Exchange) -> OutboxRow:
    return Addressing(Names(), ["echo"]).event(exchange, Event("gw.status", {}))


@pytest.mark.parametrize("together", [True, False], ids=["one commit", "two commits"])
async def test_a_status_and_its_event_are_one_fact_and_every_event_has_its_own_number(
    journal: Journal,
    look: asyncpg.Connection,
    together: bool,  # noqa: FBT001 — pytest's parameter
) -> None:
    row = take(journal)
    await journal.write(row)
    await journal.write(submit(journal, row.exchange.id))
    news = [evidence(journal, "g-1", key, final=False) for key in (b"a", b"b", b"a")]
    for one in news:
        one.announce = status
    if together:
        await asyncio.gather(*(journal.write(one) for one in news))
    else:
        for one in news:
            await journal.write(one)
    sections = await look.fetch("select properties from outbox order by created_at")
    assert [read_properties(found["properties"]).headers[b"x-adapter-seq"] for found in sections] == [1, 2]
    assert await look.fetchval("select events from exchanges where id = $1", row.exchange.id) == 2
    assert news[-1].outbox == ()


def test_the_answer_of_an_earlier_call_is_never_read_for_a_later_one(journal: Journal) -> None:
    exchange = take(journal).exchange
    exchange.gateway_id = "second"
    rows = [
        {
            "message_id": name,
            "data": b"",
            "content": name.encode(),
            "meta": orjson.dumps({"kind": "answer", "source": "gw", "reference": name, "verdicts": []}),
        }
        for name in ("first", "second", str(uuid4()))
    ]
    assert read_answer(rows, exchange).content == b"second"  # type: ignore[arg-type]  # rows by name
