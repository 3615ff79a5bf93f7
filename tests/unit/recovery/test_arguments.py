"""What operators write: moments, spans, rates, reasons, ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from adapter.recovery.arguments import identity, moment, pause, reason, span, uuid_of
from adapter.recovery.errors import ArgumentError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-11-21T10:00:00Z", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21T10:00:00+03:00", datetime(2026, 11, 21, 7, tzinfo=UTC)),
    ],
)
def test_a_moment_is_rfc_3339_or_a_time_ago(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2h30m", "-2h", "2026-11-21T10:00:00", "2026-13-01T00:00:00Z"])
def test_a_moment_that_leaves_a_doubt_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="must be a moment"):
        moment(text, NOW)


def test_a_span_names_its_unit() -> None:
    assert span("15m") == timedelta(minutes=15)
    with pytest.raises(ArgumentError, match="length of time"):
        span("15")


@pytest.mark.parametrize(
    ("text", "seconds"), [("5/s", 0.2), ("5", 0.2), ("100/m", 0.6), ("0.5/s", 2.0), ("60/h", 60.0)]
)
def test_a_rate_is_the_pause_between_two(text: str, seconds: float) -> None:
    assert pause(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["0", "0/s", "-1/s", "fast", "5/day", ""])
def test_a_rate_that_never_comes_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="rate"):
        pause(text)


def test_a_reason_is_words_on_one_line() -> None:
    assert reason("  письмо № 5 ") == "письмо № 5"
    for text in ("", "  ", "two\nlines", "\x1b[31m"):
        with pytest.raises(ArgumentError):
            reason(text)


def test_an_id_is_looked_for_as_the_journal_writes_it() -> None:
    assert identity("заказ") == "заказ"
    assert identity(b"\xff-1".decode("utf-8", "surrogateescape")) == "\\xff-1"


def test_only_a_uuid_is_a_uuid() -> None:
    assert uuid_of("019a9f3e-2b7c-7c41-9d0e-5a2f6b1c8d34") == UUID("019a9f3e-2b7c-7c41-9d0e-5a2f6b1c8d34")
    assert uuid_of("order-4711") is None
