"""The simulated ШЭП on loopback, its parties' hands, and a participant's own endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapter.gateways.shep.messages import Message, body, envelope, fault_payload, payload, read
from adapter.gateways.shep.operations import OPERATIONS
from simulators.shep.app import SimulatorConfig, make_app
from tests.contract.shep_samples import SESSION
from tests.contract.shep_signing import Hand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime
    from pathlib import Path

    from adapter.signing.kz import KzEngine

NOW = "2026-11-20T10:11:12.131+05:00"
ADAPTER = {"sender_id": "adapter", "password": "adapter-password"}
OTHER = {"sender_id": "other", "password": "other-password"}


class Stand:
    """The simulator and one hand per party."""

    def __init__(self, client: TestClient[Any, Any], kz: KzEngine, folder: Path) -> None:
        self.client = client
        self.kz = kz
        self.folder = folder

    def url(self, path: str) -> str:
        return str(self.client.make_url(path))

    async def get(self, path: str) -> Any:
        async with self.client.get(path) as response:
            return await response.json()

    async def post(self, path: str, value: Any = None, status: int | None = None) -> Any:
        async with self.client.post(path, json=value) as response:
            assert response.status == (status or response.status), await response.text()
            return await response.json() if "json" in response.content_type else None

    async def scenario(self, **rule: Any) -> None:
        await self.post("/_sim/scenario", {"times": 1, **rule}, 201)

    async def raw(self, path: str, message: bytes) -> tuple[int, bytes]:
        async with self.client.post(path, data=message, headers={"Content-Type": "text/xml"}) as response:
            return response.status, await response.read()

    async def call(self, key: str, values: dict[str, Any], *, by: str | None = "shep-gost", path: str = "") -> Message:
        """Call the gateway's operation ``key``, signed ``by`` a party's key or by nobody."""
        operation = OPERATIONS[key]
        content = payload(operation, "request", values)
        message = envelope(body(content)) if by is None else self.hand(by).signed(content.decode())
        return read((await self.raw(path or f"/shep/{operation.port}", message))[1])

    def hand(self, name: str) -> Hand:
        return Hand(self.kz, self.folder, name)

    async def until(self, path: str, found: Callable[[Any], Any], seconds: float = 10) -> Any:
        """Ask the simulator until ``found`` returns something true; give it back."""
        ends = time.monotonic() + seconds
        while True:
            answer = await self.get(path)
            if value := found(answer):
                return value
            assert time.monotonic() < ends, answer
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def standing_up(folder: Path, kz: KzEngine, **config: Any) -> AsyncIterator[Stand]:
    app = make_app(SimulatorConfig(keys=folder.parent, **config), kz)
    async with TestClient(TestServer(app)) as client:
        yield Stand(client, kz, folder)


class Participant:
    """A party's own endpoint: takes what the gateway pushes and answers its synchronous requests."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.seen: list[Message] = []
        self.refuse = 0
        self.answer: bytes | None = None

    async def handle(self, request: web.Request) -> web.Response:
        message = read(await request.read())
        self.seen.append(message)
        if self.answer is not None:
            return web.Response(body=self.answer, content_type="text/xml")
        if self.refuse and message.operation is not None and message.operation.name == "sendMessage":
            self.refuse -= 1
            fault = envelope(body(fault_payload("Server", "не сейчас")))
            return web.Response(body=fault, status=500, content_type="text/xml")
        assert message.operation is not None
        answer = self._answer(message)
        content = payload(message.operation, "response", answer)
        return web.Response(body=envelope(body(content)), content_type="text/xml")

    def _answer(self, message: Message) -> dict[str, Any]:
        assert message.operation is not None
        if message.operation.name == "SendMessage":
            return {
                "response_info": {
                    "message_id": "p-1",
                    "response_date": self.clock(),
                    "status": {"code": "Success", "message": "OK"},
                },
                "response_data": message.values["request_data"],
            }
        if message.operation.name == "sendMessage":
            info = message.values["message_info"]
            return {
                "message_id": info["message_id"],
                "correlation_id": info["correlation_id"],
                "response_date": self.clock(),
            }
        return {"response_date": self.clock(), "session_id": message.values.get("session_id", SESSION)}


@contextlib.asynccontextmanager
async def serving_participant(clock: Callable[[], datetime]) -> AsyncIterator[tuple[Participant, str]]:
    participant = Participant(clock)
    app = web.Application(client_max_size=2**25)
    app.router.add_post("/", participant.handle)
    async with TestServer(app) as server:
        yield participant, str(server.make_url("/"))
