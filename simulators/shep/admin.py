"""``/_sim/*``: what a test or a demo asks the simulator itself; JSON both ways.

======================== ===========================================================================================
GET    /_sim/health      {"status": "ok"}
GET    /_sim/world       who and what is registered; POST merges parties, points and services by their ids
GET    /_sim/messages    messages of the asynchronous channel with their states, [?service_id=…]
GET    /_sim/points      delivery points: switched off or not, how many wait, how many calls were made
POST   /_sim/points/N/on an administrator switches delivery point N on; /off switches it off
GET    /_sim/notified    status notifications that senders were told, and whether they took them
POST   /_sim/send        a message as from another party (:class:`Outgoing`): {message_id, correlation_id}
POST   /_sim/ask         a synchronous request as from another party (:class:`Asked`): the provider's answer
GET    /_sim/ledger      [{operation, service_id, code}]: every message at the gates, code empty when it was taken
GET    /_sim/scenario    rules in force; POST adds one (see :mod:`simulators.shep.scenario`), DELETE [?id=N] ends them
POST   /_sim/reset       forget everything
======================== ===========================================================================================
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from adapter.gateways.shep.data import BusinessData, Form
from simulators.shep.refusals import RefusedError
from simulators.shep.scenario import Rule
from simulators.shep.world import World

if TYPE_CHECKING:
    from simulators.shep.app import Simulator
    from simulators.shep.world import Party, Service

SIMULATOR: web.AppKey[Any] = web.AppKey("simulator")

_Model = TypeVar("_Model", bound=BaseModel)


class Data(BaseModel):
    """Business data as :class:`adapter.gateways.shep.data.BusinessData` has them."""

    model_config = ConfigDict(extra="forbid")

    form: Form = Form.CHILD
    content: str
    type: tuple[str, str] | None = None

    def to_data(self) -> BusinessData:
        """Return them."""
        return BusinessData(self.form, self.content.encode(), self.type)


class Asked(BaseModel):
    """A synchronous request of ``sender_id``."""

    model_config = ConfigDict(extra="forbid")

    sender_id: str
    service_id: str
    contour: Literal["shep", "vshep"] = "shep"
    route_id: str | None = None
    data: Data | None = None


class Outgoing(Asked):
    """A message of ``sender_id``; one that is no REQUEST names its chain."""

    message_type: Literal["REQUEST", "RESPONSE", "NOTIFICATION", "UPDATE"] = "REQUEST"
    correlation_id: str = ""


def add_routes(app: web.Application) -> None:
    """Add ``/_sim/*`` to ``app``."""
    app.router.add_get("/_sim/health", health)
    app.router.add_get("/_sim/world", world)
    app.router.add_post("/_sim/world", register)
    app.router.add_get("/_sim/messages", messages)
    app.router.add_get("/_sim/points", points)
    app.router.add_post("/_sim/points/{number:[0-9]+}/{state:on|off}", switch)
    app.router.add_get("/_sim/notified", notified)
    app.router.add_post("/_sim/send", send)
    app.router.add_post("/_sim/ask", ask)
    app.router.add_get("/_sim/ledger", ledger)
    app.router.add_get("/_sim/scenario", scenario_list)
    app.router.add_post("/_sim/scenario", scenario_add)
    app.router.add_delete("/_sim/scenario", scenario_remove)
    app.router.add_post("/_sim/reset", reset)


async def health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def world(request: web.Request) -> web.Response:
    return web.json_response(_simulator(request).world.model_dump(mode="json"))


async def register(request: web.Request) -> web.Response:
    """Merge what is given into what is registered: a row of the same id is replaced as a whole."""
    simulator = _simulator(request)
    try:
        given = json.loads(await request.read())
        rows = simulator.world.model_dump()
        for kind, key in (("parties", "sender_id"), ("points", "id"), ("services", "service_id")):
            new = given.pop(kind, [])
            known = {(row[key], row.get("contour", "shep")): row for row in rows[kind]}
            known |= {(row[key], row.get("contour", "shep")): row for row in new}
            rows[kind] = list(known.values())
        simulator.world = World.model_validate(rows | given)
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _wrong(str(error)) from None
    return web.Response(status=204)


async def messages(request: web.Request) -> web.Response:
    wanted = request.query.get("service_id")
    found = [letter.summary() for letter in _simulator(request).letters.all()]
    return web.json_response([entry for entry in found if wanted in {None, entry["service_id"]}])


async def points(request: web.Request) -> web.Response:
    return web.json_response(_simulator(request).deliveries.points())


async def switch(request: web.Request) -> web.Response:
    number, on = int(request.match_info["number"]), request.match_info["state"] == "on"
    if number not in {point.id for point in _simulator(request).world.points}:
        raise _wrong("no such delivery point")
    return web.json_response({"was_off": _simulator(request).deliveries.switch(number, on=on)})


async def notified(request: web.Request) -> web.Response:
    return web.json_response(_simulator(request).deliveries.notified)


async def send(request: web.Request) -> web.Response:
    wanted = await _body(request, Outgoing)
    party, service = _registered(request, wanted)
    info = {
        "message_type": wanted.message_type,
        "correlation_id": wanted.correlation_id,
        "route_id": wanted.route_id,
    }
    data = None if wanted.data is None else wanted.data.to_data()
    try:
        letter = _simulator(request).channels.send_as(party, service, info, data)
    except RefusedError as refused:
        raise _wrong(refused.message) from None
    found = {"message_id": letter.message_id, "correlation_id": letter.correlation_id}
    return web.json_response(found, status=201)


async def ask(request: web.Request) -> web.Response:
    wanted = await _body(request, Asked)
    party, service = _registered(request, wanted)
    data = None if wanted.data is None else wanted.data.to_data()
    try:
        values = await _simulator(request).channels.ask_as(party, service, data, wanted.route_id)
    except RefusedError as refused:
        return web.json_response({"code": refused.code, "message": refused.message, "data": refused.data}, status=502)
    return web.json_response(values, dumps=lambda value: json.dumps(value, default=_shown, ensure_ascii=False))


async def ledger(request: web.Request) -> web.Response:
    return web.json_response(_simulator(request).ledger)


async def scenario_list(request: web.Request) -> web.Response:
    return web.json_response(_simulator(request).scenarios.active())


async def scenario_add(request: web.Request) -> web.Response:
    rule = await _body(request, Rule)
    return web.json_response({"id": _simulator(request).scenarios.add(rule)}, status=201)


async def scenario_remove(request: web.Request) -> web.Response:
    number = request.query.get("id")
    if number is not None and not number.isdecimal():
        raise _wrong("id is a number that POST /_sim/scenario gave")
    _simulator(request).scenarios.remove(None if number is None else int(number))
    return web.Response(status=204)


async def reset(request: web.Request) -> web.Response:
    _simulator(request).reset()
    return web.Response(status=204)


def _simulator(request: web.Request) -> Simulator:
    found: Simulator = request.app[SIMULATOR]
    return found


def _registered(request: web.Request, wanted: Asked) -> tuple[Party, Service]:
    known = _simulator(request).world
    party, service = known.party(wanted.sender_id), known.service(wanted.service_id, wanted.contour)
    if party is None or service is None:
        raise _wrong("no such party or service")
    return party, service


def _shown(value: object) -> object:
    if isinstance(value, BusinessData):
        return value.to_json()
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def _body(request: web.Request, model: type[_Model]) -> _Model:
    """Return the request's JSON as ``model``; what is wrong is answered with 400 and every rule that is broken."""
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        raise _wrong("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from None


def _wrong(rule: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"rule": rule}, ensure_ascii=False), content_type="application/json")
