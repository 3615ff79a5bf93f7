"""A broker of several nodes: they are tried in turn, and one that cannot be reached costs only its own time."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from adapter.broker import connection as module
from adapter.broker.connection import BrokerAddress, connect

CLUSTER = BrokerAddress("a", 1, user="u", password="p", timeout=0.2, others=(("b", 2), ("::1", 3)))


class Scripted:
    """A connection that fares as its host is told to."""

    fates: ClassVar[dict[str, str]] = {}
    tried: ClassVar[list[str]] = []
    ended: ClassVar[list[str]] = []
    reached: ClassVar[asyncio.Event]

    def __init__(self, url: str, _: object) -> None:
        self.host = url.partition("@")[2].partition("/")[0]

    async def connect(self) -> None:
        self.tried.append(self.host)
        self.reached.set()
        match self.fates.get(self.host):
            case "refuses":
                raise ConnectionRefusedError
            case "hangs":
                await asyncio.Event().wait()
            case "dies":
                raise asyncio.CancelledError

    async def close(self) -> None:
        self.ended.append(self.host)


@pytest.fixture
def fates(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(module, "Connection", Scripted)
    Scripted.reached = asyncio.Event()
    for table in (Scripted.fates, Scripted.tried, Scripted.ended):
        table.clear()
    return Scripted.fates


async def test_the_first_node_is_taken_when_it_answers(fates: dict[str, str]) -> None:
    async with connect(CLUSTER, "test"):
        assert Scripted.ended == []
    assert (Scripted.tried, Scripted.ended) == (["a:1"], ["a:1"])


@pytest.mark.parametrize("fate", ["refuses", "hangs", "dies"])
async def test_nodes_are_tried_in_turn_and_the_failed_ones_are_closed(fates: dict[str, str], fate: str) -> None:
    fates |= {"a:1": fate, "b:2": fate}
    async with connect(CLUSTER, "test"):
        assert Scripted.ended == ["a:1", "b:2"]
    assert Scripted.tried == ["a:1", "b:2", "[::1]:3"]


@pytest.mark.parametrize(
    ("fate", "error"), [("refuses", ConnectionRefusedError), ("hangs", TimeoutError), ("dies", ConnectionResetError)]
)
async def test_the_last_node_s_fault_is_told_when_none_answers(
    fates: dict[str, str], fate: str, error: type[Exception]
) -> None:
    fates |= {"a:1": "refuses", "b:2": "refuses", "[::1]:3": fate}
    with pytest.raises(error):
        async with connect(CLUSTER, "test"):
            raise AssertionError("nobody answered")
    assert Scripted.ended == ["a:1", "b:2", "[::1]:3"]


async def test_the_one_who_connects_says_which_node_is_the_first(fates: dict[str, str]) -> None:
    for start in range(4):
        async with connect(CLUSTER, "test", start=start):
            pass
    assert Scripted.tried == ["a:1", "b:2", "[::1]:3", "a:1"]


async def test_the_owner_s_cancellation_is_no_reason_to_try_another_node(fates: dict[str, str]) -> None:
    fates["a:1"] = "hangs"

    async def owner() -> None:
        async with connect(CLUSTER, "test"):
            raise AssertionError("nobody answered")

    task = asyncio.create_task(owner())
    await asyncio.wait_for(Scripted.reached.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (Scripted.tried, Scripted.ended) == (["a:1"], ["a:1"])


def test_every_node_is_named_for_people() -> None:
    assert CLUSTER.where == "a:1, b:2, ::1:3"
