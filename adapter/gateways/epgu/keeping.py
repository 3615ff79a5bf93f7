"""Tokens that commands brought, kept until their end: what is journaled of a call names one by its digest alone.

After a crash, or on another worker, the call finds its token here. A follower does too, until the token ends.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from adapter.gateways.epgu.options import Clock, utc_now
from adapter.gateways.epgu.statements import sql
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
    """A shelf of all workers, in the table ``epgu_tokens``. Errors of the database pass as they are."""

    def __init__(self, lend: Callable[[], AbstractAsyncContextManager[Session]], clock: Clock = utc_now) -> None:
        """``lend`` gives a connection for one statement."""
        self._lend = lend
        self._clock = clock

    async def keep(self, text: str) -> str:
        """Keep a token and return its id; those that have ended go."""
        identifier = identifier_of(text)
        async with self._lend() as session:
            await session.fetch(sql("keep_token"), bytes.fromhex(identifier), text, bearer_of(text, self._clock()).ends)
        return identifier

    async def find(self, identifier: str) -> str | None:
        """Return a token that has not ended."""
        async with self._lend() as session:
            rows = await session.fetch(sql("find_token"), bytes.fromhex(identifier))
        return str(rows[0]["token"]) if rows else None
