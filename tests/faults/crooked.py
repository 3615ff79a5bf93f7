"""A door before a real HTTP service: straight it carries every call through, crooked it answers as bad days do."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

_PAGE = "<!DOCTYPE html><html><body><h1>Технические работы</h1></body></html>"
_HOP = {"Host", "Content-Length", "Transfer-Encoding", "Connection"}


class Door:
    """``way`` is how calls are answered now: ``straight``, ``frozen``, ``slow``, ``html``, ``truncated``, ``charset``.

    Frozen and html calls never reach the service; the others do, and what the service said is spoilt on its way back.
    """

    def __init__(self, target: str, session: aiohttp.ClientSession) -> None:
        """``target`` is the root of the real service."""
        self._target = target.rstrip("/")
        self._session = session
        self._way = "straight"
        self._straight = asyncio.Event()
        self._straight.set()
        self.url = ""
        self.calls = 0

    @classmethod
    @asynccontextmanager
    async def before(cls, target: str, context: ssl.SSLContext | None = None) -> AsyncIterator[Door]:
        """Stand before ``target`` for the length of a block; with ``context`` over https."""
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            door = cls(target, session)
            app = web.Application(client_max_size=2**26)
            app.router.add_route("*", "/{path:.*}", door._answer)
            server = TestServer(app, scheme="https" if context else "http")
            await server.start_server(ssl=context)
            door.url = str(server.make_url("")).rstrip("/")
            try:
                yield door
            finally:
                door.turn("straight")
                await server.close()

    def turn(self, way: str) -> None:
        """Answer in another way from now on; calls that hang go through when it is straight again."""
        self._way = way
        if way == "straight":
            self._straight.set()
        else:
            self._straight.clear()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        body, way = await request.read(), self._way
        if way == "frozen":
            await self._straight.wait()
        if way == "slow":
            await asyncio.wait([asyncio.ensure_future(self._straight.wait())], timeout=0.5)
        if way == "html":
            return _last(web.Response(text=_PAGE, content_type="text/html"))
        headers = {name: value for name, value in request.headers.items() if name not in _HOP}
        async with self._session.request(
            request.method, self._target + request.path_qs, data=body, headers=headers
        ) as answer:
            content, status, kind = await answer.read(), answer.status, answer.headers.get("Content-Type", "text/xml")
        if way == "charset":
            # Declared as UTF-8, and somebody on the way has put in words of another charset.
            head, tag, tail = content.rpartition(b"</")
            content = head + "<!-- Принято -->".encode("cp1251") + tag + tail
        response = web.Response(body=content, status=status, headers={"Content-Type": kind})
        if way != "truncated":
            return _last(response)
        cut = web.StreamResponse(status=status, headers={"Content-Type": kind, "Content-Length": str(len(content))})
        await cut.prepare(request)
        await cut.write(content[: len(content) // 2])
        assert request.transport is not None
        request.transport.close()
        return cut


def _last(response: web.StreamResponse) -> web.StreamResponse:
    """Let the connection end with the answer: the next call shakes hands again."""
    response.force_close()
    return response
