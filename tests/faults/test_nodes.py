"""A worker that knows several nodes passes over those it cannot use.

The long one kills the nodes of a real cluster (``make chaos``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import numbered
from tests.faults.test_broker_away import balanced, free_port

if TYPE_CHECKING:
    from tests.faults.conftest import Yard
    from tests.faults.proxy import Wire


async def test_a_worker_passes_over_a_node_that_refuses_it(yard: Yard) -> None:
    rabbit = yard.rabbit
    hosts = f"{rabbit.host}:{free_port()},{rabbit.host}:{rabbit.port}"
    async with yard.auditor("call") as auditor, yard.worker(MQ_HOST=hosts) as victim:
        await auditor.publish(numbered(20))
        await balanced(yard, auditor, 20)
        await victim.said("a node of the broker is passed over")


@pytest.mark.long
async def test_a_worker_whose_node_hangs_goes_on_by_the_next_one(yard: Yard, wire: Wire) -> None:
    rabbit = yard.rabbit
    hosts = f"{rabbit.host}:{wire.port},{rabbit.host}:{rabbit.port}"
    async with yard.auditor("call") as auditor, yard.worker(MQ_HOST=hosts, MQ_HEARTBEAT="2"):
        assert wire.opened
        await auditor.publish(numbered(20))
        await auditor.answered(30)
        wire.freeze()
        await auditor.publish(numbered(20))
        await balanced(yard, auditor, 40)
        wire.thaw()
