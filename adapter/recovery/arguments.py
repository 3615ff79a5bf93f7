"""What operators write on the command line: moments, spans, rates. Pure."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from adapter.pipeline.envelope import searchable
from adapter.recovery.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhd])")
_RATE: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(?:/([smh]))?")


def span(text: str) -> timedelta:
    """Read a length of time: ``30s``, ``15m``, ``2h``, ``3d``. Raises ArgumentError."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ArgumentError("must be a length of time such as 30s, 15m, 2h or 3d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def moment(text: str, now: datetime | None = None) -> datetime:
    """Read an RFC 3339 moment with its offset, or how long ago it was (``2h``). Raises ArgumentError."""
    if _SPAN.fullmatch(text):
        return (now or datetime.now(UTC)) - span(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ArgumentError("must be a moment such as 2026-11-21T19:00:00Z, or a time ago such as 2h")
    return found.astimezone(UTC)


def pause(text: str) -> float:
    """Read a rate (``5/s``, ``100/m``; ``5`` is per second), return the seconds between two. Raises ArgumentError."""
    found = _RATE.fullmatch(text)
    if found is None or float(found[1]) == 0:
        raise ArgumentError("must be a rate such as 5/s or 100/m")
    return _UNITS[found[2] or "s"] / float(found[1])


def reason(text: str) -> str:
    """Read a reason: some words on one line. Raises ArgumentError."""
    if not text.strip() or not text.isprintable():
        raise ArgumentError("must say something, on one line")
    return text.strip()


def days(text: str) -> int:
    """Read a number of days. Raises ArgumentError."""
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text):
        raise ArgumentError("must be a number of days from 1 to 99999")
    return int(text)


def identity(text: str) -> str:
    """Return an id as the journal writes it: bytes that are not UTF-8 escaped."""
    return searchable(os.fsencode(text)) or ""


def printable(text: object) -> str:
    """Return a text for one line of a terminal or a page: what an upstream system named cannot move the cursor."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in str(text))


def uuid_of(text: str) -> UUID | None:
    """Return the UUID that a text is, ``None`` for any other text."""
    try:
        return UUID(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Filter:
    """What of the parked is meant; ``None`` means any. ``since`` is included, ``until`` is not."""

    action: str | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: Sequence[UUID] | None = None

    @property
    def columns(self) -> tuple[Any, ...]:
        """The parameters of the parked_* statements, in their order."""
        return self.action, self.code, self.since, self.until, None if self.ids is None else list(self.ids)
