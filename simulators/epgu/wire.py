"""What goes wrong with the bytes of an answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Collection

_GARBAGE = b"\x00\xff{not an answer\x1b\xc3("
_HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def cut(request: web.Request) -> web.Response:
    """Close the connection without another byte."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def spoilt(body: bytes, how: str | None) -> bytes:
    """Return the bytes that go in the place of ``body``."""
    match how:
        case "garbage":
            return _GARBAGE
        case "html":
            return _HTML
        case "truncated":
            return body[: len(body) // 2]
        case "empty":
            return b""
        case _:
            return body


def quirky(told: Any, quirks: Collection[str]) -> Any:
    """Return an answer's JSON with the oddities that real ones, samples and mocks were seen with."""
    if not quirks or not isinstance(told, dict):
        return told
    if "message_id" in quirks and "messageId" in told:
        told = {("message_id" if name == "messageId" else name): value for name, value in told.items()}
    if "order-object" in quirks and isinstance(told.get("order"), str):
        told = told | {"order": json.loads(told["order"])}
    if "order-null" in quirks and "order" in told:
        told = told | {"order": None}
    if "order-id-string" in quirks and "orderId" in told:
        told = told | {"orderId": str(told["orderId"])}
    if "more-fields" in quirks:
        told = told | {"traceId": "0af7651916cd43dd", "timestamp": None}
    if "spaced-order-id" in quirks and told.get("content"):
        *rows, last = told["content"]
        spaced = {(" orderId" if name == "orderId" else name): value for name, value in last.items()}
        told = told | {"content": [*rows, spaced]}
    if "capital-keys" in quirks and "content" in told:
        told = {(name.capitalize() if name in {"count", "content"} else name): value for name, value in told.items()}
    return told
