"""Exchanges that begin at a gateway, journaled: each message once by its identity, found again, answered once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final
from uuid import UUID

from adapter.journal.operations import Always, Operation
from adapter.journal.records import Exchange, read_exchange

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from adapter.journal.commit import Arrays
    from adapter.journal.journal import Journal

#: Holder of the last word to a request for which every word comes too late.
NOBODY: Final = UUID(int=0)


def request_key(source: str, key: str) -> bytes:
    """Return the identity of a gateway's message, hashed to a fixed size; which action takes it is no part of it."""
    digest = hashlib.sha256(b"request")
    for part in (source.encode(), key.encode()):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


@dataclass(slots=True)
class Receive(Operation[bool]):
    """Journal a message that begins an exchange, with the fact of what was read of it.

    ``content`` is its business root, ``meta`` JSON. The result tells whether it is new: a repeat changes nothing.
    """

    exchange: Exchange
    key: bytes
    subject: str
    content: bytes
    meta: bytes
    edge: ClassVar[bool] = True

    @property
    def weight(self) -> int:
        """Bytes of the message."""
        return len(self.exchange.body or b"") + len(self.content) + len(self.meta)

    def put(self, arrays: Arrays, op: int) -> None:
        """Begin an exchange unless one with this identity stands."""
        one = self.exchange
        arrays.births.append(
            (
                *(op, one.id, one.action, one.source, one.received_at, one.deadline, one.body, one.body_sha256),
                *(one.body_size, one.message_id, self.key, self.subject, one.owner, self.content, self.meta),
            )
        )

    def result(self, *, applied: bool, verdicts: Sequence[asyncpg.Record]) -> bool:  # noqa: ARG002 — verdicts say all
        """Tell whether the message was new."""
        return bool(verdicts[0]["kind"] == "new")


@dataclass(slots=True)
class Join(Always):
    """Add an exchange to the others of a subject; done twice it is done once."""

    id: UUID
    subject: str
    note: str = ""

    def put(self, arrays: Arrays, op: int) -> None:
        """Ask for the row alone."""
        arrays.joins.append((op, self.subject, self.id, self.note))


class RequestReader:
    """What commands and callers ask of the journal about requests; each question is one statement."""

    def __init__(self, journal: Journal) -> None:
        """Ask ``journal``."""
        self._journal = journal

    async def find(self, actions: Sequence[str], key: str) -> Exchange | None:
        """Return the newest request of ``actions`` by its message's own id or its subject."""
        rows = await self._journal.fetch("find_request", list(actions), key)
        return read_exchange(rows[0]) if rows else None

    async def born(self, key: bytes) -> UUID | None:
        """Return the exchange that a message of this identity began."""
        rows = await self._journal.fetch("find_birth", key)
        return rows[0]["exchange_id"] if rows else None

    async def notes(self, subject: str) -> frozenset[str]:
        """Return what the calls of a subject left noted."""
        return frozenset(row["note"] for row in await self._journal.fetch("subject_notes", subject))

    async def holder(self, request: UUID) -> UUID | None:
        """Return whose last word to a request stands."""
        rows = await self._journal.fetch("last_word", request)
        return rows[0]["exchange_id"] if rows else None

    async def claim_word(self, request: UUID, holder: UUID, content: bytes | None = None) -> tuple[UUID, bytes | None]:
        """Have the last word to a request unless somebody else has it; return who does, and the word if it is kept."""
        while True:
            rows = await self._journal.fetch("claim_word", request, holder, content)
            if rows:  # none: another claim was committed meanwhile, and the next look sees it
                return rows[0]["exchange_id"], rows[0]["content"]

    async def said(self, requests: Sequence[UUID]) -> dict[UUID, bytes | None]:
        """Return the last words to those of ``requests`` that have one."""
        rows = await self._journal.fetch("said_words", list(requests))
        return {row["request_id"]: row["content"] for row in rows}

    async def waits(self, lane: str, request: UUID, actions: Sequence[str]) -> bool:
        """Tell whether an earlier message of a lane has not been told of yet."""
        rows = await self._journal.fetch("earlier_request", lane, request, list(actions), self._journal.worker)
        return bool(rows[0]["waits"])

    async def owner(self, subject: str, note: str) -> Exchange | None:
        """Return the command that is tied to a subject under a word; ``None`` too where more than one is."""
        rows = await self._journal.fetch("find_owner", subject, note)
        return read_exchange(rows[0]) if len(rows) == 1 else None

    async def untied(
        self, operations: Sequence[str], room: str, request: Exchange, subject: str, note: str
    ) -> list[Exchange]:
        """Return commands that may turn out to be the owner of ``request``, those whose answer is lost among them."""
        rows = await self._journal.fetch(
            "untied_owners", list(operations), room, request.received_at, subject, request.id, note
        )
        return [read_exchange(row) for row in rows]

    async def unconfirmed(self, exchanges: Sequence[UUID]) -> bool:
        """Tell whether the broker has yet to confirm something that these exchanges say."""
        return bool((await self._journal.fetch("unconfirmed", list(exchanges)))[0]["waits"])

    async def told(self, exchange: UUID) -> frozenset[str]:
        """Return the names of the events that an exchange has told."""
        return frozenset(row["routing_key"] for row in await self._journal.fetch("told_events", exchange))
