"""Liveness, readiness and metrics over HTTP: each names the part that fails."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence


async def _no_page() -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class Probes:
    """What is asked when somebody asks.

    ``parts`` tells which parts work now; readiness is all of them (200), else 503 with the failing names. ``away``
    names the neighbours that do not answer: readiness shows them and does not depend on them. ``stuck`` names what
    stands still and only a restart will help: liveness is none of it. ``page`` is the page of metrics.
    """

    parts: Callable[[], Mapping[str, bool]]
    away: Callable[[], Sequence[str]] = tuple
    stuck: Callable[[], Sequence[str]] = tuple
    page: Callable[[], Awaitable[bytes]] = _no_page
    content_type: str = "text/plain"


@asynccontextmanager
async def serve_health(host: str, port: int, probes: Probes) -> AsyncIterator[None]:
    """Serve ``/livez``, ``/readyz`` and ``/metrics`` on host:port; port 0 serves nothing.

    That liveness is answered at all shows that the event loop turns.
    """
    if port == 0:
        yield
        return

    async def live(_: web.Request) -> web.Response:
        stuck = list(probes.stuck())
        return web.json_response({"live": not stuck, "stuck": stuck}, status=503 if stuck else 200)

    async def ready(_: web.Request) -> web.Response:
        failing = [name for name, works in probes.parts().items() if not works]
        page = {"ready": not failing, "failing": failing, "away": list(probes.away())}
        return web.json_response(page, status=503 if failing else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=await probes.page(), headers={"Content-Type": probes.content_type})

    app = web.Application()
    app.add_routes([web.get("/livez", live), web.get("/readyz", ready), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
