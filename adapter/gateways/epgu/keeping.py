"""Tokens that commands brought, kept until their end: what is journaled of a call names one by its digest alone.

After a crash, or on another worker, the call finds its token here. A follower does too, until the token ends.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from adapter.gateways.epgu.options import Clock, utc_now
from adapter.gateways.epgu.statements import AwayError, sql
from adapter.gateways.epgu.tokens import bearer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

#: Tokens that the shelf in memory keeps.
_MOST: Final = 10_000


class Session(Protocol):
    """A connection to the database; asyncpg's is one."""

    async def fetch(self, query: str, /, *arguments: Any) -> Sequence[Any]:
        """Run one statement and return its rows."""
        ...


class Shared:
    """Statements on tables that all workers share."""

    def __init__(
        self, lend: Callable[[], AbstractAsyncContextManager[Session]], away: tuple[type[Exception], ...] = ()
    ) -> None:
        """``lend`` gives a connection for one statement; ``away`` are its errors that say that there is none."""
        self._lend = lend
        self._away = away

    async def fetch(self, name: str, *arguments: Any) -> Sequence[Any]:
        """Run the statement ``queries/<name>.sql`` and return its rows. Raises AwayError."""
        try:
            async with self._lend() as session:
                return await session.fetch(sql(name), *arguments)
        except self._away:
            raise AwayError from None


class TokenShelf(Protocol):
    """Where the tokens of commands are."""

    async def keep(self, text: str) -> str:
        """Keep a token until its end and return its id: the SHA-256 in hex."""
        ...

    async def find(self, identifier: str) -> str | None:
        """Return a token that has not ended."""
        ...


def identifier_of(text: str) -> str:
    """Return the id of a token."""
    return hashlib.sha256(text.encode()).hexdigest()


class TokensInMemory:
    """A shelf of one process, for tests."""

    def __init__(self, clock: Clock = utc_now) -> None:
        """Start empty."""
        self._clock = clock
        self._kept: dict[str, str] = {}

    async def keep(self, text: str) -> str:
        """Keep a token and return its id."""
        if len(self._kept) >= _MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[identifier_of(text)] = text
        return identifier_of(text)

    async def find(self, identifier: str) -> str | None:
        """Return a token that has not ended."""
        text = self._kept.get(identifier)
        if text is not None and bearer_of(text, self._clock()).ends <= self._clock():
            del self._kept[identifier]
            return None
        return text


class TokensInDatabase:
    """A shelf of all workers, in the table ``epgu_tokens``. Its methods raise AwayError."""

    def __init__(self, shared: Shared, clock: Clock = utc_now) -> None:
        """Nothing is asked yet."""
        self._shared = shared
        self._clock = clock

    async def keep(self, text: str) -> str:
        """Keep a token and return its id; those that have ended go."""
        identifier = identifier_of(text)
        ends = bearer_of(text, self._clock()).ends
        await self._shared.fetch("keep_token", bytes.fromhex(identifier), text, ends)
        return identifier

    async def find(self, identifier: str) -> str | None:
        """Return a token that has not ended."""
        rows = await self._shared.fetch("find_token", bytes.fromhex(identifier))
        return str(rows[0]["token"]) if rows else None
