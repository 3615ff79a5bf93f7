"""The other system's own door, ``/party/client``: it takes what a gateway pushes, and keeps it in the ledger.

With it the simulator has all seven operations; nothing is delivered there by itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from adapter.gateways.shep.messages import MessageError, body, envelope, fault_payload, payload, read
from adapter.gateways.shep.operations import OPERATIONS, PUSH, PUSH_STATUS
from adapter.xml.wssecurity import UNSIGNED, verify_envelope
from simulators.shep.refusals import session_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adapter.signing.kz import KzEngine

PATH = "/party/client"
_TAKEN = {OPERATIONS[key].request: OPERATIONS[key] for key in (PUSH, PUSH_STATUS)}


def endpoint(engine: KzEngine, ledger: list[dict[str, Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler; a signature that is there has to be right."""

    async def take(request: web.Request) -> web.Response:
        raw = await request.read()
        try:
            message = read(raw)
        except MessageError as error:
            return _fault(error.rule)
        operation = None if message.operation is None else _TAKEN.get(message.operation.request)
        if operation is None or message.part != "request" or message.warnings:
            return _fault("; ".join(message.warnings) or "not an operation of this door")
        verdict = verify_envelope(raw, engine)
        if not verdict.math and verdict.reason != UNSIGNED:
            return _fault(verdict.reason)
        ledger.append({"operation": operation.name, "service_id": None, "code": "", "door": PATH})
        now = datetime.now(UTC)
        answer: dict[str, Any] = {"response_date": now, "session_id": message.values.get("session_id") or session_id()}
        if operation.name == "sendMessage":
            info = message.values["message_info"]
            answer = {
                "message_id": info.get("message_id", ""),
                "correlation_id": info.get("correlation_id", ""),
                "response_date": now,
            }
        return _answer(envelope(body(payload(operation, "response", answer))), 200)

    return take


def _fault(rule: str) -> web.Response:
    return _answer(envelope(body(fault_payload("Client", rule))), 500)


def _answer(message: bytes, status: int) -> web.Response:
    return web.Response(body=message, status=status, headers={"Content-Type": "text/xml; charset=utf-8"})
