"""What a page is told while it is open: server-sent events, fed from the journal."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from adapter.recovery.arguments import uuid_of
from adapter.web.console.allowed import path_id
from adapter.web.console.desk import AwayError
from adapter.web.console.exchanges import fragment
from adapter.web.console.page import DESK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

STREAMS: Final = web.AppKey("streams", asyncio.Semaphore)
#: Pages that are told of news at once; the next one shows what it is asked for, without news.
MOST_STREAMS: Final = 64
#: Seconds between two looks into the journal: at first, and when an exchange takes its time.
_QUICK: Final = 0.15
_SLOW: Final = 2.0
_QUICK_FOR: Final = 30.0
#: Seconds after which a page is to ask anew, and between signs of life.
_LONGEST: Final = 600.0
_ALIVE: Final = 15.0


@asynccontextmanager
async def _stream(request: web.Request) -> AsyncIterator[web.StreamResponse]:
    streams = request.app[STREAMS]
    if streams.locked():
        raise web.HTTPServiceUnavailable(reason="Слишком много открытых страниц")
    async with streams:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        yield response


async def _tell(response: web.StreamResponse, event: str, data: object) -> None:
    await response.write(b"event: " + event.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n")


async def _exchange(request: web.Request) -> web.StreamResponse:
    """Tell the changing part of an exchange's page whenever something happened, until it has ended."""
    exchange_id = path_id(request)
    async with _stream(request) as response:
        try:
            async for html, ended in _changes(request, response, exchange_id):
                await _tell(response, "story", {"html": html})
                if ended:
                    break
            await _tell(response, "end", {})
        except ConnectionError:
            pass  # the page was closed
        return response


async def _changes(
    request: web.Request, response: web.StreamResponse, exchange_id: UUID
) -> AsyncIterator[tuple[str, bool]]:
    desk, began, said, before = request.app[DESK], monotonic(), monotonic(), None
    while (spent := monotonic() - began) < _LONGEST:
        try:
            pulse = await desk.row("pulse", exchange_id)
            if pulse is None:
                return
            if pulse != before:
                before = pulse
                yield await fragment(request, exchange_id)
                said = monotonic()
        except AwayError:
            pass  # the next look may find the database again
        if monotonic() - said > _ALIVE:
            await response.write(b": alive\n\n")
            said = monotonic()
        await asyncio.sleep(_QUICK if spent < _QUICK_FOR else _SLOW)


async def _sent(request: web.Request) -> web.StreamResponse:
    """Tell when a worker has taken a command of ours."""
    message_id = uuid_of(request.match_info["message_id"])
    if message_id is None:
        raise web.HTTPNotFound
    desk, began = request.app[DESK], monotonic()
    async with _stream(request) as response:
        try:
            while (spent := monotonic() - began) < _LONGEST:
                try:
                    if await desk.find_sent(message_id) is not None:
                        await _tell(response, "found", {})
                        break
                except AwayError:
                    pass  # the next look may find the database again
                await response.write(b": alive\n\n")
                await asyncio.sleep(_QUICK if spent < _QUICK_FOR else _SLOW)
        except ConnectionError:
            pass  # the page was closed
        return response


ROUTES: Final = (
    web.get("/exchanges/{id}/live", _exchange),
    web.get("/sent/{message_id}/live", _sent),
)
