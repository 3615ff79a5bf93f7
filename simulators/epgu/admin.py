"""``/_sim/*``: what a test or a demo asks the simulator itself; JSON both ways.

============================== =====================================================================================
GET    /_sim/health            {"status": "ok", "orders": number of orders, "profile"}
GET    /_sim/ledger            calls at the door, [?operation=NAME][&order_id=N] (:class:`simulators.epgu.ledger.Line`)
GET    /_sim/counts            {"operations": {name: calls}, "orders": {number: {operation: calls}}, "limits": […]}
GET    /_sim/orders            every order, [?order_id=N]; POST puts orders in by hand (:class:`NewOrders`)
POST   /_sim/orders/statuses   gives orders a status now, or later (:class:`NewStatus`)
POST   /_sim/orders/process    sets the process code of orders (:class:`NewProcess`)
GET    /_sim/orders/archive    the bytes of an archive that was kept, ?order_id=N
GET    /_sim/clock             {"now", "stopped"}; POST moves it on (:class:`ClockChange`)
GET    /_sim/accounts          systems, users, API-Keys; POST adds or replaces
GET    /_sim/services          services; POST adds or replaces one
POST   /_sim/dictionaries      adds or replaces a dictionary
POST   /_sim/persons           logs a person in: {"client_id", "oid"} gives access_token and refresh_token
GET    /_sim/settings          what is set; POST changes what it names (:class:`simulators.epgu.settings.Settings`)
GET    /_sim/scenario          rules in force; POST adds one, DELETE [?id=N] ends them
POST   /_sim/reset             forget everything
============================== =====================================================================================
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulators.epgu.accounts import AccountsEntry, Digits
from simulators.epgu.catalogue import Service, WantedStatus
from simulators.epgu.codes import PROCESS
from simulators.epgu.dictionaries import Dictionary
from simulators.epgu.orders import Process
from simulators.epgu.scenario import Rule
from simulators.epgu.settings import Settings
from simulators.epgu.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.epgu.orders import Order

SIMULATOR = web.AppKey("simulator", Simulator)

_Model = TypeVar("_Model", bound=BaseModel)
_Made = TypeVar("_Made")
_Wanted = ParamSpec("_Wanted")
_BLOCK = 1 << 18


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewOrders(_Closed):
    """Orders as if made on an earlier day: ``count`` of them, the first with ``order_id`` if that is given.

    They belong to a system and a user, have ``statuses`` at once, and the process code OK once they have one.
    ``fields`` are put over those of the details.
    """

    client_id: str
    oid: Digits
    service_code: Digits
    region: str = "45000000000"
    order_id: int | None = Field(None, ge=1)
    count: int = Field(1, ge=1, le=100_000)
    statuses: tuple[WantedStatus, ...] = ()
    fields: dict[str, Any] = Field(default_factory=dict)


class NewStatus(WantedStatus):
    """A status for each of ``order_ids``; whatever they had before them goes on, unless it ends them."""

    order_ids: tuple[int, ...] = Field(min_length=1)


class NewProcess(_Closed):
    """A process code for each of ``order_ids``, in the place of whatever they had before them."""

    order_ids: tuple[int, ...] = Field(min_length=1)
    code: str
    message: str | None = None


class ClockChange(_Closed):
    """``advance`` moves the clock on by so many seconds; ``stopped`` stops it, or lets it run."""

    advance: float = Field(0, ge=0, le=1e9)
    stopped: bool | None = None


class Login(_Closed):
    """A person who lets a system act for them."""

    client_id: str
    oid: Digits


def add_routes(app: web.Application) -> None:
    """Add ``/_sim/*`` to ``app``."""
    app.router.add_get("/_sim/health", health)
    app.router.add_get("/_sim/ledger", ledger)
    app.router.add_get("/_sim/counts", counts)
    app.router.add_get("/_sim/orders", orders)
    app.router.add_post("/_sim/orders", orders_add)
    app.router.add_post("/_sim/orders/statuses", orders_statuses)
    app.router.add_post("/_sim/orders/process", orders_process)
    app.router.add_get("/_sim/orders/archive", orders_archive)
    app.router.add_get("/_sim/clock", clock)
    app.router.add_post("/_sim/clock", clock_change)
    app.router.add_get("/_sim/accounts", accounts)
    app.router.add_post("/_sim/accounts", accounts_add)
    app.router.add_get("/_sim/services", services)
    app.router.add_post("/_sim/services", services_add)
    app.router.add_post("/_sim/dictionaries", dictionaries_add)
    app.router.add_post("/_sim/persons", persons)
    app.router.add_get("/_sim/settings", settings)
    app.router.add_post("/_sim/settings", settings_change)
    app.router.add_get("/_sim/scenario", scenario_list)
    app.router.add_post("/_sim/scenario", scenario_add)
    app.router.add_delete("/_sim/scenario", scenario_remove)
    app.router.add_post("/_sim/reset", reset)


async def health(request: web.Request) -> web.Response:
    sim = request.app[SIMULATOR]
    return web.json_response({"status": "ok", "orders": len(sim.orders.all()), "profile": sim.settings.profile})


async def ledger(request: web.Request) -> web.Response:
    lines = request.app[SIMULATOR].ledger.lines(request.query.get("operation", ""), _number(request, "order_id"))
    return web.json_response(lines)


async def counts(request: web.Request) -> web.Response:
    sim = request.app[SIMULATOR]
    told = {"operations": sim.ledger.counts(), "orders": sim.ledger.by_order(), "limits": sim.counters.told()}
    return web.json_response(told)


async def orders(request: web.Request) -> web.Response:
    sim, wanted = request.app[SIMULATOR], _number(request, "order_id")
    sim.now()
    return web.json_response([_told(order) for order in sim.orders.all() if wanted in (None, order.id)])


async def orders_add(request: web.Request) -> web.Response:
    new, sim = await _body(request, NewOrders), request.app[SIMULATOR]
    now = sim.now()
    system, user = sim.accounts.systems.get(new.client_id), sim.accounts.users.get(new.oid)
    service = sim.catalogue.find(new.service_code)
    if system is None or user is None or service is None:
        raise _bad("no such system, user or service")
    made = []
    for number in range(new.count):
        wanted = new.order_id + number if new.order_id is not None else None
        order = _refusing(sim.orders.make, service, (system, user), new.region, now, wanted)
        order.overrides = dict(new.fields)
        for status in new.statuses:
            sim.orders.show(order, status, now - timedelta(seconds=status.after or 0))
        if new.statuses:
            sim.orders.process(order, Process("OK"), order.history[-1].at)
        made.append(order.id)
    return web.json_response({"order_ids": made}, status=201)


async def orders_statuses(request: web.Request) -> web.Response:
    new, sim = await _body(request, NewStatus), request.app[SIMULATOR]
    now = sim.now()
    for order in _found(sim, new.order_ids):
        moment = now + timedelta(seconds=new.after or 0)
        sim.orders.process(order, Process("OK"), now)
        rest = [] if new.ends else [(max(at, moment), step) for at, step in order.plan]
        sim.orders.plan(order, [(moment, WantedStatus(**new.model_dump(exclude={"order_ids"}))), *rest])
    sim.now()
    return web.Response(status=204)


async def orders_process(request: web.Request) -> web.Response:
    new, sim = await _body(request, NewProcess), request.app[SIMULATOR]
    if new.code not in {*PROCESS, "OK"}:
        raise _bad("code is not in the table")
    now = sim.now()
    for order in _found(sim, new.order_ids):
        sim.orders.plan(order, [])
        sim.orders.process(order, Process(new.code, new.message), now)
    return web.Response(status=204)


async def orders_archive(request: web.Request) -> web.FileResponse | web.StreamResponse:
    sim, wanted = request.app[SIMULATOR], _number(request, "order_id")
    order = sim.orders.find(wanted or 0)
    if order is None or order.archive is None or not order.archive.kept:
        raise _bad("no archive of this order is kept")
    response = web.StreamResponse(headers={"Content-Length": str(order.archive.size)})
    await response.prepare(request)
    with order.archive.open() as file:
        while block := await asyncio.to_thread(file.read, _BLOCK):
            await response.write(block)
    await response.write_eof()
    return response


async def clock(request: web.Request) -> web.Response:
    sim = request.app[SIMULATOR]
    return web.json_response({"now": sim.clock().isoformat(), "stopped": sim.clock.stopped})


async def clock_change(request: web.Request) -> web.Response:
    change, sim = await _body(request, ClockChange), request.app[SIMULATOR]
    if change.stopped is not None:
        sim.clock.stop(stopped=change.stopped)
    sim.clock.advance(change.advance)
    sim.now()
    return await clock(request)


async def accounts(request: web.Request) -> web.Response:
    return web.json_response(request.app[SIMULATOR].accounts.told())


async def accounts_add(request: web.Request) -> web.Response:
    _refusing(request.app[SIMULATOR].accounts.put, await _body(request, AccountsEntry))
    return web.Response(status=201)


async def services(request: web.Request) -> web.Response:
    return web.json_response([service.model_dump(mode="json") for service in request.app[SIMULATOR].catalogue.all()])


async def services_add(request: web.Request) -> web.Response:
    request.app[SIMULATOR].catalogue.put(await _body(request, Service))
    return web.Response(status=201)


async def dictionaries_add(request: web.Request) -> web.Response:
    request.app[SIMULATOR].dictionaries.put(await _body(request, Dictionary))
    return web.Response(status=201)


async def persons(request: web.Request) -> web.Response:
    login, sim = await _body(request, Login), request.app[SIMULATOR]
    life = sim.settings.person_token_life
    return web.json_response(_refusing(sim.esia.authorise, login.client_id, login.oid, sim.now(), life), status=201)


async def settings(request: web.Request) -> web.Response:
    return web.json_response(request.app[SIMULATOR].settings.model_dump(mode="json"))


async def settings_change(request: web.Request) -> web.Response:
    wanted, sim = await _body(request, Settings), request.app[SIMULATOR]
    sim.settings = sim.settings.model_copy(update=wanted.model_dump(include=wanted.model_fields_set))
    return web.Response(status=204)


async def scenario_list(request: web.Request) -> web.Response:
    return web.json_response(request.app[SIMULATOR].scenarios.active())


async def scenario_add(request: web.Request) -> web.Response:
    rule = await _body(request, Rule)
    return web.json_response({"id": request.app[SIMULATOR].scenarios.add(rule)}, status=201)


async def scenario_remove(request: web.Request) -> web.Response:
    request.app[SIMULATOR].scenarios.remove(_number(request, "id"))
    return web.Response(status=204)


async def reset(request: web.Request) -> web.Response:
    request.app[SIMULATOR].reset()
    return web.Response(status=204)


def _told(order: Order) -> dict[str, Any]:
    archive = order.archive
    return {
        "order_id": order.id,
        "service_code": order.service.service_code,
        "client_id": order.system.client_id,
        "user": order.user.oid,
        "code": order.code,
        "message": order.message,
        "statuses": [
            {"id": entry.id, "status_id": entry.status.status_id, "at": entry.at.isoformat()} for entry in order.history
        ],
        "steps_left": len(order.plan),
        "submitted_at": order.submitted_at.isoformat() if order.submitted_at else None,
        "archive": archive
        and {
            "size": archive.size,
            "pieces": [{"name": p.name, "size": p.size, "sha256": p.sha256} for p in archive.pieces],
            "members": [{"name": m.name, "size": m.size, "sha256": m.sha256} for m in archive.members],
        },
    }


def _found(sim: Simulator, numbers: tuple[int, ...]) -> list[Order]:
    found = [sim.orders.find(number) for number in numbers]
    if None in found:
        raise _bad("no such order")
    return [order for order in found if order is not None]


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is not None and not (text.isascii() and text.isdecimal()):
        raise _bad(f"{name} is a number")
    return None if text is None else int(text)


def _bad(rule: str) -> web.HTTPBadRequest:
    text = json.dumps({"faults": [{"path": "", "rule": rule}]}, ensure_ascii=False)
    return web.HTTPBadRequest(text=text, content_type="application/json")


async def _body(request: web.Request, model: type[_Model]) -> _Model:
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
    except ValueError as error:
        raise _bad(str(error)) from None
