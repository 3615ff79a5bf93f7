"""``/_sim/*``: what a test or a demo asks the simulator itself; JSON both ways.

===================== ==============================================================================================
GET    /_sim/health   {"status": "ok"}
GET    /_sim/ledger   [{operation, casenum, postamatid, timestamp, userid, cellid, outcome: accepted|refused, name}]
GET    /_sim/cases    {casenum: {state, postamatid, cellid}}
POST   /_sim/cases    {"casenum", "state"?: "на выдаче"}: a case that the portal knows
GET    /_sim/scenario rules in force; POST adds one (see :mod:`simulators.postamat.scenario`), DELETE [?id=N] ends them
POST   /_sim/reset    forget everything
===================== ==============================================================================================
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from simulators.postamat.portal import Portal, PortalCase
from simulators.postamat.scenario import Rule, Scenarios

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Simulator:
    """The portal and its bad days."""

    portal: Portal
    scenarios: Scenarios


SIMULATOR = web.AppKey("simulator", Simulator)


class KnownCase(BaseModel):
    """A case to be put into the portal."""

    model_config = ConfigDict(extra="forbid")

    casenum: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    state: Literal["на выдаче", "В постамате", "Выдано заявителю"] = "на выдаче"
    postamatid: str | None = None
    cellid: str | None = None


def add_routes(app: web.Application) -> None:
    """Add ``/_sim/*`` to ``app``."""
    app.router.add_get("/_sim/health", health)
    app.router.add_get("/_sim/ledger", ledger)
    app.router.add_get("/_sim/cases", cases)
    app.router.add_post("/_sim/cases", cases_add)
    app.router.add_get("/_sim/scenario", scenario_list)
    app.router.add_post("/_sim/scenario", scenario_add)
    app.router.add_delete("/_sim/scenario", scenario_remove)
    app.router.add_post("/_sim/reset", reset)


async def health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def ledger(request: web.Request) -> web.Response:
    return web.json_response(request.app[SIMULATOR].portal.ledger())


async def cases(request: web.Request) -> web.Response:
    known = request.app[SIMULATOR].portal.cases
    return web.json_response({casenum: asdict(case) for casenum, case in known.items()})


async def cases_add(request: web.Request) -> web.Response:
    wanted = await _body(request, KnownCase)
    case = PortalCase(wanted.state, wanted.postamatid, wanted.cellid)
    request.app[SIMULATOR].portal.cases[wanted.casenum] = case
    return web.json_response({"casenum": wanted.casenum}, status=201)


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
    simulator = request.app[SIMULATOR]
    simulator.portal.reset()
    simulator.scenarios.remove()
    return web.Response(status=204)


async def _body(request: web.Request, model: type[_Model]) -> _Model:
    """Return the request's JSON as ``model``; what is wrong is answered with 400 and every rule that is broken."""
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        faults = [{"path": ".".join(map(str, e["loc"])), "rule": e["msg"]} for e in error.errors()]
        text = json.dumps({"faults": faults}, ensure_ascii=False)
        raise web.HTTPBadRequest(text=text, content_type="application/json") from None
