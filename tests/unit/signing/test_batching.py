from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from adapter.signing.batching import ClosedError, Line

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Server:
    """Answers a request when the test says so; remembers what came in which request."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.came = asyncio.Event()
        self.answer = asyncio.Event()
        self.most = 0
        self._running = 0

    async def send(self, items: Sequence[str]) -> Sequence[str | Exception]:
        self.requests.append(list(items))
        self._running += 1
        self.most = max(self.most, self._running)
        self.came.set()
        try:
            await asyncio.wait_for(self.answer.wait(), 5)
        finally:
            self._running -= 1
        return [KeyError(item) if item.startswith("bad") else item.upper() for item in items]


def _line(server: _Server, *, max_items: int = 100, max_bytes: int = 1000, width: int = 1) -> Line[str, str]:
    return Line(server.send, max_items=max_items, max_bytes=max_bytes, width=width)


async def _started(server: _Server, line: Line[str, str], *items: str) -> list[asyncio.Task[str]]:
    """Submit the first item, wait until it is on its way, then the others."""
    tasks = [asyncio.create_task(line.submit(items[0], len(items[0])))]
    await asyncio.wait_for(server.came.wait(), 5)
    tasks += [asyncio.create_task(line.submit(item, len(item))) for item in items[1:]]
    await asyncio.sleep(0)
    return tasks


async def test_what_gathers_during_a_request_goes_out_as_the_next_one() -> None:
    server = _Server()
    tasks = await _started(server, _line(server), "a", "b", "c")
    server.answer.set()
    assert await asyncio.gather(*tasks) == ["A", "B", "C"]
    assert server.requests == [["a"], ["b", "c"]]


async def test_one_item_fails_alone() -> None:
    server = _Server()
    tasks = await _started(server, _line(server), "a", "bad", "c")
    server.answer.set()
    first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, third) == ("A", "C")
    assert isinstance(second, KeyError)


async def test_a_request_that_fails_fails_its_own_callers_and_the_line_goes_on() -> None:
    failures = iter([OSError("down"), None])

    async def send(items: Sequence[str]) -> Sequence[str]:
        if (failure := next(failures)) is not None:
            raise failure
        return list(items)

    line: Line[str, str] = Line(send, max_items=1, max_bytes=100, width=1)
    first, second = await asyncio.gather(line.submit("a", 1), line.submit("b", 1), return_exceptions=True)
    assert isinstance(first, OSError)
    assert second == "b"


async def test_a_request_with_a_missing_result_leaves_nobody_waiting() -> None:
    async def send(items: Sequence[str]) -> Sequence[str]:
        return []

    line: Line[str, str] = Line(send, max_items=10, max_bytes=100)
    with pytest.raises(RuntimeError, match="0 results for 1 items"):
        await asyncio.wait_for(line.submit("a", 1), 5)


async def test_requests_keep_to_their_bounds() -> None:
    server = _Server()
    line = _line(server, max_items=2, max_bytes=5)
    tasks = await _started(server, line, "x", "a", "b", "c", "long-one-alone", "d", "efgh")
    server.answer.set()
    await asyncio.gather(*tasks)
    assert server.requests == [["x"], ["a", "b"], ["c"], ["long-one-alone"], ["d", "efgh"]]


async def test_at_most_width_requests_run_at_once() -> None:
    server = _Server()
    tasks = await _started(server, _line(server, max_items=1, width=2), *"abcdef")
    server.answer.set()
    await asyncio.gather(*tasks)
    assert server.most == 2


async def test_a_cancelled_caller_is_not_sent() -> None:
    server = _Server()
    tasks = await _started(server, _line(server), "a", "b", "c")
    tasks[1].cancel()
    await asyncio.sleep(0)
    server.answer.set()
    assert await tasks[2] == "C"
    assert server.requests == [["a"], ["c"]]


async def test_closing_ends_running_and_waiting_callers() -> None:
    server = _Server()
    line = _line(server)
    tasks = await _started(server, line, "a", "b")
    await line.close()
    assert all(isinstance(end, ClosedError) for end in await asyncio.gather(*tasks, return_exceptions=True))
    with pytest.raises(ClosedError):
        await line.submit("c", 1)


async def test_a_request_right_after_another_takes_company_along() -> None:
    requests: list[list[str]] = []

    async def send(items: Sequence[str]) -> Sequence[str]:
        requests.append(list(items))
        return list(items)

    line: Line[str, str] = Line(send, max_items=100, max_bytes=1000)
    assert await line.submit("a", 1) == "a"
    first = asyncio.create_task(line.submit("b", 1))
    await asyncio.sleep(0)
    assert list(await asyncio.gather(first, line.submit("c", 1))) == ["b", "c"]
    assert requests == [["a"], ["b", "c"]]


async def test_a_slow_request_is_helped_by_a_second_one() -> None:
    server = _Server()
    tasks = await _started(server, _line(server, width=2), "a", "b")
    async with asyncio.timeout(5):
        while len(server.requests) < 2:  # noqa: ASYNC110  — the server's own answer is what it waits for
            await asyncio.sleep(0.01)
    assert server.requests == [["a"], ["b"]]
    server.answer.set()
    assert await asyncio.gather(*tasks) == ["A", "B"]


async def test_what_cannot_leave_in_time_is_given_up() -> None:
    server = _Server()
    line: Line[str, str] = Line(server.send, max_items=100, max_bytes=1000, width=1, patience=0.05)
    running, waiting = await _started(server, line, "a", "b")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 5)
    assert not running.done()
    server.answer.set()
    assert await running == "A"
    assert server.requests == [["a"]]
