"""Who may do what: named tokens with roles, sessions that live in this process, and what a form has to carry."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

from adapter.settings.console_values import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VIEW, REVEAL, REPLAY = ROLES
#: Wrong tokens within a minute after which nobody is let in for the rest of it.
_MOST_FAILURES: Final = 10
_MINUTE: Final = 60.0
#: Sessions held at once; the oldest gives way.
_MOST_SESSIONS: Final = 1000
#: Seconds for which revealed contents stay shown to the one who asked.
REVEALED_FOR: Final = 900.0


class TooManyFailuresError(Exception):
    """Too many wrong tokens came lately: nobody is let in for a minute."""


@dataclass(slots=True)
class Session:
    """One holder of a token who has logged in. ``csrf`` has to come back with every form; times are monotonic."""

    name: str
    roles: frozenset[str]
    until: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    revealed: dict[str, float] = field(default_factory=dict)
    #: Why the answer to a command that was just sent is to be shown, by its message_id.
    wishes: dict[str, str] = field(default_factory=dict, repr=False)
    #: Said once, on the next page: (kind, words of the console).
    flash: list[tuple[str, str]] = field(default_factory=list)

    def may(self, role: str) -> bool:
        """Tell whether the holder has ``role``."""
        return role in self.roles


class Doorkeeper:
    """Knows the tokens by their digests, and who is in."""

    def __init__(
        self,
        tokens: Mapping[str, tuple[str, frozenset[str]]],
        lifetime: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """``tokens`` are (token, roles) by name; a session lives ``lifetime`` seconds."""
        self._tokens = [(name, _digest(token), roles) for name, (token, roles) in tokens.items()]
        self._lifetime = lifetime
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._failures: list[float] = []

    def enter(self, token: str) -> str | None:
        """Return the cookie of a new session, ``None`` for a wrong token. Raises TooManyFailuresError."""
        now = self._clock()
        self._failures = [at for at in self._failures if at > now - _MINUTE]
        if len(self._failures) >= _MOST_FAILURES:
            raise TooManyFailuresError
        given = _digest(token)
        # Every token is compared, whole: how long it takes says nothing about any of them.
        found = [(name, roles) for name, known, roles in self._tokens if hmac.compare_digest(known, given)]
        if not found:
            self._failures.append(now)
            return None
        cookie = secrets.token_urlsafe(32)
        ((name, roles),) = found
        self._sessions[cookie] = Session(name, roles, now + self._lifetime)
        if len(self._sessions) > _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return cookie

    def session(self, cookie: str) -> Session | None:
        """Return who is in by ``cookie``; one whose time is over is not."""
        session = self._sessions.get(cookie)
        if session is not None and session.until <= self._clock():
            del self._sessions[cookie]
            return None
        return session

    def leave(self, cookie: str) -> None:
        """End a session."""
        self._sessions.pop(cookie, None)

    def reveal(self, session: Session, subject: str) -> None:
        """Show the contents of ``subject`` to this session for a while."""
        session.revealed[subject] = self._clock() + REVEALED_FOR

    def is_revealed(self, session: Session, subject: str) -> bool:
        """Tell whether contents of ``subject`` are shown to this session now."""
        return session.may(REVEAL) and session.revealed.get(subject, 0.0) > self._clock()


def fits(session: Session, csrf: str) -> bool:
    """Tell whether a form carries what this session was given."""
    return hmac.compare_digest(session.csrf.encode(), csrf.encode("utf-8", "surrogatepass"))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
