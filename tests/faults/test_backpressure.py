"""A backlog stays in the broker and large bodies stay within the computed bound."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.faults.conftest import numbered

if TYPE_CHECKING:
    from bench.chaos.processes import Victim
    from tests.faults.conftest import Yard
    from tests.faults.proxy import Wire

MEGABYTE = 2**20


async def highest(victim: Victim, work: asyncio.Task[None]) -> int:
    """Return the highest resident memory of a process while ``work`` runs, looked at again and again."""
    most = victim.resident()
    while not work.done():
        await asyncio.wait({work}, timeout=0.05)
        most = max(most, victim.resident())
    await work
    return most


async def declared(yard: Yard) -> None:
    """Run a worker for a moment: it declares the queues."""
    async with yard.worker() as victim:
        pass
    await yard.bury(victim)


async def test_five_thousand_commands_in_the_broker_do_not_grow_the_worker(yard: Yard) -> None:
    count = 5000
    await declared(yard)
    async with yard.auditor("echo") as auditor:
        await auditor.publish(numbered(count), most=500)
        async with yard.worker(LOG_LEVEL="INFO") as victim:
            at_rest = victim.resident()
            most = await highest(victim, asyncio.create_task(auditor.answered(90)))
    assert auditor.books.verdict().lost == ()
    assert most < 150 * MEGABYTE
    assert most - at_rest < 60 * MEGABYTE


async def test_bodies_of_sixteen_megabytes_stay_within_the_bound(yard: Yard) -> None:
    size, prefetch, limit = 16 * MEGABYTE, 2, 80 * MEGABYTE
    filler = b" " * (size - 200)
    bodies = [(name, body[:-1] + filler + b"}") for name, body in numbered(8)]
    limits = {
        "MQ_MAX_BODY": str(size),
        "MQ_PREFETCH": str(prefetch),
        "MEMORY_LIMIT": f"{limit // MEGABYTE}MB",
        "SERVICES": "echo",
    }
    await declared(yard)
    async with yard.auditor("echo") as auditor:
        await auditor.publish(bodies, most=2)
        async with yard.worker(**limits) as victim:
            at_rest = victim.resident()
            most = await highest(victim, asyncio.create_task(auditor.answered(90)))
    assert auditor.books.outcomes() == {"result": 8}
    # What docs/scaling.md promises of a worker; all eight bodies at once would not fit.
    assert most < limit + 200 * MEGABYTE, f"{(most - at_rest) / MEGABYTE:.0f} MB more than at rest"


async def test_bodies_over_the_limit_never_stand_in_memory_though_nothing_can_be_journaled(
    yard: Yard, wire: Wire
) -> None:
    size, count = 16 * MEGABYTE, 12
    filler = b" " * (size - 200)
    bodies = [(name, body[:-1] + filler + b"}") for name, body in numbered(count)]
    await declared(yard)
    holder = await yard.connect()
    async with yard.auditor("echo") as auditor:
        await auditor.publish(bodies, most=2)
        async with yard.worker(SERVICES="echo", MQ_PORT=str(wire.port)) as victim, holder.transaction():
            at_rest = victim.resident()
            await holder.execute("lock table incoming in access exclusive mode")
            most = await highest(victim, asyncio.create_task(wire.has_carried(count * size)))
        await holder.close()
        assert most - at_rest < 3 * size, f"{(most - at_rest) / MEGABYTE:.0f} MB more than at rest"
        async with yard.worker(SERVICES="echo"):
            await auditor.answered(90)
    assert auditor.books.outcomes() == {"ADAPTER-INVALID-COMMAND": count}
