"""``/_sim/*``: what a test or a demo asks the simulator itself; JSON both ways.

======================== ===========================================================================================
GET    /_sim/health      {"status": "ok", "waiting": answers not acked yet}
GET    /_sim/ledger      [{transport_id, action_type, message_id, outcome: accepted|refused, code}]
GET    /_sim/acks        [{message_id, original_message_id, accepted, at, deliveries}]
GET    /_sim/requests    [{request_id, status, updated_at}]: the debt requests of ГИС ЖКХ
POST   /_sim/drafts      {"request_id", "status"?: "DRAFT"}: a debt request made by hand in ГИС ЖКХ
GET    /_sim/scenario    rules in force; POST adds one (see :mod:`simulators.smev3.scenario`), DELETE [?id=N] ends them
POST   /_sim/reset       forget everything
======================== ===========================================================================================
"""

from __future__ import annotations

import json
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from simulators.smev3.giszhkh import Status
from simulators.smev3.scenario import Rule
from simulators.smev3.simulator import Simulator

SIMULATOR = web.AppKey("simulator", Simulator)

_Model = TypeVar("_Model", bound=BaseModel)
_GUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


class Draft(BaseModel):
    """A debt request to be stored."""

    model_config = ConfigDict(extra="forbid")

    request_id: Annotated[str, StringConstraints(pattern=_GUID)]
    status: Status = Status.DRAFT


def add_routes(app: web.Application) -> None:
    """Add ``/_sim/*`` to ``app``."""
    app.router.add_get("/_sim/health", health)
    app.router.add_get("/_sim/ledger", ledger)
    app.router.add_get("/_sim/acks", acks)
    app.router.add_get("/_sim/requests", requests)
    app.router.add_post("/_sim/drafts", drafts)
    app.router.add_get("/_sim/scenario", scenario_list)
    app.router.add_post("/_sim/scenario", scenario_add)
    app.router.add_delete("/_sim/scenario", scenario_remove)
    app.router.add_post("/_sim/reset", reset)


async def health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "waiting": request.app[SIMULATOR].queues.depth()})


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
            for ack in request.app[SIMULATOR].queues.acks
        ]
    )


async def requests(request: web.Request) -> web.Response:
    stored = request.app[SIMULATOR].debt_requests.all()
    return web.json_response(
        [{"request_id": r.id, "status": r.status, "updated_at": r.updated_at.isoformat()} for r in stored]
    )


async def drafts(request: web.Request) -> web.Response:
    draft = await _body(request, Draft)
    simulator = request.app[SIMULATOR]
    simulator.debt_requests.put(draft.request_id, draft.status, simulator.config.clock())
    return web.json_response({"request_id": draft.request_id, "status": draft.status}, status=201)


async def scenario_list(request: web.Request) -> web.Response:
    return web.json_response(request.app[SIMULATOR].scenarios.active())


async def scenario_add(request: web.Request) -> web.Response:
    rule = await _body(request, Rule)
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


async def _body(request: web.Request, model: type[_Model]) -> _Model:
    """Return the request's JSON as ``model``; what is wrong is answered with 400 and every rule that is broken."""
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        faults = [{"path": ".".join(map(str, e["loc"])), "rule": e["msg"]} for e in error.errors()]
        text = json.dumps({"faults": faults}, ensure_ascii=False)
        raise web.HTTPBadRequest(text=text, content_type="application/json") from None
