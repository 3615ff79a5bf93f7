"""How a page is made: templates, language, light or dark, and what every page knows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
from aiohttp import web

from adapter.exchange import State
from adapter.web.console import words
from adapter.web.console.desk import Desk
from adapter.web.console.entry import REPLAY, REVEAL, Doorkeeper, Session

if TYPE_CHECKING:
    from collections.abc import Mapping


FOLDER: Final = Path(__file__).parent
STATIC: Final = FOLDER / "static"
LANGUAGES: Final = ("ru", "en")
THEMES: Final = ("auto", "light", "dark")
#: Which colour a state has: of what goes on, what went well, what waits for somebody, what went wrong.
_TONES: Final[Mapping[State, str]] = {
    State.RECEIVED: "go", State.SUBMITTING: "go", State.WAITING: "go", State.ANSWERED: "go",
    State.REPLIED: "good", State.RETRYING: "warn", State.UNCERTAIN: "warn",
    State.REJECTED: "bad", State.FAILED: "bad", State.EXPIRED: "bad", State.DEAD: "bad",
}  # fmt: skip
#: The action that stands for mode portal: cases and directory are this deployment's own.
DIRECTORY: Final = "postamat.directory.list"
#: Nobody works on these any more.
ENDED: Final = frozenset({State.REPLIED, State.REJECTED, State.FAILED, State.EXPIRED, State.DEAD, State.UNCERTAIN})

DESK: Final = web.AppKey("desk", Desk)
DOOR: Final = web.AppKey("door", Doorkeeper)
#: Who asks; not there for who has not logged in.
SESSION: Final = web.RequestKey("session", Session)


class Pages:
    """Renders the console's templates."""

    def __init__(self, language: str) -> None:
        """``language`` is for who has not chosen one."""
        self._language = language
        # Every value is escaped unless it is Markup made by pretty.py; a name that a template misspells is an error.
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"moment": moment, "ago": ago, "size": size, "tone": _TONES.__getitem__}
        self._templates.globals |= {"static": static_path}

    def language(self, request: web.Request) -> str:
        """Return ``ru`` or ``en``: the cookie's, else the configured one."""
        chosen = request.cookies.get("language", "")
        return chosen if chosen in LANGUAGES else self._language

    def render(self, request: web.Request, template: str, **context: Any) -> str:
        """Return the text of a template."""
        language = self.language(request)
        theme = request.cookies.get("theme", "")
        session: Session | None = request.get(SESSION)
        known = {
            "t": words.translator(language),
            "language": language,
            "theme": theme if theme in THEMES else "auto",
            "session": session,
            "csrf": session.csrf if session else "",
            "may_act": bool(session and session.may(REPLAY)),
            "may_reveal": bool(session and session.may(REVEAL)),
            "has_lockers": DIRECTORY in request.app[DESK].services,
            "path": request.path,
            "here": request.rel_url.raw_path_qs,
            "now": datetime.now(UTC),
        }
        return self._templates.get_template(template).render(known | context)


PAGES: Final = web.AppKey("pages", Pages)


def show(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    """Return a whole page; what was to be said once is said now."""
    session: Session | None = request.get(SESSION)
    flash: list[tuple[str, str]] = []
    if session is not None:
        flash, session.flash = session.flash, []
    text = request.app[PAGES].render(request, template, flash=flash, **context)
    return web.Response(text=text, content_type="text/html", charset="utf-8", status=status)


def say(request: web.Request, kind: str, sentence: str, **values: Any) -> None:
    """Have the next page say something; ``kind`` is good or bad, ``sentence`` words of the console."""
    session: Session = request[SESSION]
    t = words.translator(request.app[PAGES].language(request))
    told = {name: t(value) if isinstance(value, str) else value for name, value in values.items()}
    session.flash.append((kind, t(sentence, **told)))


@cache
def static_path(name: str) -> str:
    """Return the address of a static file, which changes with its content."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def moment(at: datetime) -> str:
    """Write a moment in UTC; the page's script shows it in the reader's zone."""
    return f"{at.astimezone(UTC):%d.%m.%Y %H:%M:%S}"


_UNITS: Final = (("unit.day", 86_400), ("unit.hour", 3600), ("unit.minute", 60))


@jinja2.pass_context
def ago(context: jinja2.runtime.Context, at: datetime | None) -> str:
    """Write how long ago something was, in one unit."""
    if at is None:
        return "—"
    t, seconds = context["t"], max(0, int((context["now"] - at).total_seconds()))
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length} {t(unit)}"
    return f"{seconds} {t('unit.second')}"


@jinja2.pass_context
def size(context: jinja2.runtime.Context, count: int | None) -> str:
    """Write a number of bytes."""
    if count is None:
        return ""
    t = context["t"]
    return f"{count} {t('unit.byte')}" if count < 10_000 else f"{count / 1024:.1f} {t('unit.kibibyte')}"
