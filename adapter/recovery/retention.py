"""Retention: what is over and older than RETENTION_DAYS goes, beside running workers; what somebody needs never does.

The order makes it safe. First the exchanges that are over go, with what came in and who they belonged to; the
database judges each (``0050_retention.pre.sql``). Then a day of proof or outbox is dropped when no exchange that is
kept has a row in it, and a file when no exchange that is kept names it. Whatever breaks in between is finished by the
next run.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from adapter.files.ageing import MARGIN, old_files, remove, restore
from adapter.journal.statements import sql
from adapter.recovery.errors import RecoveryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import date
    from pathlib import Path

    import asyncpg

    from adapter.files.ageing import OldFile

#: Exchanges that one transaction removes or reads: few enough for the workers beside it.
_AT_ONCE: Final = 1000
#: Identities that one statement forgets.
_IDENTITIES_AT_ONCE: Final = 5000
#: How often a day is tried again that somebody reads, and the seconds between two tries.
_TRIES: Final = 10
_PAUSE: Final = 0.5
#: Seconds that a look at a whole day may take.
_LONG: Final = 3600.0
_NIL: Final = UUID(int=0)
_DIGEST: Final = re.compile(rb"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is kept how long: ``days`` of everything, ``dedupe_days`` of identities; ``files`` is FILES_ROOT."""

    days: int
    dedupe_days: int
    files: Path | None

    def __post_init__(self) -> None:
        """Raise RecoveryError when identities would outlive their exchanges."""
        if self.days <= self.dedupe_days:
            raise RecoveryError(
                f"must keep more than DEDUPE_DAYS, which are {self.dedupe_days}: a repeat is told by them"
            )

    def before(self, now: datetime) -> datetime:
        """Return the moment before which things are old."""
        return now - timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Day:
    """One partition: ``date`` is ``None`` for the default one, ``fate`` is what became of it, ``size`` in bytes."""

    part: str
    date: date | None
    size: int
    fate: str


@dataclass(slots=True)
class Done:
    """What a run removed. ``registers`` counts rows of the small registers by name."""

    before: datetime
    exchanges: int = 0
    identities: int = 0
    registers: dict[str, int] = field(default_factory=dict)
    days: list[Day] = field(default_factory=list)
    files: int = 0
    files_size: int = 0

    @property
    def busy(self) -> list[Day]:
        """Days that could have been dropped and were in use."""
        return [day for day in self.days if day.fate == "busy"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Exchanges of one state that are old: ``over`` when the next run removes them."""

    state: str
    over: bool
    exchanges: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """What is old, and what of it stays."""

    before: datetime
    exchanges: Sequence[Kept]
    days: Sequence[Day]
    files: int | None
    files_size: int


async def show(connection: asyncpg.Connection, rule: Rule, now: datetime) -> Overview:
    """Look, and change nothing. Raises RecoveryError when FILES_ROOT cannot be read."""
    before = rule.before(now)
    rows = await connection.fetch(sql("retention_kept"), before, _floor(before), timeout=_LONG)
    kept = [Kept(row["state"], row["over"], row["exchanges"], row["since"]) for row in rows]
    days = [
        Day(row["part"], row["day"], row["bytes"], "old" if row["day"] and _end(row["day"]) <= before else "young")
        for row in await connection.fetch(sql("retention_days"))
    ]
    files = await _old(rule.files, before) if rule.files else None
    return Overview(
        before, kept, days, None if files is None else len(files), sum(file.size for file in (files or {}).values())
    )


async def run(connection: asyncpg.Connection, rule: Rule, now: datetime) -> Done:
    """Remove what is over and old. Raises RecoveryError when FILES_ROOT cannot be changed; run again, it goes on."""
    before = rule.before(now)
    done = Done(before)
    # Identities first: one that outlived its exchange would make a repeat wait for nothing.
    done.identities = await _forget_identities(connection, rule.dedupe_days)
    async for forgotten in _forget(connection, before):
        done.exchanges += forgotten
    done.identities += await _forget_identities(connection, rule.dedupe_days)
    (row,) = await connection.fetch(sql("retention_registers"), before)
    done.registers = dict(row)
    for day in await connection.fetch(sql("retention_days")):
        fate = await _drop(connection, day["part"], before)
        if fate in {"dropped", "held", "busy"}:
            done.days.append(Day(day["part"], day["day"], day["bytes"], fate))
    if rule.files is not None:
        await _remove_files(connection, rule.files, before, done)
    return done


async def _forget_identities(connection: asyncpg.Connection, days: int) -> int:
    total, gone = 0, _IDENTITIES_AT_ONCE
    while gone == _IDENTITIES_AT_ONCE:
        gone = await connection.fetchval(sql("dedupe_sweep"), timedelta(days=days), _IDENTITIES_AT_ONCE, timeout=_LONG)
        total += gone
    return total


async def _forget(connection: asyncpg.Connection, before: datetime) -> AsyncIterator[int]:
    """Remove the exchanges that are over, a transaction at a time; yield how many each removed."""
    last, below = _NIL, _floor(before)
    while last is not None:
        (row,) = await connection.fetch(sql("retention_forget"), last, below, before, _AT_ONCE, timeout=_LONG)
        last = row["last"]
        yield row["forgotten"]


async def _drop(connection: asyncpg.Connection, part: str, before: datetime) -> str:
    """Drop one day, trying again while somebody reads it."""
    fate = "busy"
    for _ in range(_TRIES):
        fate = await connection.fetchval(sql("retention_drop"), part, before, timeout=_LONG)
        if fate != "busy":
            break
        await asyncio.sleep(_PAUSE)
    return fate


async def _remove_files(connection: asyncpg.Connection, root: Path, before: datetime, done: Done) -> None:
    files = await _old(root, before)
    if not files:
        return
    named = await _named(connection, before)
    moment = (before - MARGIN).timestamp()
    for digest, file in files.items():
        if digest not in named and await _on_disk(remove, file, moment):
            done.files += 1
            done.files_size += file.size


async def _named(connection: asyncpg.Connection, before: datetime) -> frozenset[str]:
    """Return what may be digests of files in the facts of old exchanges that are kept."""
    found: set[str] = set()
    last, below = _NIL, _floor(before)
    while ids := [row["id"] for row in await connection.fetch(sql("retention_next"), last, below, _AT_ONCE)]:
        for row in await connection.fetch(sql("retention_named"), ids, timeout=_LONG):
            for text in (row["meta"], row["data"]):
                found.update(digest.decode() for digest in _DIGEST.findall(text or b""))
        last = ids[-1]
    return frozenset(found)


async def _old(root: Path, before: datetime) -> dict[str, OldFile]:
    await _on_disk(restore, root)
    return dict(await _on_disk(old_files, root, (before - MARGIN).timestamp()))


async def _on_disk(work: Any, *arguments: Any) -> Any:
    try:
        return await asyncio.to_thread(work, *arguments)
    except OSError as error:
        raise RecoveryError(f"FILES_ROOT cannot be used: {type(error).__name__}") from None


def _floor(moment: datetime) -> UUID:
    """Return an id that is smaller than every one made from ``moment`` on (adapter/ids.py)."""
    return UUID(int=(int(moment.timestamp() * 1000)) << 80)


def _end(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
