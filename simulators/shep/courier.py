"""Calls of the gateway on participants: its signature, its timeout, its judgement on what is answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

from adapter.gateways.shep.calls import service_of
from adapter.gateways.shep.messages import SEALED, Message, MessageError, payload, read
from adapter.gateways.shep.operations import OPERATIONS
from simulators.shep.dress import dressed
from simulators.shep.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulators.shep.desk import SignatureDesk
    from simulators.shep.scenario import Scenarios
    from simulators.shep.world import Point, World

#: What a participant's own fault is told with.
_LIMIT = 32 * 2**20


class UndeliveredError(Exception):
    """A participant did not take a call; the text says why."""


class Courier:
    """Makes the calls; ``open`` and ``close`` frame its life."""

    def __init__(self, desk: SignatureDesk, scenarios: Scenarios, world: Callable[[], World]) -> None:
        """Nothing is open yet; ``world`` tells what is registered now."""
        self._desk = desk
        self._world = world
        self._scenarios = scenarios
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the client session."""
        self._session = aiohttp.ClientSession(trust_env=False)

    async def close(self) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    async def call(self, point: Point, key: str, values: Mapping[str, Any]) -> Message:
        """Call the operation ``key`` at ``point`` and return its answer. Raises UndeliveredError."""
        operation = OPERATIONS[key]
        try:
            content = payload(operation, "request", values)
        except MessageError as error:
            raise UndeliveredError(f"cannot be written: {error.rule}") from None
        named = service_of(values)
        effects = self._scenarios.apply(f"push.{operation.name}", named)
        if any(service.encrypted for service in self._world().services if service.service_id == named):
            content = self._desk.sealed(content, named or "")
        message = dressed(self._desk, content, effects, sign=point.security > 0)
        raw = await self._post(point, message)
        if effects.twice:
            raw = await self._post(point, message)
        try:
            answer = read(raw)
            answer = self._desk.unsealed(answer) if answer.part == SEALED else answer
        except RefusedError as error:
            raise UndeliveredError(f"sealed answer: {error.message}") from None
        except MessageError as error:
            raise UndeliveredError(f"unreadable answer: {error.rule}") from None
        if answer.fault is not None:
            raise UndeliveredError(f"fault: {answer.fault.info.code if answer.fault.info else answer.fault.faultcode}")
        if answer.operation is None or answer.operation.response != operation.response:
            raise UndeliveredError("the answer is to another operation")
        return answer

    async def _post(self, point: Point, message: bytes) -> bytes:
        assert self._session is not None  # noqa: S101  — open() came first; this tells the type checker
        timeout = aiohttp.ClientTimeout(total=point.timeout)
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
        try:
            async with self._session.post(point.url or "", data=message, headers=headers, timeout=timeout) as response:
                raw = await response.content.read(_LIMIT)
        except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            raise UndeliveredError(type(error).__name__) from None
        return raw


def provider_refused(error: UndeliveredError) -> RefusedError:
    """Return what the caller of a synchronous service is told when its provider gave no answer."""
    return RefusedError("SIM-PROVIDER", data=str(error))
