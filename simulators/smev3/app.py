"""HTTP: the SOAP endpoint of each version with its WSDL, what scenarios do on the wire, and ``/_sim/*``."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from simulators.smev3 import account_doors, admin, wsdl
from simulators.smev3.faults import RefusedError
from simulators.smev3.mtom import pack
from simulators.smev3.names import VERSIONS
from simulators.smev3.simulator import Answered, Simulator, Visit
from simulators.smev3.wish import HEADER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from adapter.signing.gost import GostEngine
    from simulators.smev3.config import SimulatorConfig
    from simulators.smev3.names import Version
    from simulators.smev3.scenario import Effects

_log = logging.getLogger(__name__)

#: Business data is at most 5 MB, inline attachments too (facts: Attachments); base64 and the envelope come on top.
MAX_BODY = 16 * 2**20
_BODY_TIMEOUT = 30.0
_XML = "text/xml"

_GARBAGE = b"\x00\xff<<<not a message\x1b\xc3("
_HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def make_app(config: SimulatorConfig, gost: GostEngine | None = None) -> web.Application:
    """Return the application; its state is :data:`simulators.smev3.admin.SIMULATOR`.

    Raises OSError or ValueError (bad keys, bad fixtures) or GostUnavailableError.
    """
    app = web.Application(client_max_size=MAX_BODY)
    app[admin.SIMULATOR] = Simulator(config, gost)
    for version in VERSIONS.values():
        app.router.add_post(version.path, _endpoint(version))
        wsdl.add_routes(app, version)
    admin.add_routes(app)
    account_doors.add_routes(app)
    app.cleanup_ctx.append(_file_storage)
    return app


async def _file_storage(app: web.Application) -> AsyncIterator[None]:
    """Keep the file storage open while the application runs."""
    simulator = app[admin.SIMULATOR]
    simulator.start()
    yield
    await asyncio.to_thread(simulator.area.stop)


def _endpoint(version: Version) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def exchange(request: web.Request) -> web.StreamResponse:
        simulator = request.app[admin.SIMULATOR]
        try:
            async with asyncio.timeout(_BODY_TIMEOUT):
                data = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        headers = request.headers
        visit = Visit(
            version,
            data,
            soap_action=headers.get("SOAPAction", ""),
            content_type=headers.get("Content-Type", ""),
            wish=headers.get(HEADER, ""),
        )
        try:
            arrival, effects = simulator.admit(visit)
            if effects.door_delay:
                await asyncio.sleep(effects.door_delay)
            if effects.drop == "before":
                return _cut(request)
            answered = await simulator.perform(visit, arrival, effects)
        except RefusedError as refusal:
            _log.info("refused: %s", refusal)
            answered = simulator.refused(visit, refusal)
        return await _respond(request, answered, multipart_empty=simulator.config.multipart_empty)

    return exchange


async def _respond(request: web.Request, answered: Answered, *, multipart_empty: bool) -> web.StreamResponse:
    effects = answered.effects
    if effects.drop == "after":
        return _cut(request)
    body, content_type = _replace(answered.body, effects), f"{_XML}; charset=utf-8"
    if effects.multipart or answered.parts is not None or (answered.empty_queue and multipart_empty):
        body, content_type = pack(body, answered.parts or {})
    headers = {"Content-Type": effects.content_type or content_type}
    if effects.drop == "midway":
        return await _break_off(request, body, headers)
    return web.Response(body=body, status=answered.status, headers=headers)


def _replace(body: bytes, effects: Effects) -> bytes:
    match effects.body:
        case "garbage":
            return _GARBAGE
        case "html":
            return _HTML
        case "truncated":
            return body[: len(body) // 2]
        case "empty":
            return b""
        case _:
            return body


def _cut(request: web.Request) -> web.Response:
    """Close the connection without a byte of answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _break_off(request: web.Request, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """Promise the whole body, send half of it and close the connection."""
    response = web.StreamResponse(headers={**headers, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
