"""HTTP: the three calls of the locker API, what scenarios do on the wire, and ``/_sim/*``."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import web

from simulators.postamat import admin
from simulators.postamat.portal import Portal, Said
from simulators.postamat.scenario import Rule, Scenarios

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

OPERATIONS = ("put-case", "issue", "back")

_GARBAGE = b'\x00\xff{"status": "ok"'
_HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def make_app(tokens: Iterable[str] = ("12345",), *, unknown_cases: bool = False) -> web.Application:
    """Return the application; its state is :data:`simulators.postamat.admin.SIMULATOR`."""
    app = web.Application()
    app[admin.SIMULATOR] = admin.Simulator(Portal(tokens, unknown_cases=unknown_cases), Scenarios())
    for operation in OPERATIONS:
        app.router.add_get(f"/rest-api/postamat/{operation}", _call(operation), allow_head=False)
    admin.add_routes(app)
    return app


def _call(operation: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def call(request: web.Request) -> web.StreamResponse:
        simulator, query = request.app[admin.SIMULATOR], request.query
        rule = simulator.scenarios.apply(operation, query.get("casenum", ""))
        await asyncio.sleep(rule.delay)
        if rule.drop == "before":
            return _cut(request)
        wanted = rule.answer
        refusal = None if wanted is None else Said(wanted.status, {"name": wanted.name, "message": wanted.message})
        return await _respond(request, simulator.portal.perform(operation, query, refusal), rule)

    return call


async def _respond(request: web.Request, said: Said, rule: Rule) -> web.StreamResponse:
    if rule.drop == "after":
        return _cut(request)
    told = {**said.body, "address": str(request.rel_url)} if rule.echo else said.body
    body, content_type = _replaced(json.dumps(told, ensure_ascii=False).encode(), rule)
    headers = {"Content-Type": content_type}
    if rule.drop == "midway":
        return await _break_off(request, body, headers)
    return web.Response(body=body, status=rule.status or said.status, headers=headers)


def _replaced(body: bytes, rule: Rule) -> tuple[bytes, str]:
    content_type = "application/json; charset=UTF-8"
    match rule.body:
        case "garbage":
            return _GARBAGE, content_type
        case "html":
            return _HTML, "text/html; charset=UTF-8"
        case "truncated":
            return body[: len(body) // 2], content_type
        case "empty":
            return b"", content_type
        case "huge":
            return body + b" " * 2**20, content_type
        case _:
            return body, content_type


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
