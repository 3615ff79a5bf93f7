"""Acks of a consumer beside a channel that behaves as the library does on bad days."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from adapter.broker.consumer import QueueConsumer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter.broker.consumer import Delivery


class Sink:
    """Notes what was settled."""

    def __init__(self) -> None:
        self.settled: list[int] = []

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        raise AssertionError("nothing is handed over here")

    def settle(self, queue: str, session: str, tags: Sequence[int]) -> None:
        assert (queue, session) == ("q", "s")
        self.settled += tags


class DeafChannel:
    """Loses a cancellation that comes with the broker's answer, as ``wait_for`` of Python 3.11 does."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def basic_ack(self, *_: Any, **__: Any) -> None:
        """Take the ack."""

    async def basic_qos(self, **_: Any) -> None:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return


async def test_a_cancellation_that_the_library_loses_still_ends_the_acks() -> None:
    sink, channel = Sink(), DeafChannel()
    consumer = QueueConsumer("q", sink, prefetch=10, max_body=1000)
    consumer._durable = [1]
    acks = asyncio.create_task(consumer._acknowledge(channel, "s"))  # type: ignore[arg-type]  # the two calls it makes
    await channel.asked.wait()
    acks.cancel()
    await asyncio.wait([acks], timeout=5)
    assert acks.cancelled()
    assert sink.settled == [1]
