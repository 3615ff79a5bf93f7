"""``/_sim/*``: what a test or a demo asks the simulator itself; JSON both ways.

======================== ===========================================================================================
GET    /_sim/health      {"status": "ok", "waiting": messages not acked yet, "ftp": port of the file storage}
GET    /_sim/ledger      [{transport_id, action_type, message_id, outcome: accepted|refused, code}]
GET    /_sim/acks        [{message_id, original_message_id, accepted, at, deliveries}]
GET    /_sim/requests    [{request_id, status, updated_at}]: the debt requests of ГИС ЖКХ
POST   /_sim/drafts      {"request_id", "status"?: "DRAFT"}: a debt request made by hand in ГИС ЖКХ
GET    /_sim/attachments [{message_id, name, mime_type, size, by, hash, sha256, content_base64}]: what came
POST   /_sim/types       an information type that a system answers (see :class:`simulators.smev3.incoming.TypeEntry`)
POST   /_sim/incoming    a request for a system, as if another had sent it (:class:`simulators.smev3.incoming.Incoming`)
GET    /_sim/answers     answers to such requests, [?original=ID]: {kind: content|rejected|status|async|expired, …}
POST   /_sim/settings    {"ack_timeout"?: seconds, "waiting_limit"?: messages, "files_limit"?: bytes, …}
GET    /_sim/scenario    rules in force; POST adds one (see :mod:`simulators.smev3.scenario`), DELETE [?id=N] ends them
POST   /_sim/reset       forget everything
======================== ===========================================================================================
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from simulators.smev3.giszhkh import Status
from simulators.smev3.incoming import Incoming, TypeEntry
from simulators.smev3.scenario import Rule
from simulators.smev3.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

SIMULATOR = web.AppKey("simulator", Simulator)

_Model = TypeVar("_Model", bound=BaseModel)
_Made = TypeVar("_Made")
_Wanted = ParamSpec("_Wanted")
_GUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


class Draft(BaseModel):
    """A debt request to be stored."""

    model_config = ConfigDict(extra="forbid")

    request_id: Annotated[str, StringConstraints(pattern=_GUID)]
    status: Status = Status.DRAFT


class Settings(BaseModel):
    """What may change while the simulator runs; what is absent stays."""

    model_config = ConfigDict(extra="forbid")

    ack_timeout: float | None = Field(None, gt=0)
    waiting_limit: int | None = Field(None, ge=0)
    files_limit: int | None = Field(None, ge=0)
    check_files: bool | None = None


def add_routes(app: web.Application) -> None:
    """Add ``/_sim/*`` to ``app``."""
    app.router.add_get("/_sim/health", health)
    app.router.add_get("/_sim/ledger", ledger)
    app.router.add_get("/_sim/acks", acks)
    app.router.add_get("/_sim/requests", requests)
    app.router.add_post("/_sim/drafts", drafts)
    app.router.add_get("/_sim/attachments", attachments)
    app.router.add_post("/_sim/types", types)
    app.router.add_post("/_sim/incoming", incoming)
    app.router.add_get("/_sim/answers", answers)
    app.router.add_post("/_sim/settings", settings)
    app.router.add_get("/_sim/scenario", scenario_list)
    app.router.add_post("/_sim/scenario", scenario_add)
    app.router.add_delete("/_sim/scenario", scenario_remove)
    app.router.add_post("/_sim/reset", reset)


async def health(request: web.Request) -> web.Response:
    simulator = request.app[SIMULATOR]
    return web.json_response(
        {"status": "ok", "waiting": simulator.office.queues.depth(), "ftp": simulator.area.port or None}
    )


async def ledger(request: web.Request) -> web.Response:
    return web.json_response(request.app[SIMULATOR].ledger.entries())


async def acks(request: web.Request) -> web.Response:
    return web.json_response(
        [
            {
                "message_id": ack.message_id,
                "original_message_id": ack.original,
                "accepted": ack.accepted,
                "at": ack.at.isoformat(),
                "deliveries": ack.deliveries,
            }
            for ack in request.app[SIMULATOR].office.queues.acks
        ]
    )


async def requests(request: web.Request) -> web.Response:
    stored = request.app[SIMULATOR].debt_requests.all()
    return web.json_response(
        [{"request_id": r.id, "status": r.status, "updated_at": r.updated_at.isoformat()} for r in stored]
    )


async def drafts(request: web.Request) -> web.Response:
    draft = await read_body(request, Draft)
    simulator = request.app[SIMULATOR]
    simulator.debt_requests.put(draft.request_id, draft.status, simulator.config.clock())
    return web.json_response({"request_id": draft.request_id, "status": draft.status}, status=201)


async def attachments(request: web.Request) -> web.Response:
    return web.json_response(list(request.app[SIMULATOR].office.received))


async def types(request: web.Request) -> web.Response:
    entry = await read_body(request, TypeEntry)
    kind = _refusing(request.app[SIMULATOR].postbox.register, entry)
    return web.json_response({"mnemonic": kind.party.mnemonic}, status=201)


async def incoming(request: web.Request) -> web.Response:
    wanted = await read_body(request, Incoming)
    simulator = request.app[SIMULATOR]
    interaction = await asyncio.to_thread(_refusing, simulator.postbox.put, wanted, simulator.config.clock())
    return web.json_response({"message_id": interaction.original, "reply_to": interaction.reply_to or None}, status=201)


async def answers(request: web.Request) -> web.Response:
    simulator, original = request.app[SIMULATOR], request.query.get("original")
    simulator.office.queues.expire(simulator.config.clock())
    return web.json_response(
        [told for told in simulator.office.answers if original in {None, told["original_message_id"]}]
    )


async def settings(request: web.Request) -> web.Response:
    wanted, simulator = await read_body(request, Settings), request.app[SIMULATOR]
    if wanted.ack_timeout is not None:
        simulator.office.queues.ack_timeout = timedelta(seconds=wanted.ack_timeout)
    if wanted.waiting_limit is not None:
        simulator.office.queues.limit = wanted.waiting_limit
    if wanted.files_limit is not None:
        simulator.attachments.files_limit = wanted.files_limit
    if wanted.check_files is not None:
        simulator.attachments.check_files = wanted.check_files
    return web.Response(status=204)


async def scenario_list(request: web.Request) -> web.Response:
    return web.json_response(request.app[SIMULATOR].scenarios.active())


async def scenario_add(request: web.Request) -> web.Response:
    rule = await read_body(request, Rule)
    return web.json_response({"id": request.app[SIMULATOR].scenarios.add(rule)}, status=201)


async def scenario_remove(request: web.Request) -> web.Response:
    number = request.query.get("id")
    if number is not None and not number.isdecimal():
        raise web.HTTPBadRequest(text="id is a number that POST /_sim/scenario gave")
    request.app[SIMULATOR].scenarios.remove(None if number is None else int(number))
    return web.Response(status=204)


async def reset(request: web.Request) -> web.Response:
    request.app[SIMULATOR].reset()
    return web.Response(status=204)


async def read_body(request: web.Request, model: type[_Model]) -> _Model:
    """Return the request's JSON as ``model``; what is wrong is answered with 400 and every rule that is broken."""
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        faults = [{"path": ".".join(map(str, e["loc"])), "rule": e["msg"]} for e in error.errors()]
        text = json.dumps({"faults": faults}, ensure_ascii=False)
        raise web.HTTPBadRequest(text=text, content_type="application/json") from None


def _refusing(make: Callable[_Wanted, _Made], *wanted: _Wanted.args, **named: _Wanted.kwargs) -> _Made:
    """Return what ``make`` makes; what cannot be made is answered with 400 and the reason."""
    try:
        return make(*wanted, **named)
    except (OSError, ValueError) as error:
        text = json.dumps({"faults": [{"path": "", "rule": str(error)}]}, ensure_ascii=False)
        raise web.HTTPBadRequest(text=text, content_type="application/json") from None
