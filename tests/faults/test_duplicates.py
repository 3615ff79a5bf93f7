"""At most one effective submit per command, whatever the broker and the publisher bring twice."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from adapter.faultpoints import VARIABLE
from tests.faults.conftest import numbered

if TYPE_CHECKING:
    from tests.faults.conftest import Yard
    from tests.faults.proxy import Wire

#: A quorum queue adds x-delivery-count to what it delivers again, so that only the rest of the properties tells a copy.
NAMES = [pytest.param({}, id="with message_id"), pytest.param({"message_id": None}, id="without message_id")]


@pytest.mark.parametrize("copies", [2, 5])
async def test_a_command_published_so_many_times_at_once_is_submitted_once(yard: Yard, copies: int) -> None:
    commands = numbered(20)
    async with yard.auditor("call") as auditor, yard.worker():
        await auditor.publish([command for command in commands for _ in range(copies)], most=100)
        await auditor.answered(30)
        await yard.quiet()
        await auditor.caught_up()
    assert yard.recorder.effective() == dict.fromkeys(auditor.books.confirmed, 1)
    verdict = auditor.books.verdict()
    assert (verdict.lost, verdict.surplus) == ((), ())
    # Each copy is told the outcome: the same bytes under the same message_id.
    assert verdict.repeats == 20 * (copies - 1)


async def test_another_body_under_a_used_message_id_is_refused_and_not_submitted(yard: Yard) -> None:
    (name, body), *_ = numbered(1)
    async with yard.auditor("call") as auditor, yard.worker():
        await auditor.publish([(name, body)])
        await auditor.answered(30)
        await auditor.publish([(name, orjson.dumps({"transport_id": "other"}))])
        await yard.eventually("select count(*) = 2 from exchanges")
        await yard.quiet()
        await auditor.caught_up()
    assert [reply.code for reply in auditor.books.replies[name]] == [None, "ADAPTER-MESSAGE-ID-REUSED"]
    assert yard.recorder.effective() == {name: 1}


@pytest.mark.parametrize("properties", NAMES)
async def test_deliveries_repeated_by_cut_connections_are_submitted_once(
    yard: Yard, wire: Wire, properties: dict[str, Any]
) -> None:
    count, cuts = 200, 0
    async with yard.auditor("call") as auditor, yard.worker(MQ_PORT=str(wire.port), MQ_PREFETCH="20"):
        publishing = asyncio.create_task(auditor.publish(numbered(count), most=20, **properties))
        for _ in range(4):
            for _ in range(15):
                await yard.recorder.next()
            async with asyncio.timeout(20):
                await wire.linked()
            cuts += wire.reset()
        await publishing
        await auditor.answered(60)
        await yard.quiet()
        await auditor.caught_up()
    verdict = auditor.books.verdict()
    assert cuts >= 4
    assert (verdict.commands, verdict.lost, verdict.surplus) == (count, (), ())
    assert yard.recorder.effective() == dict.fromkeys(auditor.books.confirmed, 1)


@pytest.mark.parametrize("properties", NAMES)
async def test_what_was_journaled_but_not_acked_is_not_submitted_again(yard: Yard, properties: dict[str, Any]) -> None:
    async with yard.auditor("call") as auditor:
        async with yard.worker(**{VARIABLE: "journal"}) as victim:
            await auditor.publish(numbered(20), **properties)
            assert await victim.ended(30) == -signal.SIGKILL
        await yard.bury(victim)
        async with yard.worker():
            await auditor.answered(30)
            await yard.quiet()
            await auditor.caught_up()
    assert auditor.books.verdict().surplus == ()
    assert yard.recorder.effective() == dict.fromkeys(auditor.books.confirmed, 1)


async def test_commands_without_message_id_are_each_a_command_of_their_own(yard: Yard) -> None:
    (name, body), *_ = numbered(1)
    async with yard.auditor("call") as auditor, yard.worker():
        await auditor.publish([(name, body)] * 5, message_id=None)
        await yard.eventually("select count(*) = 5 from exchanges where state = 'replied'")
    assert yard.recorder.effective() == {name: 5}
