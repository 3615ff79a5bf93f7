"""Findings: one line each, for people and machines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import aiohttp

from adapter.broker.connection import BROKER_ERRORS
from adapter.errors import AdapterError
from adapter.journal.writer import DATABASE_ERRORS

if TYPE_CHECKING:
    from datetime import datetime

    from adapter.settings import Settings

#: Seconds for one check.
PATIENCE: Final = 20.0
#: Seconds by which clocks may differ before it is said, and before it is a fault.
_SLIGHT, _WRONG = 5.0, 60.0
_UNREACHABLE: Final[tuple[type[Exception], ...]] = (*BROKER_ERRORS, *DATABASE_ERRORS, aiohttp.ClientError)
_NOT_NEEDED: Final = "not needed by the served actions"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: ``ok`` is ``None`` for a remark that fails nothing."""

    name: str
    ok: bool | None
    sentence: str


#: Looks at one part; a sentence stands for one finding under the part's name. What it raises is one, too.
Check = Callable[["Settings"], Awaitable[str | Sequence[Finding]]]


async def attempt(name: str, check: Check, settings: Settings) -> Sequence[Finding]:
    """Return what a check found; what it raises is a fault of its part."""
    try:
        async with asyncio.timeout(PATIENCE):
            found = await check(settings)
    except LookupError as error:
        return [Finding(name, ok=False, sentence=str(error.args[0] if error.args else error))]
    except AdapterError as error:
        return [Finding(name, ok=False, sentence=f"{error.code}: {error.description}")]
    except _UNREACHABLE as error:
        # Texts of these errors may hold values; their types say what happened.
        return [Finding(name, ok=False, sentence=f"cannot be reached: {kind(error)}")]
    return [Finding(name, ok=True, sentence=found)] if isinstance(found, str) else found


def kind(error: BaseException) -> str:
    """Name the error's type, and that of the first cause: it tells a refused certificate from a closed port."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return type(error).__name__ + ("" if cause is error else f" ({type(cause).__name__})")


def clock(name: str, theirs: datetime, ours: datetime, *, fineness: float = 0.0) -> Finding:
    """Judge how far another clock is from ours; ``fineness`` is what cannot be told apart, in seconds."""
    apart = (ours - theirs).total_seconds()
    distance = max(0.0, abs(apart) - fineness)
    if distance <= _SLIGHT:
        return Finding(name, ok=True, sentence=f"differs by {distance:.1f} s")
    direction = "ahead of" if apart > 0 else "behind"
    sentence = f"this machine is {distance:.0f} s {direction} it: set the time of one of them by NTP"
    return Finding(name, ok=False if distance > _WRONG else None, sentence=sentence)


def date_of(response: aiohttp.ClientResponse) -> datetime | None:
    """Return the moment of an HTTP answer, ``None`` where it does not say."""
    try:
        return parsedate_to_datetime(response.headers.get("Date", ""))
    except (TypeError, ValueError):
        return None


def not_needed(_: str = "") -> str:
    """Say that nothing served needs this part."""
    return _NOT_NEEDED
