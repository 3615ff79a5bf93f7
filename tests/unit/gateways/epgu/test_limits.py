"""Limits in memory: calendar periods of Moscow time and a sliding window, against a plain model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from adapter.gateways.epgu.limits import Bounds, LimitsInMemory, periods
from adapter.gateways.epgu.profiles import MOSCOW

NEW_YEAR = datetime(2026, 12, 31, 20, 59, 59, tzinfo=UTC)


class Clock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@given(st.lists(st.floats(0, 300), max_size=60))
async def test_no_window_of_ten_minutes_ever_has_more_orders_than_allowed(steps: list[float]) -> None:
    clock = Clock(NEW_YEAR)
    limits, made = LimitsInMemory(Bounds(orders=3), clock), []
    for step in steps:
        clock.at += timedelta(seconds=step)
        wait = await limits.take_order("1", "10000000113")
        inside = [at for at in made if clock.at - at < timedelta(minutes=10)]
        assert (wait == 0) == (len(inside) < 3)
        if wait:
            clock.at += timedelta(seconds=wait)
            assert await limits.take_order("1", "10000000113") == 0, "after the wait there is room"
        made.append(clock.at)


async def test_accounts_and_services_have_windows_of_their_own() -> None:
    limits = LimitsInMemory(Bounds(orders=1, by_service={"7": 2}), Clock(NEW_YEAR))
    taken = [await limits.take_order(*pair) for pair in (("1", "5"), ("2", "5"), ("1", "6"), ("1", "7"), ("1", "7"))]
    assert taken == [0] * 5
    assert await limits.take_order("1", "7") == 600


async def test_a_period_ends_with_the_calendar_of_moscow() -> None:
    clock = Clock(NEW_YEAR)
    limits = LimitsInMemory(Bounds(minute=2, year=3), clock)
    assert [await limits.take_request() for _ in range(3)] == [0, 0, 1]
    clock.at += timedelta(seconds=1)
    assert [await limits.take_request() for _ in range(2)] == [0, 0], "a new year has begun in Moscow"
    assert await limits.take_request() == 60


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001  — bounds of a strategy
def test_every_moment_lies_in_its_periods(moment: datetime) -> None:
    at = moment.replace(tzinfo=MOSCOW)
    found = periods(at)
    assert [name for name, _, _ in found] == ["minute", "hour", "day", "month", "year"]
    assert all(began <= at < ends for _, began, ends in found)
    assert [found[3][2].day, found[4][2].month] == [1, 1]
