"""«Обмены»: the list and its filters, one exchange's page, exact bytes, and what may be done to it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from adapter.exchange import State
from adapter.recovery import dead, history
from adapter.recovery.archive import make_archive
from adapter.recovery.arguments import moment, span, uuid_of
from adapter.recovery.errors import ArgumentError, RecoveryError
from adapter.recovery.resolve import resolve_not_sent, resolve_sent
from adapter.services.registry import known_actions
from adapter.web.console.allowed import asked, needs, path_id
from adapter.web.console.desk import first_id
from adapter.web.console.entry import REPLAY, REVEAL
from adapter.web.console.page import DESK, PAGES, SESSION, say, show
from adapter.web.console.revealing import LONGEST_REASON, hide, reveal, revealed
from adapter.web.console.story import tell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from adapter.journal.records import Exchange
    from adapter.recovery.environment import Operator
    from adapter.web.console.desk import Desk

_PAGE: Final = 50


async def _list(request: web.Request) -> web.StreamResponse:
    desk, query = request.app[DESK], {name: value.strip() for name, value in request.query.items() if value.strip()}
    wrong = ""
    found: list[Mapping[str, Any]] = []
    more = False
    if "id" in query:
        async with desk.journal() as connection:
            exchanges = await history.find_subject(connection, query["id"]) or await history.find(
                connection, query["id"]
            )
        if len(exchanges) == 1:
            raise web.HTTPSeeOther(f"/exchanges/{exchanges[0].id}")
        found = [_row(exchange) for exchange in reversed(exchanges)]
    else:
        try:
            since, until = _border(query.get("since")), _border(query.get("until"))
        except ArgumentError:
            wrong, since, until = "Время пишется так: 2026-11-21T19:00:00Z, или сколько назад: 2h", None, None
        before = uuid_of(query.get("before", ""))
        upper = min((one for one in (until, before) if one is not None), default=None)
        state = query.get("state") if query.get("state") in {*State} else None
        rows = await desk.rows("list_exchanges", query.get("action"), state, query.get("code"), since, upper, _PAGE + 1)
        more = len(rows) > _PAGE
        found = rows[:_PAGE]
    return show(
        request, "exchanges.html", found=found, more=more, query=query, wrong=wrong, states=[*State],
        actions=sorted(desk.services), paged="before" in query,
        status=422 if wrong else 200,
    )  # fmt: skip


def _border(text: str | None) -> UUID | None:
    """Return the id from which, or to which, a moment counts. Raises ArgumentError."""
    if text is None:
        return None
    if len(text) == len("2026-11-21T19:00"):  # as a browser's own field for a moment writes it
        text += "Z"
    return first_id(moment(text))


def _row(exchange: Exchange) -> Mapping[str, Any]:
    names = ("id", "action", "state", "received_at", "finished_at", "attempts", "repeat_of", "message_id")
    return {name: getattr(exchange, name) for name in names} | {
        "code": exchange.outcome_code,
        "born_at_gateway": exchange.is_request,
    }


def _subject(exchange_id: UUID) -> str:
    return f"exchange:{exchange_id}"


async def _exchange(request: web.Request) -> web.StreamResponse:
    return show(request, "exchange.html", **await told(request, path_id(request)))


async def told(request: web.Request, exchange_id: UUID) -> dict[str, Any]:
    """Return what the page of an exchange is made from. Raises HTTPNotFound and AwayError."""
    desk = request.app[DESK]
    found = await desk.exchange(exchange_id)
    if found is None:
        raise web.HTTPNotFound(reason="Такого обмена в журнале нет")
    exchange, deeds = found
    async with desk.journal() as connection:
        story = await tell(connection, exchange, revealed=revealed(request, _subject(exchange_id)))
        plan = await _plan(connection, exchange)
    service = desk.services.get(exchange.action)
    return {
        "story": story,
        "exchange": exchange,
        "deeds": deeds,
        "plan": plan,
        "title": service.title if service else "",
    }


async def _plan(connection: Any, exchange: Exchange) -> str:
    """Say what a replay would do, nothing for what is not dead."""
    if exchange.state is not State.DEAD:
        return ""
    try:
        return (await dead.plan(connection, exchange, None, datetime.now(UTC))).sentence
    except RecoveryError as error:
        return str(error)


async def _reveal(request: web.Request) -> web.StreamResponse:
    exchange_id, given = path_id(request), await request.post()
    await reveal(request, _subject(exchange_id), asked(given, "reason"))
    raise web.HTTPSeeOther(f"/exchanges/{exchange_id}")


async def _hide(request: web.Request) -> web.StreamResponse:
    exchange_id = path_id(request)
    hide(request, _subject(exchange_id))
    raise web.HTTPSeeOther(f"/exchanges/{exchange_id}")


async def _bytes(request: web.Request) -> web.StreamResponse:
    """Hand out exact bytes; who asked why was journaled when the contents were revealed."""
    exchange = await _revealed_exchange(request)
    desk, place, part = request.app[DESK], request.match_info["place"], request.match_info["part"]
    async with desk.journal() as connection:
        known = await history.read_history(connection, exchange, with_bytes=True)
        session = request[SESSION]
        operator = desk.operator(session.name, None)
        await desk.note(connection, operator, "downloaded", _subject(exchange.id), f"{place}/{part}")
    number = int(place) if place.isdecimal() and len(place) < 6 else len(known.facts)
    data = None
    if number < len(known.facts):
        fact = known.facts[number]
        data = {"data": fact.data, "content": fact.content}.get(part)
    if data is None:
        raise web.HTTPNotFound
    kind = "xml" if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" else "json" if data[:1] in (b"{", b"[") else "bin"
    return _download(data, f"{exchange.id}-{number:02}-{fact.name}.{kind}")


async def _proof(request: web.Request) -> web.StreamResponse:
    """Hand out the proof of an exchange, the file that ``adapter proof`` writes."""
    exchange = await _revealed_exchange(request)
    desk = request.app[DESK]
    async with desk.journal() as connection:
        known = await history.read_history(connection, exchange, with_bytes=True)
        operator = desk.operator(request[SESSION].name, None)
        await desk.note(connection, operator, "downloaded", _subject(exchange.id), "proof")
    return _download(await asyncio.to_thread(make_archive, known), f"{exchange.id}.zip")


async def _revealed_exchange(request: web.Request) -> Exchange:
    needs(request, REVEAL)
    exchange_id = path_id(request)
    if not revealed(request, _subject(exchange_id)):
        raise web.HTTPForbidden(reason="Сначала раскройте содержимое с указанием причины")
    found = await request.app[DESK].exchange(exchange_id)
    if found is None:
        raise web.HTTPNotFound
    return found[0]


def _download(data: bytes, name: str) -> web.Response:
    """Return bytes that a browser saves and never shows: they came from outside."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=data, content_type="application/octet-stream", headers=headers)


async def _act(request: web.Request) -> web.StreamResponse:
    """Replay, drop or resolve: one transaction, journaled with who and why."""
    needs(request, REPLAY)
    exchange_id, deed, given = path_id(request), request.match_info["deed"], await request.post()
    why = asked(given, "reason").strip()[:LONGEST_REASON]
    if not why or not why.isprintable():
        say(request, "bad", "Укажите причину: она останется в журнале")
        raise web.HTTPSeeOther(f"/exchanges/{exchange_id}")
    desk = request.app[DESK]
    operator = desk.operator(request[SESSION].name, why)
    try:
        said = await _carry_out(desk, exchange_id, deed, operator, asked(given, "deadline").strip())
    except (RecoveryError, ArgumentError) as error:
        say(request, "bad", "Не сделано: {why}", why=str(error))
    else:
        say(request, "good", said)
    raise web.HTTPSeeOther(f"/exchanges/{exchange_id}")


async def _carry_out(desk: Desk, exchange_id: UUID, deed: str, operator: Operator, deadline: str) -> str:
    """Do it; return what is said of it. Raises RecoveryError, ArgumentError."""
    async with desk.journal() as connection:
        match deed:
            case "replay":
                await dead.replay_command(connection, exchange_id, operator, more=span(deadline) if deadline else None)
                said = "Передано адаптеру на повторное исполнение"
            case "drop":
                await dead.drop_command(connection, exchange_id, operator)
                said = "Закрыто: останется в журнале, в разборе больше не показывается"
            case "sent":
                await resolve_sent(connection, exchange_id, operator)
                said = "Обмен снова ждёт ответа; ответ будет доставлен как поздний"
            case "not-sent":
                await resolve_not_sent(connection, exchange_id, operator, known_actions())
                said = "Обмен завершён отказом; отправителю сказано, что команду можно повторить"
            case _:
                raise web.HTTPNotFound
        await desk.note(connection, operator, deed, _subject(exchange_id))
    return said


async def fragment(request: web.Request, exchange_id: UUID) -> tuple[str, bool]:
    """Return the changing part of an exchange's page, and whether nothing more is to be expected."""
    known = await told(request, exchange_id)
    return request.app[PAGES].render(request, "_story.html", **known), known["story"].ended


ROUTES: Final = (
    web.get("/exchanges", _list),
    web.get("/exchanges/{id}", _exchange),
    web.post("/exchanges/{id}/reveal", _reveal),
    web.post("/exchanges/{id}/hide", _hide),
    web.get("/exchanges/{id}/proof.zip", _proof),
    web.get("/exchanges/{id}/bytes/{place}/{part:data|content}", _bytes),
    web.post("/exchanges/{id}/{deed:replay|drop|sent|not-sent}", _act),
)
