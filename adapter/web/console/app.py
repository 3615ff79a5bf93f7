"""The door of the console: who comes in, what every answer carries, what is said when something fails."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import structlog
from aiohttp import web

from adapter.recovery.errors import RecoveryError
from adapter.web.console import condition, exchanges, live, lockers, parked, sending
from adapter.web.console.desk import AwayError, Desk
from adapter.web.console.entry import Doorkeeper, TooManyFailuresError, fits
from adapter.web.console.page import DESK, DOOR, LANGUAGES, PAGES, SESSION, STATIC, THEMES, Pages, show

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)

COOKIE: Final = "adapter_console"
_YEAR: Final = 31_536_000
_OPEN: Final = ("/login", "/look", "/static/")
#: Nothing runs or loads but the console's own files; no page of others may frame it or be sent its forms.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
#: What is said of a status that aiohttp chose.
_SENTENCES: Final = {
    400: "Запрос не разобрать",
    404: "Такой страницы нет",
    405: "Так эту страницу не вызывают",
    413: "Слишком много данных",
}
_STATIC_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def make_app(desk: Desk, door: Doorkeeper, *, language: str, largest: int) -> web.Application:
    """Return the console; ``largest`` is the largest command in bytes."""
    # A form writes a Cyrillic letter as six bytes for two.
    app = web.Application(middlewares=[_carry, _guard], client_max_size=4 * largest + 65_536)
    app[DESK], app[DOOR], app[PAGES] = desk, door, Pages(language)
    app[sending.LARGEST] = largest
    app[live.STREAMS] = asyncio.Semaphore(live.MOST_STREAMS)
    app.add_routes(
        [
            web.get("/", _home),
            web.get("/login", _login_page),
            web.post("/login", _login),
            web.post("/logout", _logout),
            web.get("/look", _look),
            web.get("/static/{name}", _static),
            *sending.ROUTES,
            *exchanges.ROUTES,
            *live.ROUTES,
            *parked.ROUTES,
            *condition.ROUTES,
            *lockers.ROUTES,
        ]
    )
    return app


@asynccontextmanager
async def serve(app: web.Application, host: str, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Serve the console and yield its port (0 takes a free one). Raises OSError when the port is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    async with aclosing(app[DESK]):
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
            yield int(runner.addresses[0][1])
        finally:
            await runner.cleanup()


@web.middleware
async def _carry(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever happens, and put on every answer what keeps browsers strict."""
    try:
        response = await handler(request)
    except web.HTTPRedirection as redirect:
        response = web.Response(status=redirect.status, headers={"Location": redirect.headers["Location"]})
    except web.HTTPException as refused:
        plain = refused.reason == HTTPStatus(refused.status).phrase
        sentence = _SENTENCES.get(refused.status, refused.reason) if plain else refused.reason
        response = show(request, "error.html", status=refused.status, code=refused.status, sentence=sentence)
    except AwayError as away:
        sentence = {"database": "PostgreSQL не отвечает", "broker": "RabbitMQ не отвечает"}[away.part]
        response = show(request, "error.html", status=503, code=503, sentence=sentence)
    except RecoveryError as refused:
        response = show(request, "error.html", status=409, code=409, sentence=str(refused))
    except Exception as error:  # noqa: BLE001  — the last word of a page: the class is logged, the reader is told
        log.error("a page failed by a defect", error=error)  # noqa: TRY400  — texts of errors may hold values
        response = show(
            request, "error.html", status=500, code=500, sentence="Ошибка консоли: подробности в её журнале"
        )
    if not response.prepared:
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
    return response


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in who has a session; take forms from our own pages alone."""
    door = request.app[DOOR]
    session = door.session(request.cookies.get(COOKIE, ""))
    if session is not None:
        request[SESSION] = session
    if any("\x00" in value for value in (request.path, *request.query.values())):
        raise web.HTTPBadRequest
    if request.method not in ("GET", "HEAD"):
        await _read(request)
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(reason="Форма пришла с чужой страницы")
        if session is not None and not fits(session, await _csrf(request)):
            raise web.HTTPForbidden(reason="Форма устарела: откройте страницу заново")
    if session is None and not request.path.startswith(_OPEN):
        if request.method != "GET" or request.headers.get("Accept", "").startswith("text/event-stream"):
            raise web.HTTPUnauthorized(reason="Сеанс закончился: войдите снова")
        raise web.HTTPSeeOther(f"/login?next={quote(request.rel_url.raw_path_qs, safe='')}")
    return await handler(request)


async def _read(request: web.Request) -> None:
    """Read the form, which later readers find read. Raises HTTPBadRequest for what is none."""
    try:
        await request.post()
    except (ValueError, LookupError):  # bytes of another encoding, an encoding nobody knows, parts without names
        raise web.HTTPBadRequest from None


async def _csrf(request: web.Request) -> str:
    given = request.headers.get("X-CSRF")
    if given is not None:
        return given
    field = (await request.post()).get("csrf", "")
    return field if isinstance(field, str) else ""


async def _home(_: web.Request) -> web.StreamResponse:
    raise web.HTTPSeeOther("/send")


async def _login_page(request: web.Request) -> web.StreamResponse:
    return show(request, "login.html", next=_local(request.query.get("next", "/")), wrong="")


async def _login(request: web.Request) -> web.StreamResponse:
    given = await request.post()
    token, target = str(given.get("token", "")).strip(), _local(str(given.get("next", "/")))
    try:
        cookie = request.app[DOOR].enter(token)
    except TooManyFailuresError:
        wrong = "Слишком много неверных токенов. Подождите минуту"
        return show(request, "login.html", status=429, next=target, wrong=wrong)
    if cookie is None:
        log.warning("wrong token at the console")
        return show(request, "login.html", status=403, next=target, wrong="Такого токена нет")
    response = web.Response(status=303, headers={"Location": target})
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="Strict", secure=request.secure, path="/")
    return response


async def _logout(request: web.Request) -> web.StreamResponse:
    request.app[DOOR].leave(request.cookies.get(COOKIE, ""))
    response = web.Response(status=303, headers={"Location": "/login"})
    response.del_cookie(COOKIE, path="/")
    return response


async def _look(request: web.Request) -> web.StreamResponse:
    """Remember a language or light and dark, and go back: it changes nothing but a cookie of the reader's."""
    response = web.Response(status=303, headers={"Location": _local(request.query.get("back", "/"))})
    for name, allowed in (("language", LANGUAGES), ("theme", THEMES)):
        chosen = request.query.get(name)
        if chosen in allowed:
            response.set_cookie(
                name, str(chosen), max_age=_YEAR, httponly=True, samesite="Strict", secure=request.secure, path="/"
            )
    return response


async def _static(request: web.Request) -> web.StreamResponse:
    path = STATIC / request.match_info["name"]
    if path.parent != STATIC or path.suffix not in _STATIC_TYPES or not path.is_file():
        raise web.HTTPNotFound
    headers = {"Cache-Control": f"public, max-age={_YEAR}, immutable"} if "v" in request.query else {}
    return web.Response(
        body=path.read_bytes(), content_type=_STATIC_TYPES[path.suffix], charset="utf-8", headers=headers
    )


def _local(target: str) -> str:
    """Return a place of the console's own to go to: nobody is sent elsewhere by a link to us."""
    plain = target.isprintable() and target.isascii() and "\\" not in target
    return target if plain and target.startswith("/") and not target.startswith("//") else "/"
