"""SIGTERM finishes or hands back in time, burns no crash attempt and exits 0; a second one ends at once."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from tests.faults.conftest import ADAPTER, numbered
from tests.faults.test_broker_away import balanced
from tests.faults.test_killed_at_every_point import ACTION, assert_the_books_balance, requests

if TYPE_CHECKING:
    from tests.faults.conftest import Contour, Yard


async def test_told_to_end_under_load_the_adapter_exits_0_and_the_next_one_finishes(
    yard: Yard, contour: Contour
) -> None:
    yard.environment |= contour.environment
    async with yard.auditor(ACTION) as auditor:
        async with yard.worker(ADAPTER) as victim:
            publishing = asyncio.create_task(auditor.publish(requests(100), most=20))
            await auditor.progressed(20, 60)
            victim.send(signal.SIGTERM)
            assert await victim.ended(26) == 0
        async with yard.worker(ADAPTER):
            await publishing
            await assert_the_books_balance(yard, contour, auditor, 100)
    assert await yard.ask("select count(*) from exchanges where crash_attempts > 0") == 0


async def test_what_the_grace_time_cannot_finish_is_handed_back_and_finished_by_the_next_worker(yard: Yard) -> None:
    recorder = yard.recorder
    recorder.gate.clear()
    async with yard.auditor("call") as auditor:
        async with yard.worker(SHUTDOWN_GRACE="1") as victim:
            await auditor.publish(numbered(10))
            for _ in range(10):
                await recorder.next()
            victim.send(signal.SIGTERM)
            assert await victim.ended(10) == 0
        recorder.gate.set()
        async with yard.worker():
            await balanced(yard, auditor, 10)


async def test_a_row_handed_back_again_and_again_is_never_parked(yard: Yard) -> None:
    recorder = yard.recorder
    recorder.gate.clear()
    async with yard.auditor("call") as auditor:
        await _ends(yard, auditor.publish(numbered(1)))
        for _ in range(3):
            await _ends(yard)
        assert await yard.ask("select max(crash_attempts) from exchanges") == 0
        recorder.gate.set()
        async with yard.worker():
            await balanced(yard, auditor, 1)


async def _ends(yard: Yard, *first: object) -> None:
    """Run a worker until it calls the gateway, then tell it to end."""
    async with yard.worker(SHUTDOWN_GRACE="1") as victim:
        for work in first:
            await work  # type: ignore[misc]  # a coroutine
        await yard.recorder.next()
        victim.send(signal.SIGTERM)
        assert await victim.ended(10) == 0


async def test_a_second_sigterm_ends_the_process_at_once(yard: Yard) -> None:
    recorder = yard.recorder
    recorder.gate.clear()
    async with yard.auditor("call") as auditor:
        async with yard.worker() as victim:
            await auditor.publish(numbered(5))
            await recorder.next()
            victim.send(signal.SIGTERM)
            await victim.said("stopping")
            victim.send(signal.SIGTERM)
            assert await victim.ended(3) == 1
        await yard.bury(victim)
        recorder.gate.set()
        async with yard.worker():
            await balanced(yard, auditor, 5)
