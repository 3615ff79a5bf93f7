"""A gateway outside the worker: records what reaches it, answers when it is let, keeps answers until they are acked."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True)
class Submit:
    """One request that arrived: ``transport_id`` is of the command, ``gateway_id`` was minted by the adapter."""

    transport_id: str
    gateway_id: str
    body: bytes
    earlier: int
    operation: str


@dataclass
class Recorder:
    """``gate`` holds back the answers to submits; ``answering`` whether accepted requests get a business answer."""

    submits: list[Submit] = field(default_factory=list)
    arrived: asyncio.Queue[Submit] = field(default_factory=asyncio.Queue)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    answering: bool = True
    status: int = 200
    cuts: int = 0
    #: How long a call takes, in seconds, and how often one came while another of its lane was here.
    pause: float = 0.0
    overlaps: int = 0
    #: How often it was asked what became of a request.
    questions: int = 0
    url: str = ""
    _inside: list[str | None] = field(default_factory=list)
    _answers: dict[str, dict[str, str]] = field(default_factory=dict)
    _fresh: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator[Recorder]:
        recorder = cls()
        recorder.gate.set()
        app = web.Application(client_max_size=2**26)
        app.add_routes([web.post("/send", recorder._send), web.get("/answers", recorder._fetch)])
        app.add_routes([web.post("/ack/{key}", recorder._ack), web.get("/became/{id}", recorder._became)])
        async with TestServer(app) as server:
            recorder.url = str(server.make_url(""))
            yield recorder
            recorder.gate.set()

    async def next(self, seconds: float = 30) -> Submit:
        """Return the next submit that arrives."""
        return await asyncio.wait_for(self.arrived.get(), seconds)

    def effective(self) -> dict[str, int]:
        """Count submits by transport_id; a copy under the same gateway_id is recognised and counts once."""
        counts: dict[str, set[str]] = {}
        for submit in self.submits:
            counts.setdefault(submit.transport_id, set()).add(submit.gateway_id)
        return {transport: len(ids) for transport, ids in counts.items()}

    async def _send(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        lane = orjson.loads(body).get("lane")
        self.overlaps += lane is not None and lane in self._inside
        self._inside.append(lane)
        try:
            return await self._answer(request, body)
        finally:
            self._inside.remove(lane)

    async def _answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        headers = request.headers
        transport = str(orjson.loads(body)["transport_id"])
        submit = Submit(transport, headers["X-Id"], body, int(headers["X-Earlier"]), headers["X-Operation"])
        self.submits.append(submit)
        self.arrived.put_nowait(submit)
        await self.gate.wait()
        await asyncio.sleep(self.pause)
        if self.cuts > 0:
            self.cuts -= 1
            assert request.transport is not None
            request.transport.abort()
        if self.status == 200 and self.answering:
            self.answer(submit)
        return web.Response(status=self.status, text="taken")

    def answer(self, submit: Submit) -> None:
        """Put the business answer to a submit into the queue of answers, once per gateway_id."""
        if all(answer["reference"] != submit.gateway_id for answer in self._answers.values()):
            key = str(uuid4())
            content = orjson.dumps({"answered": submit.transport_id}).decode()
            self._answers[key] = {"key": key, "reference": submit.gateway_id, "content": content}
            self._fresh.set()

    async def _became(self, request: web.Request) -> web.Response:
        """Tell what became of a request: its answer, or that it never arrived."""
        self.questions += 1
        for submit in self.submits:
            if submit.gateway_id == request.match_info["id"]:
                return web.json_response({"answered": submit.transport_id})
        return web.Response(status=404)

    async def _fetch(self, _: web.Request) -> web.Response:
        if not self._answers:
            self._fresh.clear()
            try:
                async with asyncio.timeout(1):
                    await self._fresh.wait()
            except TimeoutError:
                return web.json_response([])
        return web.json_response(list(self._answers.values())[:50])

    async def _ack(self, request: web.Request) -> web.Response:
        self._answers.pop(request.match_info["key"], None)
        return web.Response(status=204)
