"""A steady trickle of commands and how long each waited for its reply: what a neighbour feels of somebody's fault."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import uuid4

import aio_pika

from tests.faults.conftest import numbered
from tests.faults.recorder import Recorder
from tests.integration.conftest import upstream_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deploy.local.postgres import LocalPostgres
    from tests.faults.conftest import Yard

#: What the machine itself adds to a wait now and then, in seconds: a smaller 99th percentile tells nothing.
_NOISE = 0.04
#: Measurements that the machine may spoil; what a fault does is there in all of them.
_TRIES = 4

#: Commands of one measurement, and how many of them a second: the 99th percentile is the second worst.
COUNT = 120
_RATE = 40


class Pulse:
    """An upstream system that asks for ``action`` at a steady rate."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel, replies: aio_pika.abc.AbstractQueue, queue: str) -> None:
        """Commands go to ``queue``, replies come to ``replies``."""
        self._channel = channel
        self._replies = replies
        self._queue = queue
        self._asked: dict[str, float] = {}
        self._waits: list[float] = []
        self._all = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def of(cls, yard: Yard, action: str) -> AsyncIterator[Pulse]:
        """Listen for the length of a block."""
        connection = await aio_pika.connect(
            f"amqps://{yard.rabbit.host}:{yard.rabbit.port}/?auth=external",
            ssl_context=upstream_context(yard.certificates),
        )
        async with connection:
            channel = await connection.channel()
            replies = await channel.declare_queue(exclusive=True)
            pulse = cls(channel, replies, yard.environment["MQ_PREFIX"] + action)
            await replies.consume(pulse._take, no_ack=True)
            yield pulse

    async def p99(self) -> float:
        """Ask ``COUNT`` times and return the 99th percentile of the waits, in seconds."""
        self._waits.clear()
        self._all.clear()
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for number, (name, body) in enumerate(numbered(COUNT)):
                async with asyncio.timeout(30):
                    await asyncio.sleep(max(0.0, began + number / _RATE - loop.time()))  # the rate is what is asked for
                group.create_task(self._ask(name, body))
        await asyncio.wait_for(self._all.wait(), 30)
        return sorted(self._waits)[int(COUNT * 0.99)]

    async def _ask(self, name: str, body: bytes) -> None:
        self._asked[name] = perf_counter()
        message = aio_pika.Message(body, message_id=name, correlation_id=name, reply_to=self._replies.name)
        await self._channel.default_exchange.publish(message, self._queue, timeout=30)

    async def _take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self._waits.append(perf_counter() - self._asked.pop(message.correlation_id or ""))
        if len(self._waits) == COUNT:
            self._all.set()


def _without_smev(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(("SMEV_", "SIGN_"))}


class Twins:
    """A neighbour of the fault, and its twin whom the fault cannot reach: same broker, server, machine and moment.

    The twin is served by a worker of its own on a database and queues of its own. What the machine does to both is no
    fault's doing, so each measurement of the one is judged by that of the other.
    """

    def __init__(self, near: Pulse, far: Pulse) -> None:
        """``near`` shares the fault's worker, ``far`` shares nothing with it."""
        self._near = near
        self._far = far

    @classmethod
    @asynccontextmanager
    async def beside(cls, yard: Yard, postgres: LocalPostgres, action: str) -> AsyncIterator[Twins]:
        """Start the twin's worker; the other one, which suffers, is the caller's and runs already."""
        name = f"twin_{uuid4().hex[:8]}"
        postgres.create_database(name)
        environment = {"MQ_PREFIX": f"{name}.", "DATABASE_NAME": name, "SERVICES": action}
        try:
            async with Recorder.listening() as idle, Recorder.listening() as calm:
                environment |= {"RECORDER": idle.url, "RECORDER_ANSWERS": idle.url, "CALM_RECORDER": calm.url}
                apart = dataclasses.replace(yard, environment=_without_smev(yard.environment) | environment)
                async with apart.worker(), Pulse.of(yard, action) as near, Pulse.of(apart, action) as far:
                    twins = cls(near, far)
                    await twins.measure()  # the first one warms up
                    yield twins
        finally:
            postgres.drop_database(name)

    async def measure(self) -> tuple[float, float]:
        """Return the 99th percentiles of both, taken at the same time."""
        near, far = await asyncio.gather(self._near.p99(), self._far.p99())
        return near, far

    async def assert_undisturbed(self, fault: str) -> None:
        """During a fault its neighbour's 99th percentile is at most twice its twin's."""
        figures = []
        for _ in range(_TRIES):
            near, far = await self.measure()
            figures.append(f"{near * 1000:.0f}/{far * 1000:.0f}")
            if near <= 2 * max(far, _NOISE):
                break
        print(f"\n{fault}: p99 in ms, neighbour/undisturbed: {', '.join(figures)}")  # noqa: T201  — whoever runs with -s reads the figures
        assert near <= 2 * max(far, _NOISE), figures
