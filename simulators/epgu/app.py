"""HTTP: the paths of the gateway and of ЕСИА, what scenarios do on the wire, and ``/_sim/*``."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from simulators.epgu import admin
from simulators.epgu.faults import RefusedError, refuse, refuse_bare
from simulators.epgu.inquiry import InquiryDesk
from simulators.epgu.simulator import Simulator
from simulators.epgu.submission import SubmissionDesk
from simulators.epgu.visit import Answered, CutError, Visit
from simulators.epgu.wire import cut, quirky, spoilt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from adapter.signing.gost import GostEngine
    from simulators.epgu.config import SimulatorConfig
    from simulators.epgu.profiles import Download

    Operation = Callable[[Visit], Awaitable[Answered]]
    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger(__name__)

_BODY_TIMEOUT = 30.0
#: JSON bodies are small; archives are read as a stream, which this does not bound.
_MAX_BODY = 1 << 20
_READ_AHEAD = 1 << 20
#: The prefix of the same API behind an agent of СМЭВ4.
_AGENT = "gu-smev-api"


def make_app(config: SimulatorConfig, gost: GostEngine | None = None) -> web.Application:
    """Return the application; its state is :data:`simulators.epgu.admin.SIMULATOR`.

    Raises OSError or ValueError (bad keys, bad fixtures) or GostUnavailableError.
    """
    app = web.Application(client_max_size=_MAX_BODY, handler_args={"read_bufsize": _READ_AHEAD})
    simulator = app[admin.SIMULATOR] = Simulator(config, gost)
    for prefix in ("", _AGENT):
        _add_gateway(app, simulator, prefix)
    app.router.add_get("/esia-rs/api/public/v1/orgs/ext-app/{key}/tkn", _answering("token", _token(simulator)))
    for version, path in (("v1", "/aas/oauth2/te"), ("v3", "/aas/oauth2/v3/te")):
        app.router.add_post(path, _answering("renewal", _renewal(simulator, version)))
    admin.add_routes(app)
    app.cleanup_ctx.append(_archives)
    return app


async def _archives(app: web.Application) -> AsyncIterator[None]:
    """Delete what was kept when the application ends."""
    yield
    await asyncio.to_thread(app[admin.SIMULATOR].store.close)


def _add_gateway(app: web.Application, simulator: Simulator, prefix: str) -> None:
    submission, inquiry = SubmissionDesk(simulator), InquiryDesk(simulator)
    base = f"/{prefix}/api" if prefix else "/api"

    def add(method: str, path: str, operation: str, perform: Operation) -> None:
        async def here(visit: Visit) -> Answered:
            if simulator.settings.prefix != prefix:
                raise refuse_bare(404)
            return await perform(visit)

        app.router.add_route(method, base + path, _answering(operation, here))

    add("POST", "/gusmev/order", "order", _with_json(submission.order))
    add("POST", "/gusmev/push", "push", submission.push)
    add("POST", "/gusmev/push/chunked", "chunk", submission.chunk)
    add("POST", "/gusmev/order/{order_id}", "details", inquiry.details)
    add("POST", "/gusmev/order/{order_id}/cancel", "cancel", inquiry.cancel)
    pages = (
        ("getOrdersStatus", "statuses", inquiry.statuses),
        ("getUpdatedAfter", "updated-after", inquiry.updated_after),
    )
    for name, operation, perform in pages:
        add("GET", f"/gusmev/order/{name}{{slash:/?}}", operation, _with_slash(simulator, perform))
    add("POST", "/nsi/v1/dictionary/{code}", "dictionary", _with_json(inquiry.dictionary))
    downloads: dict[Download, str] = {
        "files-id-type": "/gusmev/files/{object_id}/{object_type}/download",
        "storage-v2": "/storage/v2/files/{object_id}/{object_type}/download",
        "files-download": "/gusmev/files/download/{object_id}/{object_type}",
    }
    for download, path in downloads.items():
        add("GET", path, "file", _of_profile(simulator, download, partial(inquiry.file, path=download)))


def _with_slash(simulator: Simulator, perform: Operation) -> Operation:
    """Let a path through whose end is as the profile has it."""

    async def checked(visit: Visit) -> Answered:
        slash = simulator.settings.slash or simulator.settings.version.slash
        there = "required" if visit.request.match_info["slash"] else "forbidden"
        if slash not in {"any", there}:
            raise refuse_bare(404)
        return await perform(visit)

    return checked


def _of_profile(simulator: Simulator, download: Download, perform: Operation) -> Operation:
    """Let a path through that the profile has."""

    async def checked(visit: Visit) -> Answered:
        if download not in simulator.settings.version.download:
            raise refuse_bare(404)
        return await perform(visit)

    return checked


def _with_json(perform: Callable[[Visit, Any], Awaitable[Answered]]) -> Operation:
    """Read a body that has to be JSON."""

    async def read(visit: Visit) -> Answered:
        if visit.request.content_type != "application/json":
            raise refuse_bare(415, f"Content type '{visit.request.content_type}' not supported")
        try:
            async with asyncio.timeout(_BODY_TIMEOUT):
                body = json.loads(await visit.request.read())
        except TimeoutError:
            raise refuse_bare(408) from None
        except (ValueError, RecursionError):
            raise refuse("bad_request", "JSON parse error") from None
        return await perform(visit, body)

    return read


def _token(simulator: Simulator) -> Operation:
    async def token(visit: Visit) -> Answered:
        await visit.meet()
        request, life = visit.request, visit.effects.token_life
        usual = simulator.settings.token_life if life is None else life
        signature = request.query.get("signature", "")
        return Answered(json=simulator.esia.ext_app(request.match_info["key"], signature, simulator.now(), usual))

    return token


def _renewal(simulator: Simulator, version: str) -> Operation:
    async def renewal(visit: Visit) -> Answered:
        async with asyncio.timeout(_BODY_TIMEOUT):
            posted = await visit.request.post()
        await visit.meet()
        form = {name: value for name, value in posted.items() if isinstance(value, str)}
        settings = simulator.settings
        if visit.effects.token_life is not None:
            settings = settings.model_copy(update={"person_token_life": visit.effects.token_life})
        return Answered(json=simulator.esia.renew(form, version=version, now=simulator.now(), settings=settings))

    return renewal


def _answering(operation: str, perform: Operation) -> Handler:
    """Return the handler of an operation: does it, writes the ledger, answers."""

    async def handle(request: web.Request) -> web.StreamResponse:
        simulator = request.app[admin.SIMULATOR]
        visit = Visit(operation, request, simulator.scenarios, simulator.clock())
        try:
            answered = await perform(visit)
            if visit.effects.answer_delay:
                await asyncio.sleep(visit.effects.answer_delay)
            response = await _respond(visit, answered)
            visit.line["status"] = response.status if request.transport is not None else 0
        except RefusedError as refusal:
            _log.info("refused: %s", refusal)
            visit.line["status"], visit.line["code"] = refusal.status, refusal.code
            response = _refused(visit, refusal)
        except CutError:
            visit.line["code"] = "cut"
            response = cut(request)
        finally:
            simulator.ledger.record(visit.line)
        return response

    return handle


def _refused(visit: Visit, refusal: RefusedError) -> web.Response:
    headers = {"Location": visit.effects.redirect} if refusal.code == "redirect" else {}
    if isinstance(refusal.body, dict):
        return web.json_response(refusal.body, status=refusal.status, headers=headers)
    if refusal.body:
        return web.Response(text=refusal.body, status=refusal.status, headers=headers)
    return web.Response(status=refusal.status, headers=headers)


async def _respond(visit: Visit, answered: Answered) -> web.StreamResponse:
    effects, request = visit.effects, visit.request
    if effects.drop == "after":
        raise CutError
    if answered.stream is not None:
        return await _stream(visit, answered, answered.stream)
    status, kind, body = answered.status, answered.content_type, b""
    if effects.answer is not None:
        status, kind = effects.answer.status, effects.answer.content_type
        body = effects.answer.text.encode()
        if effects.answer.json_body is not None:
            kind, body = "application/json", json.dumps(effects.answer.json_body, ensure_ascii=False).encode()
    elif answered.json is not None:
        body = json.dumps(quirky(answered.json, effects.quirks), ensure_ascii=False).encode()
    body = spoilt(body, effects.body)
    headers = {"Content-Type": f"{kind}; charset=utf-8"} if body else {}
    if effects.drop != "midway":
        return web.Response(body=body, status=status, headers=headers)
    response = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    cut(request)
    return response


async def _stream(visit: Visit, answered: Answered, stream: AsyncIterator[bytes]) -> web.StreamResponse:
    """Send a file; ``midway`` cuts the connection after half of it."""
    headers = {
        "Content-Type": answered.content_type,
        "Content-Length": str(answered.length),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(answered.file_name)}",
    }
    response = web.StreamResponse(headers=headers)
    await response.prepare(visit.request)
    sent, half = 0, answered.length // 2
    async for block in stream:
        if visit.effects.drop == "midway" and sent + len(block) > half:
            await response.write(block[: half - sent])
            cut(visit.request)
            return response
        await response.write(block)
        sent += len(block)
    await response.write_eof()
    return response
