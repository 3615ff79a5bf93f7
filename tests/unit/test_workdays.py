"""Working days: what one of them is, and when nobody works."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.workdays import Calendar

ASTANA = timezone(timedelta(hours=5))
CALENDAR = Calendar(ASTANA, frozenset({date(2026, 12, 16)}))


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}:00+05:00")


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("11-23T15:00", "11-24T15:00"),
        ("11-27T15:00", "11-30T15:00"),
        ("11-28T12:00", "12-01T00:00"),
        ("12-15T09:30", "12-17T09:30"),
        ("12-16T09:30", "12-18T00:00"),
    ],
    ids=["monday", "friday", "saturday", "before-a-holiday", "on-a-holiday"],
)
def test_a_working_day_has_passed_when_24_hours_of_working_days_have(since: str, until: str) -> None:
    assert CALENDAR.day_after(at(since)) == at(until)
    assert CALENDAR.day_after(at(since).astimezone(UTC)) == at(until)


@settings(deadline=None)
@given(st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2027, 1, 1), timezones=st.just(ASTANA)))  # noqa: DTZ001  — the strategy adds the zone
def test_a_working_day_lasts_a_day_at_least_and_ends_on_one(moment: datetime) -> None:
    end = CALENDAR.day_after(moment)
    assert end - moment >= timedelta(days=1)
    assert CALENDAR.is_worked((end - timedelta(microseconds=1)).date())


@pytest.mark.parametrize(
    ("begins", "ends", "allowed"),
    [
        ("11-23T22:00", "11-24T06:00", True),
        ("11-23T21:59", "11-24T06:00", False),
        ("11-23T22:00", "11-24T06:01", False),
        ("11-24T00:00", "11-24T01:00", True),
        ("11-27T22:00", "11-30T06:00", True),
        ("11-27T22:00", "11-30T06:01", False),
        ("12-16T09:00", "12-16T18:00", True),
        ("11-23T12:00", "11-23T12:01", False),
        ("11-23T23:00", "11-25T01:00", False),
    ],
    ids=["night", "begins-early", "ends-late", "short", "weekend", "into-monday", "holiday", "noon", "over-a-day"],
)
def test_breaks_are_at_night_on_weekends_and_on_holidays(begins: str, ends: str, allowed: bool) -> None:  # noqa: FBT001  — a column of the table
    assert CALENDAR.is_break_time(at(begins), at(ends)) is allowed
