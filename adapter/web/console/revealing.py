"""Personal data are masked until somebody with the role says why: journaled before anything is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.recovery.arguments import reason as read_reason
from adapter.recovery.errors import ArgumentError
from adapter.web.console.allowed import needs
from adapter.web.console.entry import REVEAL
from adapter.web.console.page import DESK, DOOR, SESSION, say

if TYPE_CHECKING:
    from aiohttp import web

    from adapter.web.console.entry import Session

LONGEST_REASON = 500


async def reveal(request: web.Request, subject: str, reason: str) -> bool:
    """Show ``subject`` to this session for a while; false when the reason says nothing. Needs the role."""
    needs(request, REVEAL)
    desk, session = request.app[DESK], request[SESSION]
    try:
        told = read_reason(reason[:LONGEST_REASON])
    except ArgumentError:
        say(request, "bad", "Укажите причину: она останется в журнале")
        return False
    async with desk.journal() as connection:
        await desk.note(connection, desk.operator(session.name, told), "revealed", subject, "contents")
    request.app[DOOR].reveal(session, subject)
    return True


def revealed(request: web.Request, subject: str) -> bool:
    """Tell whether this session sees the contents of ``subject`` now."""
    session: Session = request[SESSION]
    return request.app[DOOR].is_revealed(session, subject)


def hide(request: web.Request, subject: str) -> None:
    """Mask ``subject`` again for this session."""
    request[SESSION].revealed.pop(subject, None)
