"""What is open in the journal, for the page of metrics: asked at most every 15 seconds, only while somebody looks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog

from adapter.journal.statements import sql
from adapter.journal.writer import JournalUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    import asyncpg

log = structlog.get_logger(__name__)

_FRESH: Final = 15.0
#: Seconds that the question may take; figures are not worth more.
_PATIENCE: Final = 3.0
#: Rows of one kind that are counted: more are as many.
MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Backlog:
    """Open rows and the age of the oldest in seconds, by (kind, state); the oldest unbegun command by action.

    Kinds are ``exchanges`` and ``outbox``.
    """

    rows: Mapping[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    lag: Mapping[str, float] = field(default_factory=dict)


class BacklogSample:
    """The last sample, renewed when it is asked for and old."""

    def __init__(self, lend: Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]) -> None:
        """``lend`` lends a connection for single statements."""
        self._lend = lend
        self._sampled: Backlog | None = None
        self._at = float("-inf")
        self._asking = asyncio.Lock()

    async def fresh(self) -> Backlog | None:
        """Return a sample of the last 15 seconds; ``None`` while the database does not answer in time."""
        async with self._asking:
            if monotonic() - self._at >= _FRESH:
                self._sampled = await self._ask()
                self._at = monotonic()
            return self._sampled

    async def _ask(self) -> Backlog | None:
        try:
            async with asyncio.timeout(_PATIENCE), self._lend() as connection:
                rows = await connection.fetch(sql("backlog"), MOST)
                lags = await connection.fetch(sql("lag"))
        except (JournalUnavailableError, TimeoutError) as error:
            log.info("the backlog is not known now", error=type(error).__name__)
            return None
        return Backlog(
            {(row["kind"], row["label"]): (row["count"], max(row["oldest"], 0.0)) for row in rows},
            {row["action"]: max(row["oldest"], 0.0) for row in lags},
        )
