"""Requests that somebody holds open: an inbound call waits here for its last word, whichever worker says it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from adapter.errors import Code, KnownError
from adapter.journal.requests import NOBODY, RequestReader
from adapter.journal.writer import JournalUnavailableError

if TYPE_CHECKING:
    from uuid import UUID

    from adapter.journal.journal import Journal

#: Seconds between two looks for words that other workers say to callers who wait here.
_LOOK: Final = 0.1


class HeldRequests:
    """Callers of this worker by the request they wait for; one look into the journal serves all of them."""

    def __init__(self, journal: Journal) -> None:
        """Nobody waits."""
        self._journal = journal
        self._reader = RequestReader(journal)
        self._held: dict[UUID, set[asyncio.Future[bytes | None]]] = {}
        self._wanted = asyncio.Event()

    async def word(self, key: bytes, seconds: float) -> bytes | None:
        """Wait for the last word to the message of an identity.

        ``None``: nobody said it within ``seconds``, and nobody can any more. Raises JournalUnavailableError when that
        could not be made certain.
        """
        request = await self._reader.born(key)
        if request is None:
            return None
        said: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._held.setdefault(request, set()).add(said)
        self._wanted.set()
        try:
            async with asyncio.timeout(seconds):
                return await said
        except TimeoutError:
            _, word = await self._reader.claim_word(request, NOBODY)
            return word
        finally:
            self._held[request].discard(said)
            if not self._held[request]:
                del self._held[request]

    def said(self, request: UUID, word: bytes | None) -> None:
        """Tell whoever waits here for a word; those of other workers look for themselves."""
        for future in self._held.get(request, ()):
            if not future.done():
                future.set_result(word)

    async def run(self) -> None:
        """Look for words to callers who wait here, until cancelled."""
        while True:
            await self._wanted.wait()
            if not self._held:
                self._wanted.clear()
                continue
            try:
                for request, word in (await self._reader.said(list(self._held))).items():
                    self.said(request, word)
            except JournalUnavailableError:
                await self._journal.available.wait()
            await asyncio.sleep(_LOOK)


def refuse_taken_word(holder: UUID, speaker: UUID) -> None:
    """Raise KnownError unless ``speaker`` is the ``holder`` of the last word to a request."""
    if holder == NOBODY:
        raise KnownError(Code.TOO_LATE)
    if holder != speaker:
        raise KnownError(Code.ALREADY_ANSWERED)
