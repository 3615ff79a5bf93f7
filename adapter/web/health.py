"""Liveness and readiness over HTTP: readiness names the part that fails."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence


@asynccontextmanager
async def serve_health(
    host: str, port: int, parts: Callable[[], Mapping[str, bool]], away: Callable[[], Sequence[str]] = tuple
) -> AsyncIterator[None]:
    """Serve ``/livez`` and ``/readyz`` on host:port; port 0 serves nothing.

    ``parts`` tells which parts work now; readiness is all of them (200), else 503 with the failing names.
    ``away`` names the neighbours that do not answer: readiness shows them and does not depend on them.
    """
    if port == 0:
        yield
        return

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def ready(_: web.Request) -> web.Response:
        failing = [name for name, works in parts().items() if not works]
        page = {"ready": not failing, "failing": failing, "away": list(away())}
        return web.json_response(page, status=503 if failing else 200)

    app = web.Application()
    app.add_routes([web.get("/livez", live), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
