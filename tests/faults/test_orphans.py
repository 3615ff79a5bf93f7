"""Promises 10 and 11: rows of a dead worker are rescued once, a worker that slept is fenced, two never overlap."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import TYPE_CHECKING

from bench.chaos.processes import Victim
from tests.faults.conftest import PROGRAM, READY, numbered
from tests.faults.test_broker_away import balanced

if TYPE_CHECKING:
    from tests.faults.conftest import Yard


async def test_orphans_are_rescued_once_though_two_namesakes_start_at_the_same_time(yard: Yard) -> None:
    recorder = yard.recorder
    recorder.gate.clear()
    commands = numbered(20)
    async with yard.auditor("call") as auditor:
        async with yard.worker() as victim:
            await auditor.publish(commands)
            for _ in commands:
                await recorder.next()
            await yard.kill(victim)
        recorder.gate.set()
        async with asyncio.TaskGroup() as group:
            begun = [group.create_task(_begin(yard)) for _ in range(2)]
        try:
            await balanced(yard, auditor, 20)
        finally:
            for task in begun:
                await yard.kill(task.result())
    # Once by the dead worker, once more by exactly one of the two.
    counts = [sum(submit.transport_id == name for submit in recorder.submits) for name, _ in commands]
    assert counts == [2] * 20
    assert await yard.ask("select max(crash_attempts) from exchanges") == 1


async def _begin(yard: Yard) -> Victim:
    victim = await Victim.start(PROGRAM, yard.environment)
    await victim.said(READY)
    return victim


async def test_a_worker_that_wakes_after_its_lease_is_fenced(yard: Yard) -> None:
    recorder = yard.recorder
    recorder.gate.clear()
    async with yard.auditor("call") as auditor, yard.worker() as sleeper:
        await auditor.publish(numbered(10))
        for _ in range(10):
            await recorder.next()
        sleeper.send(signal.SIGSTOP)
        name = f"{socket.gethostname()}:{sleeper.pid}"
        await yard.ask("update workers set lease_until = now() - interval '1 second' where name = $1", name)
        recorder.gate.set()
        async with yard.worker():
            await auditor.answered(60)
            sleeper.send(signal.SIGCONT)  # its calls end now, long after somebody else finished them
            await auditor.publish(numbered(10))
            await balanced(yard, auditor, 20)
            assert sleeper.alive


async def test_two_workers_never_submit_or_reply_the_same_twice(yard: Yard) -> None:
    count = 400
    async with yard.auditor("call") as auditor, yard.worker() as one, yard.worker() as other:
        await auditor.publish(numbered(count), most=100)
        await balanced(yard, auditor, count)
        assert all("exchange ended" in "".join(victim.lines) for victim in (one, other))
    assert len(yard.recorder.submits) == count
    assert auditor.books.verdict().repeats == 0
