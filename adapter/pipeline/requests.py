"""What commands ask of requests that a gateway brought: found in the journal, answered to whoever holds them open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.incoming import Found, Request
from adapter.journal.requests import Join, RequestReader
from adapter.pipeline.arrivals import load_incoming
from adapter.pipeline.held import refuse_taken_word

if TYPE_CHECKING:
    from adapter.incoming import Look, Say
    from adapter.journal.journal import Journal
    from adapter.journal.records import Exchange
    from adapter.pipeline.held import HeldRequests


class Requests:
    """The journal's answers to the steps ``Look`` and ``Say``."""

    def __init__(self, journal: Journal, held: HeldRequests) -> None:
        """``held`` are those that callers of this worker hold open."""
        self._journal = journal
        self._reader = RequestReader(journal)
        self._held = held

    async def look(self, exchange: Exchange, step: Look) -> Found:
        """Return what the journal knows of what ``exchange`` refers to; its own word to it is no other's."""
        row = await self._reader.find(step.actions, step.key)
        if row is None:
            return Found(None, await self._reader.notes(step.key))
        incoming = await load_incoming(self._journal, row)
        holder = await self._reader.holder(row.id)
        answered = holder not in (None, exchange.id)
        notes = await self._reader.notes(incoming.subject or step.key)
        return Found(Request(row.id, incoming, row.received_at, row.state, answered), notes)

    async def say(self, exchange: Exchange, step: Say) -> None:
        """Keep the last word to a request for whoever holds it open. Raises KnownError when no more may be said."""
        if step.subject:
            await self._journal.write(Join(exchange.id, step.subject))
        holder, _ = await self._reader.claim_word(step.to, exchange.id, step.content)
        refuse_taken_word(holder, exchange.id)
        self._held.said(step.to, step.content)
