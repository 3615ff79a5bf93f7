"""A link outlives what aiormq says of a dying connection, and ends with its owner."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from adapter.broker import link as module
from adapter.broker.connection import BrokerAddress
from adapter.broker.link import Link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Link:
    @asynccontextmanager
    async def connect(*_: Any, **starts: int) -> AsyncIterator[object]:
        yield object()

    monkeypatch.setattr(module, "connect", connect)
    monkeypatch.setattr(module, "_PAUSES", (0.0,))
    return Link(lambda: BrokerAddress("h", 1), "test")


async def test_a_dying_connection_that_reports_itself_as_cancelled_is_replaced(link: Link) -> None:
    calls = 0

    async def serve(_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise asyncio.CancelledError

    await asyncio.wait_for(link.run(serve), 5)
    assert calls == 2


async def test_a_dying_connection_is_replaced_after_a_task_group_has_failed_too(link: Link) -> None:
    calls = 0

    async def serve(_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            async with asyncio.TaskGroup() as group:
                group.create_task(_broken())
        if calls == 2:
            raise asyncio.CancelledError

    await asyncio.wait_for(link.run(serve), 5)
    assert calls == 3


async def _broken() -> None:
    await asyncio.sleep(0)
    raise ConnectionResetError


async def test_a_link_that_fails_again_and_again_begins_with_another_node_each_time(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[int] = []

    @asynccontextmanager
    async def connect(*_: Any, start: int) -> AsyncIterator[object]:
        starts.append(start)
        yield object()

    async def serve(_: Any) -> None:
        if len(starts) < 4:
            raise ConnectionResetError

    monkeypatch.setattr(module, "connect", connect)
    await asyncio.wait_for(link.run(serve), 5)
    assert starts == [0, 1, 2, 3]


async def test_a_cancelled_link_ends(link: Link) -> None:
    serving = asyncio.Event()

    async def serve(_: Any) -> None:
        serving.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(link.run(serve))
    await asyncio.wait_for(serving.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
