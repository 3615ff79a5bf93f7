"""What gateways say beside the answer, and which answer belongs to which call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from unittest.mock import Mock
from uuid import uuid4

import orjson
import pytest

from adapter.broker.codec import read_properties
from adapter.broker.topology import Names
from adapter.exchange import Answer, AnswerKind, Event
from adapter.pipeline.answers import AnswerIntake, read_answer
from adapter.pipeline.envelope import Addressing
from tests.integration.rows import submit, take

if TYPE_CHECKING:
    import asyncpg

    from adapter.journal.journal import Journal


@pytest.mark.parametrize("together", [True, False], ids=["one commit", "two commits"])
async def test_a_status_and_its_event_are_one_fact_and_every_event_has_its_own_number(
    journal: Journal,
    look: asyncpg.Connection,
    together: bool,  # noqa: FBT001 — pytest's parameter
) -> None:
    row = take(journal)
    await journal.write(row)
    await journal.write(submit(journal, row.exchange.id))
    intake = AnswerIntake(journal, Mock(), Addressing(Names(), ["echo"]), Mock(), Mock())
    event = Event("gw.status", {})
    news = [Answer("gw", key, "g-1", AnswerKind.STATUS, b"raw", event=event) for key in ("a", "b", "a")]
    if together:
        assert all(await asyncio.gather(*map(intake.take, news)))
    else:
        for one in news:
            assert await intake.take(one)
    sections = await look.fetch("select properties from outbox order by created_at")
    assert [read_properties(found["properties"]).headers[b"x-adapter-seq"] for found in sections] == [1, 2]
    assert await look.fetchval("select events from exchanges where id = $1", row.exchange.id) == 2
    assert await look.fetchval("select count(*) from proof where kind = 'status'") == 2


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
