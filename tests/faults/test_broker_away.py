"""The broker dies, freezes, resets or loses a queue; the worker comes back by itself and answers all."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aio_pika
import aiohttp
import orjson

from bench.chaos.services import replace
from tests.faults.conftest import numbered
from tests.integration.conftest import upstream_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.chaos.auditor import Auditor
    from tests.faults.conftest import Yard
    from tests.faults.proxy import Wire


#: Queues that a worker of worker_program.py needs.
QUEUES = ("call", "call.reply", "echo", "echo.reply", "die", "die.reply", "adapter.returned")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def operator(yard: Yard) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """Open a channel of a person who may do anything to queues."""
    rabbit = yard.rabbit
    url = f"amqps://{rabbit.username}:{rabbit.password}@{rabbit.host}:{rabbit.port}/"
    async with await aio_pika.connect(url, ssl_context=upstream_context(yard.certificates)) as connection:
        yield await connection.channel()


async def readiness(port: int, *, ready: bool) -> None:
    """Wait until readiness is so; liveness must hold all the time."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://127.0.0.1:{port}/livez") as live:
                assert live.status == 200
            async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                if (answer.status == 200) is ready:
                    return
            await asyncio.sleep(0.05)


async def balanced(yard: Yard, auditor: Auditor, count: int) -> None:
    await auditor.answered(90)
    await yard.quiet()
    await auditor.caught_up()
    verdict = auditor.books.verdict()
    assert (verdict.commands, verdict.lost, verdict.surplus) == (count, (), ())
    assert yard.recorder.effective() == dict.fromkeys(auditor.books.confirmed, 1)


async def test_a_broker_killed_under_load_costs_nothing(yard: Yard) -> None:
    async with yard.auditor("call") as auditor, yard.worker() as victim:
        publishing = asyncio.create_task(auditor.publish(numbered(200), most=20))
        await auditor.progressed(40, 30)
        await yard.settled(auditor.reply_queue, *(yard.environment["MQ_PREFIX"] + name for name in QUEUES))
        await replace(yard.rabbit)
        await publishing
        await balanced(yard, auditor, 200)
        assert victim.alive


async def test_a_frozen_broker_makes_the_worker_unready_but_not_dead_and_it_goes_on_after_the_thaw(yard: Yard) -> None:
    port = free_port()
    async with yard.auditor("call") as auditor, yard.worker(HEALTH_PORT=str(port), MQ_HEARTBEAT="2"):
        await auditor.publish(numbered(20))
        await auditor.answered(30)
        yard.rabbit.pause()
        try:
            await readiness(port, ready=False)
        finally:
            yard.rabbit.resume()
        await readiness(port, ready=True)
        await auditor.publish(numbered(20))
        await balanced(yard, auditor, 40)


async def test_a_half_open_connection_is_given_up_and_opened_anew(yard: Yard, wire: Wire) -> None:
    port = free_port()
    more = {"HEALTH_PORT": str(port), "MQ_HEARTBEAT": "2", "MQ_PORT": str(wire.port)}
    async with yard.auditor("call") as auditor, yard.worker(**more):
        opened = wire.opened
        wire.freeze()
        await auditor.publish(numbered(20))
        await readiness(port, ready=False)
        wire.thaw()
        await readiness(port, ready=True)
        await balanced(yard, auditor, 20)
        assert wire.opened > opened


async def test_a_connection_that_is_reset_again_and_again_costs_nothing(yard: Yard, wire: Wire) -> None:
    async with yard.auditor("call") as auditor, yard.worker(MQ_PORT=str(wire.port)):
        publishing = asyncio.create_task(auditor.publish(numbered(150), most=10))
        resets = 0
        for replies in (10, 40, 80):
            await auditor.progressed(replies, 60)
            resets += wire.reset()
        await publishing
        await balanced(yard, auditor, 150)
        assert resets >= 3


async def test_a_command_queue_that_is_deleted_is_declared_again_by_the_worker(yard: Yard) -> None:
    name = yard.environment["MQ_PREFIX"] + "call"
    async with yard.auditor("call") as auditor, yard.worker() as victim, operator(yard) as channel:
        for _ in range(2):
            await auditor.publish(numbered(5))
            await auditor.answered(30)
            await channel.queue_delete(name)
        await auditor.publish(numbered(5))
        assert victim.alive
        await balanced(yard, auditor, 15)


async def test_a_command_queue_that_is_deleted_and_declared_again_at_once_is_consumed_again(yard: Yard) -> None:
    name = yard.environment["MQ_PREFIX"] + "call"
    async with yard.auditor("call") as auditor, yard.worker() as victim, operator(yard) as channel:
        await auditor.publish(numbered(5))
        await auditor.answered(30)
        for _ in range(3):
            await channel.queue_delete(name)
            arguments = {"x-queue-type": "quorum"}
            await channel.declare_queue(name, durable=True, arguments=arguments)  # at once, by somebody else
            await auditor.publish(numbered(5))
            await auditor.answered(20)
        assert victim.alive
        await balanced(yard, auditor, 20)


async def test_a_command_that_expired_in_the_broker_is_told_so_and_never_submitted(yard: Yard) -> None:
    async with yard.worker() as victim:  # declares the queues
        pass
    await yard.bury(victim)
    async with yard.auditor("call") as auditor:
        await auditor.publish(numbered(10), expiration="1")
        async with yard.worker():
            await auditor.answered(30)
            await yard.quiet()
            await auditor.caught_up()
    assert auditor.books.outcomes() == {"ADAPTER-EXPIRED": 10}
    assert auditor.books.verdict().surplus == ()
    assert yard.recorder.submits == []


async def test_a_command_the_broker_gave_up_delivering_is_handled_from_its_dead_letters(yard: Yard) -> None:
    prefix = yard.environment["MQ_PREFIX"]
    async with operator(yard) as channel:
        await channel.declare_queue(f"{prefix}adapter.returned", durable=True, arguments={"x-queue-type": "quorum"})
        queue = await channel.declare_queue(f"{prefix}call", durable=True, arguments=_limited(prefix))
        async with yard.auditor("call") as auditor:
            await auditor.publish(numbered(3))
            for _ in range(2 * 3):  # two deliveries each are more than the queue allows
                message = await queue.get(timeout=10, fail=True)
                await message.nack(requeue=True)
            async with yard.worker():
                await balanced(yard, auditor, 3)
    assert await yard.ask("select count(*) from exchanges where source = $1", f"{prefix}adapter.returned") == 3


def _limited(prefix: str) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"{prefix}adapter.returned",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def test_a_reply_nobody_takes_parks_itself_lets_others_go_out_and_goes_out_when_its_queue_is_back(
    yard: Yard,
) -> None:
    name = yard.environment["MQ_PREFIX"] + "late.reply"
    async with yard.auditor("echo") as auditor, yard.worker(), operator(yard) as channel:
        sick, *healthy = numbered(21)
        await auditor.publish([sick], reply_to=name)
        await auditor.publish(healthy)
        await auditor.progressed(20, 30)
        await yard.eventually("select count(*) = 1 from outbox where state = 'parked'")
        queue = await channel.declare_queue(name, exclusive=True)
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        await queue.consume(arrived.put, no_ack=True)
        message = await asyncio.wait_for(arrived.get(), 30)
        assert orjson.loads(message.body)["result"]["transport_id"] == sick[0]
        await yard.quiet()
