"""HTTP: both channels of both contours with their WSDLs, what scenarios do on the wire, and ``/_sim/*``."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from adapter.gateways.shep.calls import service_of
from adapter.gateways.shep.messages import payload
from adapter.signing.kz import KzEngine
from simulators.shep import admin, party, wsdl
from simulators.shep.channels import Channels
from simulators.shep.courier import Courier
from simulators.shep.delivery import Deliveries
from simulators.shep.desk import SignatureDesk
from simulators.shep.dress import dressed
from simulators.shep.gate import Gate, opened
from simulators.shep.keys import FOLDER
from simulators.shep.letters import Letters
from simulators.shep.refusals import RefusedError
from simulators.shep.scenario import NOTHING, Effects, Scenarios
from simulators.shep.world import World, default_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from adapter.gateways.shep.operations import Operation

_log = logging.getLogger(__name__)

MAX_BODY = 32 * 2**20
_BODY_TIMEOUT = 30.0
CONTOURS = ("shep", "vshep")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """``keys`` holds the folder kz of ``python -m simulators.shep.keys``; ``gateway_key`` names the gateway's pair."""

    keys: Path
    gateway_key: str = "gateway"
    world: World = field(default_factory=default_world)
    clock: Callable[[], datetime] = _utc_now


class Simulator:
    """Everything of one simulated gateway; its state is in memory."""

    def __init__(self, config: SimulatorConfig, engine: KzEngine) -> None:
        """Raises OSError or ValueError for keys that are not there."""
        self.config = config
        self.world = config.world.model_copy(deep=True)
        self.desk = SignatureDesk(config.keys / FOLDER, engine, config.gateway_key)
        # Numbers go on over restarts, at up to 16 messages a second.
        self.letters = Letters(int(config.clock().timestamp()) * 16)
        self.scenarios = Scenarios()
        self.ledger: list[dict[str, Any]] = []
        self.courier = Courier(self.desk, self.scenarios, lambda: self.world)
        self.deliveries = Deliveries(self.courier, lambda: self.world, config.clock)
        self.channels = Channels(lambda: self.world, self.letters, self.deliveries, self.courier, config.clock)
        self.gates = {contour: Gate(contour, lambda: self.world, self.letters, self.desk) for contour in CONTOURS}

    def reset(self) -> None:
        """Forget everything that happened, and what was registered since the start."""
        self.world = self.config.world.model_copy(deep=True)
        self.letters.forget()
        self.scenarios.remove()
        self.ledger.clear()
        self.deliveries.forget()


def make_app(config: SimulatorConfig, engine: KzEngine | None = None) -> web.Application:
    """Return the application; its state is :data:`simulators.shep.admin.SIMULATOR`.

    Raises OSError or ValueError (bad keys) or GostUnavailableError.
    """
    app = web.Application(client_max_size=MAX_BODY)
    engine = engine or KzEngine.open()
    simulator = app[admin.SIMULATOR] = Simulator(config, engine)
    for contour in CONTOURS:
        for channel in ("sync", "async"):
            path = f"/{contour}/{channel}"
            app.router.add_post(path, _endpoint(contour, channel))
            wsdl.add_route(app, path, channel)
    app.router.add_post(party.PATH, party.endpoint(engine, simulator.ledger))
    wsdl.add_route(app, party.PATH, "client")
    admin.add_routes(app)
    app.cleanup_ctx.append(_living)
    return app


async def _living(app: web.Application) -> AsyncIterator[None]:
    simulator = app[admin.SIMULATOR]
    await simulator.courier.open()
    yield
    await simulator.channels.close()
    await simulator.deliveries.close()
    await simulator.courier.close()


def _endpoint(contour: str, channel: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def exchange(request: web.Request) -> web.StreamResponse:
        simulator: Simulator = request.app[admin.SIMULATOR]
        try:
            async with asyncio.timeout(_BODY_TIMEOUT):
                raw = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        return await _exchange(request, simulator, raw, contour, channel)

    return exchange


async def _exchange(
    request: web.Request, simulator: Simulator, raw: bytes, contour: str, channel: str
) -> web.StreamResponse:
    operation: Operation | None = None
    service_id: str | None = None
    effects, status, code, level = NOTHING, 200, "", 2
    now = simulator.config.clock
    try:
        message, sealed = opened(raw, channel, simulator.desk)
        operation, service_id = message.operation, service_of(message.values)
        assert operation is not None  # noqa: S101  — opened() looked; this tells the type checker
        effects = simulator.scenarios.apply(operation.name, service_id)
        await _before(effects)
        if effects.drop == "before":
            return _cut(request)
        arrival = simulator.gates[contour].admit(message, channel, now(), sealed=sealed)
        service_id, level = arrival.service.service_id, arrival.service.security
        content = payload(operation, "response", await simulator.channels.perform(arrival))
        if sealed:
            content = simulator.desk.sealed(content, service_id)
    except RefusedError as refused:
        _log.info("refused: %s", refused)
        content, status, code = refused.payload(operation, now()), 500, refused.code or f"soap:{refused.side}"
    simulator.ledger.append({"operation": operation.name if operation else "", "service_id": service_id, "code": code})
    if effects.drop == "after":
        return _cut(request)
    answer = dressed(simulator.desk, content, effects, sign=level > 0)
    headers = {"Content-Type": "text/xml; charset=utf-8"}
    return web.Response(body=answer, status=effects.status or status, headers=headers)


async def _before(effects: Effects) -> None:
    """Do what a scenario wants before the gate. Raises RefusedError."""
    if effects.delay:
        await asyncio.sleep(effects.delay)
    if effects.fault is not None:
        raise RefusedError(effects.fault, data="по желанию", sub=effects.sub_error)
    if effects.bare_fault is not None:
        raise RefusedError("", "Ошибка без подробностей", side=effects.bare_fault)


def _cut(request: web.Request) -> web.Response:
    """Close the connection without a byte of answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
