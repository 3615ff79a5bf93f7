"""Who may run beside whom: shares of the gateways, and the rescue that runs alone."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from adapter.exchange import State
from adapter.journal.records import Exchange
from adapter.pipeline.bulkhead import Bulkhead
from adapter.pipeline.dispatch import Dispatcher
from tests.unit.pipeline.test_breaker import Told

if TYPE_CHECKING:
    from uuid import UUID

QUEUES = {"slow": "slow gateway", "slow too": "slow gateway", "quick": "quick gateway"}


def exchange(queue: str) -> Exchange:
    now = datetime.now(UTC)
    return Exchange(uuid4(), queue, queue, State.RECEIVED, now, now, b"{}", hashlib.sha256(b"{}").digest(), 2, b"")


class Runner:
    """Runs an exchange until the test lets it end."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.begun: list[UUID] = []
        self.gate = asyncio.Event()

    async def run(self, exchange: Exchange, answer: Any = None) -> None:
        self.begun.append(exchange.id)
        await self.gate.wait()


async def turn() -> None:
    """Let everything that can run take its steps."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def runner() -> Runner:
    return Runner()


@pytest.fixture
async def bulkhead() -> Bulkhead:
    return Bulkhead("slow gateway", 1, Told())


@pytest.fixture
async def dispatcher(runner: Runner, bulkhead: Bulkhead) -> Any:
    dispatcher = Dispatcher(runner, most=10, queues=QUEUES, bulkheads=[bulkhead])  # type: ignore[arg-type]
    yield dispatcher
    await dispatcher.cancel()


async def come_in(dispatcher: Dispatcher, queue: str) -> None:
    async with dispatcher.admitting(queue, 1, 2):
        pass


async def has_room(dispatcher: Dispatcher, queue: str) -> bool:
    asked = asyncio.create_task(come_in(dispatcher, queue))
    await turn()
    asked.cancel()
    return asked.done() and not asked.cancelled()


async def test_batches_that_waited_for_room_come_in_one_after_another(dispatcher: Dispatcher, runner: Runner) -> None:
    inside: list[str] = []
    more = asyncio.Event()

    async def come(queue: str) -> None:
        async with dispatcher.admitting(queue, 10, 1):
            inside.append(queue)
            await more.wait()

    for queue in ("slow", "slow too", "slow", "slow", "slow"):
        dispatcher.start(exchange(queue))
    batches = [asyncio.create_task(come(queue)) for queue in ("slow", "slow too", "quick")]
    await turn()
    assert inside == ["quick"]
    runner.gate.set()
    await dispatcher.drain()
    await turn()
    assert inside == ["quick", "slow"], "the room that came free is taken while the first batch is made durable"
    more.set()
    await asyncio.gather(*batches)
    assert inside == ["quick", "slow", "slow too"]


async def test_a_gateway_that_holds_its_share_closes_the_intake_of_its_own_queues_only(
    dispatcher: Dispatcher, runner: Runner
) -> None:
    for queue in ("slow", "slow too", "slow", "slow", "slow"):
        dispatcher.start(exchange(queue))
    await turn()
    rooms = {queue: await has_room(dispatcher, queue) for queue in (*QUEUES, "returned")}
    assert rooms == {"slow": False, "slow too": False, "quick": True, "returned": True}
    runner.gate.set()
    await dispatcher.drain()
    assert await has_room(dispatcher, "slow")


async def test_a_rescue_runs_alone_and_what_starts_meanwhile_runs_after_it(
    dispatcher: Dispatcher, runner: Runner
) -> None:
    runner.gate.set()
    lone, other = exchange("slow"), exchange("quick")
    async with dispatcher.alone(5) as alone:
        assert alone
        dispatcher.start(other)
        assert not await has_room(dispatcher, "quick")
        await dispatcher.run_alone(lone)
        assert runner.begun == [lone.id]
    await dispatcher.drain()
    assert runner.begun == [lone.id, other.id]
    assert await has_room(dispatcher, "quick")


async def test_a_rescue_waits_for_what_runs_and_is_not_alone_when_that_goes_on(
    dispatcher: Dispatcher, runner: Runner
) -> None:
    dispatcher.start(exchange("quick"))
    await turn()
    async with dispatcher.alone(0.05) as alone:
        assert not alone
    ending = asyncio.create_task(dispatcher.alone(30).__aenter__())
    await turn()
    assert not ending.done()
    runner.gate.set()
    assert await asyncio.wait_for(ending, 5)


@pytest.mark.parametrize(("waits_for", "patience"), [("calling", 30), ("preparing", 0.05)])
async def test_exchanges_that_wait_for_the_outside_world_do_not_count_as_company(
    dispatcher: Dispatcher, bulkhead: Bulkhead, waits_for: str, patience: float
) -> None:
    dispatcher.start(exchange("slow"))
    await turn()
    setattr(bulkhead, waits_for, 1)
    async with asyncio.timeout(5), dispatcher.alone(patience) as alone:
        assert alone


async def test_the_gate_opens_again_when_a_rescue_fails(dispatcher: Dispatcher) -> None:
    with pytest.raises(RuntimeError, match="the journal is away"):
        async with dispatcher.alone(1):
            raise RuntimeError("the journal is away")
    assert await has_room(dispatcher, "quick")


async def test_large_commands_close_the_intake_by_their_bytes_and_their_end_opens_it(runner: Runner) -> None:
    dispatcher = Dispatcher(runner, most=1000, most_bytes=10, queues=QUEUES)  # type: ignore[arg-type]  # a runner for tests
    for _ in range(3):  # of two bytes each, where each gateway has five
        await asyncio.wait_for(come_in(dispatcher, "slow"), 1)
        dispatcher.start(exchange("slow"))
    waiting = asyncio.create_task(come_in(dispatcher, "slow too"))
    await turn()
    assert not waiting.done()
    await asyncio.wait_for(come_in(dispatcher, "quick"), 1)
    assert dispatcher.room(2) == 1
    runner.gate.set()
    await asyncio.wait_for(waiting, 1)
    assert dispatcher.room(2) == 2
