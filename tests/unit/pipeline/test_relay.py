"""What leaves at once, what waits for a confirm, and what leaves together."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from adapter.broker.publisher import Message, Sent
from adapter.journal.records import OutboxRow
from adapter.pipeline.relay import Relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence


class Wire:
    """A publisher whose broker confirms when it is told to."""

    def __init__(self) -> None:
        self.open = True
        self.ready = asyncio.Event()
        self.ready.set()
        self.batches: list[list[str]] = []
        self.confirms: dict[str, asyncio.Future[Sent]] = {}
        self.wrote = asyncio.Event()

    def begin(self, messages: Sequence[Message]) -> Coroutine[Any, Any, list[Sent]]:
        self.batches.append([message.routing_key for message in messages])
        self.wrote.set()
        for message in messages:
            self.confirms[message.routing_key] = asyncio.get_running_loop().create_future()
        return self._confirmed([message.routing_key for message in messages])

    async def publish(self, messages: Sequence[Message]) -> list[Sent]:
        return await self.begin(messages)

    async def _confirmed(self, names: Sequence[str]) -> list[Sent]:
        return [await self.confirms[name] for name in names]


class Marks:
    """A journal that takes every mark."""

    def write(self, _: object) -> asyncio.Future[bool]:
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        written.set_result(True)
        return written


def row(name: str, message_id: str | None = None, body: bytes = b"{}") -> OutboxRow:
    return OutboxRow(uuid4(), datetime.now(UTC), uuid4(), "reply", "", name, message_id or name, body, b"p")


@asynccontextmanager
async def relaying(wire: Wire) -> AsyncIterator[Relay]:
    relay = Relay(Marks(), wire)  # type: ignore[arg-type]  # what it uses of both
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0)
    try:
        yield relay
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_a_reply_leaves_at_once_and_does_not_wait_for_the_confirm_of_the_one_before() -> None:
    wire = Wire()
    async with relaying(wire) as relay:
        relay.offer([row("a")])
        relay.offer([row("b")])
        assert wire.batches == [["a"], ["b"]]
        for confirm in wire.confirms.values():
            confirm.set_result(Sent.CONFIRMED)
        await asyncio.wait_for(relay.drain(), 5)


async def test_two_messages_of_one_message_id_are_never_under_way_together() -> None:
    wire = Wire()
    async with relaying(wire) as relay:
        relay.offer([row("first", "same")])
        relay.offer([row("second", "same"), row("other")])
        assert wire.batches == [["first"], ["other"]]
        wire.wrote.clear()
        wire.confirms["first"].set_result(Sent.CONFIRMED)
        await asyncio.wait_for(wire.wrote.wait(), 5)
        assert wire.batches[2:] == [["second"]]
        for name in ("other", "second"):
            wire.confirms[name].set_result(Sent.CONFIRMED)
        await asyncio.wait_for(relay.drain(), 5)


async def test_what_a_crowd_offers_leaves_as_one_batch() -> None:
    wire = Wire()
    async with relaying(wire) as relay:
        for number in range(4):
            relay.offer([row(f"few-{number}")])
        wire.wrote.clear()
        for number in range(20):
            relay.offer([row(f"many-{number}")])
        await asyncio.wait_for(wire.wrote.wait(), 5)
        assert [len(batch) for batch in wire.batches] == [1, 1, 1, 1, 20]


async def test_heavy_replies_wait_for_the_confirm_of_the_one_before() -> None:
    wire, heavy = Wire(), b" " * 8 * 2**20
    async with relaying(wire) as relay:
        for name in ("a", "b"):
            relay.offer([row(name, body=heavy)])
        for name in ("a", "b"):
            await asyncio.wait_for(wire.wrote.wait(), 5)
            assert wire.batches[-1] == [name]
            wire.wrote.clear()
            wire.confirms[name].set_result(Sent.CONFIRMED)
        await asyncio.wait_for(relay.drain(), 5)


async def test_without_an_open_channel_rows_wait_for_the_publisher() -> None:
    wire = Wire()
    wire.open = False
    wire.ready.clear()
    async with relaying(wire) as relay:
        relay.offer([row("a")])
        await asyncio.sleep(0)
        assert not wire.batches
        wire.ready.set()
        await asyncio.wait_for(wire.wrote.wait(), 5)
        assert wire.batches == [["a"]]
