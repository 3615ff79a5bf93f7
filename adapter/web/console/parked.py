"""«Разбор»: dead commands, parked replies and uncertain exchanges, with what may be done to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from adapter.recovery import dead, parked
from adapter.recovery.arguments import Filter, uuid_of
from adapter.recovery.errors import RecoveryError
from adapter.web.console.allowed import asked, needs, path_id
from adapter.web.console.entry import REPLAY
from adapter.web.console.page import DESK, SESSION, say, show
from adapter.web.console.revealing import LONGEST_REASON

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

#: Rows of one list; more than that is work for ``adapter dead replay --all``.
_MOST: Final = 200


async def _page(request: web.Request) -> web.StreamResponse:
    desk = request.app[DESK]
    async with desk.journal() as connection:
        stopped = await dead.list_dead(connection, Filter())
        messages = await parked.list_parked(connection, Filter())
        workers = await dead.living_workers(connection)
    uncertain = await desk.uncertain()
    return show(
        request, "parked.html", stopped=stopped[:_MOST], stopped_all=len(stopped), messages=messages[:_MOST],
        messages_all=len(messages), uncertain=uncertain, workers=workers,
    )  # fmt: skip


async def _replay_chosen(request: web.Request) -> web.StreamResponse:
    """Replay every dead command that is ticked."""
    needs(request, REPLAY)
    given = await request.post()
    why = asked(given, "reason").strip()[:LONGEST_REASON]
    ids = [found for text in given.getall("id", []) if isinstance(text, str) and (found := uuid_of(text))]
    if not why or not why.isprintable():
        say(request, "bad", "Укажите причину: она останется в журнале")
    elif not ids:
        say(request, "bad", "Ничего не выбрано")
    else:
        desk = request.app[DESK]
        operator = desk.operator(request[SESSION].name, why)
        done, refused = 0, []
        async with desk.journal() as connection:
            for exchange_id in ids[:_MOST]:
                try:
                    await dead.replay_command(connection, exchange_id, operator)
                    await desk.note(connection, operator, "replay", f"exchange:{exchange_id}")
                    done += 1
                except RecoveryError as error:
                    refused.append(f"{exchange_id} {error}")
        if done:
            say(request, "good", "Передано адаптеру: {n}", n=done)
        for sentence in refused[:5]:
            say(request, "bad", "Не сделано: {why}", why=sentence)
    raise web.HTTPSeeOther("/parked")


async def _deliver(request: web.Request) -> web.StreamResponse:
    """Publish a parked message now, with a confirm."""
    needs(request, REPLAY)
    message_id, given = path_id(request), await request.post()
    why = asked(given, "reason").strip()[:LONGEST_REASON] or None
    desk = request.app[DESK]
    operator = desk.operator(request[SESSION].name, why)
    try:
        async with desk.journal() as connection:
            message = await _one(connection, message_id)
            async with parked.open_publisher(desk.broker) as publisher:
                await parked.replay_message(connection, publisher, message, operator)
            await desk.note(connection, operator, "delivered", f"exchange:{message.exchange_id}", message.kind)
    except RecoveryError as error:
        say(request, "bad", "Не доставлено: {why}", why=str(error))
    else:
        say(request, "good", "Доставлено в очередь {queue}", queue=message.routing_key)
    raise web.HTTPSeeOther("/parked")


async def _one(connection: asyncpg.Connection, message_id: UUID) -> parked.ParkedMessage:
    for message in await parked.list_parked(connection, Filter(ids=[message_id])):
        if message.id == message_id:
            return message
    raise RecoveryError("is not parked any more")


ROUTES: Final = (
    web.get("/parked", _page),
    web.post("/parked/replay", _replay_chosen),
    web.post("/parked/{id}/deliver", _deliver),
)
