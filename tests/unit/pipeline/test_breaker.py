"""A breaker opens after failures in a row, lets one probe through at a time, and closes on any sign of life."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from adapter.errors import AdapterError
from adapter.pipeline.breaker import FIRST_PAUSE, LAST_PAUSE, THRESHOLD, Breaker
from adapter.pipeline.bulkhead import Bulkhead

ERROR = AdapterError("GONE", "нет")


class Told:
    """An observer that keeps the counts."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.counts: Counter[str] = Counter()

    def command_finished(self, exchange: Any, *, outcome: str, code: str | None, reply_bytes: int) -> None: ...

    def gateway_call(self, operation: str, outcome: str, seconds: float, bytes_out: int, bytes_in: int) -> None: ...

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] += n


class Clock:
    """Stands still until it is told otherwise."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def breaker(told: Told, clock: Clock) -> Breaker:
    return Breaker("gateway", told, clock=clock)


@pytest.fixture
def opened(breaker: Breaker) -> Breaker:
    for _ in range(THRESHOLD):
        assert breaker.admit()
        breaker.failed(ERROR, probe=False)
    return breaker


def test_failures_that_are_not_in_a_row_open_nothing(breaker: Breaker) -> None:
    for _ in range(THRESHOLD):
        for _ in range(THRESHOLD - 1):
            breaker.failed(ERROR, probe=False)
        breaker.succeeded()
    assert breaker.closed
    assert breaker.admit()


def test_failures_in_a_row_open_it_once_and_it_tells_why(opened: Breaker, told: Told) -> None:
    opened.failed(ERROR, probe=False)  # a call that had left before
    assert not opened.admit()
    assert (opened.closed, opened.refuses, opened.cause) == (False, True, ERROR)
    assert opened.wait == FIRST_PAUSE
    assert told.counts == {"breaker-opened": 1}


def test_after_the_pause_one_probe_is_let_through_at_a_time(opened: Breaker, clock: Clock) -> None:
    clock.now += FIRST_PAUSE
    assert [opened.admit() for _ in range(3)] == [True, False, False]
    opened.release()
    assert [opened.admit() for _ in range(2)] == [True, False]


def test_a_probe_that_fails_doubles_the_pause_up_to_a_bound(opened: Breaker, clock: Clock) -> None:
    pauses = []
    for _ in range(8):
        pauses.append(opened.wait)
        clock.now += opened.wait
        assert opened.admit()
        opened.failed(ERROR, probe=True)
        assert not opened.admit()
    assert pauses == [min(FIRST_PAUSE * 2**n, LAST_PAUSE) for n in range(8)]


def test_a_call_that_left_before_it_opened_does_not_end_the_probe(opened: Breaker, clock: Clock) -> None:
    clock.now += FIRST_PAUSE
    assert opened.admit()
    opened.failed(ERROR, probe=False)
    assert not opened.admit()


def test_one_success_closes_it_whoever_made_the_call(opened: Breaker, told: Told) -> None:
    opened.succeeded()
    assert (opened.closed, opened.cause) == (True, None)
    assert all(opened.admit() for _ in range(THRESHOLD))
    assert told.counts == {"breaker-opened": 1, "breaker-closed": 1}


def test_a_success_forgets_the_failures_before_it(opened: Breaker) -> None:
    opened.succeeded()
    for _ in range(THRESHOLD - 1):
        opened.failed(ERROR, probe=False)
    assert opened.closed


async def test_no_retry_starts_while_a_gateway_is_away_and_one_asks_when_it_may_be_back(told: Told) -> None:
    bulkhead = Bulkhead("gateway", 1, told)
    assert (bulkhead.retries(200), bulkhead.away) == (200, [])
    clock = Clock()
    bulkhead.calls = Breaker("gateway", told, clock=clock)
    for _ in range(THRESHOLD):
        bulkhead.calls.failed(ERROR, probe=False)
    assert (bulkhead.retries(200), bulkhead.away) == (0, ["gateway"])
    clock.now += FIRST_PAUSE
    assert bulkhead.retries(200) == 1
    assert bulkhead.retries(0) == 0


async def test_few_retries_start_while_signing_is_away(told: Told) -> None:
    bulkhead = Bulkhead("gateway", 1, told)
    for _ in range(THRESHOLD):
        bulkhead.signing.failed(ERROR, probe=False)
    assert 0 < bulkhead.retries(200) < 200
    assert bulkhead.away == ["gateway signing"]
