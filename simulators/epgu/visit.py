"""One call on its way: what is known of it so far, and what goes back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulators.epgu.faults import RefusedError, refuse, refuse_bare, refuse_esia
from simulators.epgu.scenario import NOTHING, Effects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from aiohttp import web

    from simulators.epgu.ledger import Line
    from simulators.epgu.scenario import Scenarios
    from simulators.epgu.tokens import Holder

#: Headers of a call that the ledger shows; the token is not among them.
_SHOWN = ("Host", "User-Agent", "Content-Type", "Accept", "Content-Length", "Transfer-Encoding")


class CutError(Exception):
    """The connection is to be cut without a byte of answer."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What goes back: JSON, or a stream of bytes, or nothing."""

    status: int = 200
    json: Any = None
    stream: AsyncIterator[bytes] | None = None
    length: int = 0
    content_type: str = "application/json"
    file_name: str = ""


@dataclass(slots=True)
class Visit:
    """``operation`` is a name of :data:`simulators.epgu.scenario.Operation`; ``began`` the moment the call came."""

    operation: str
    request: web.Request
    scenarios: Scenarios
    began: datetime
    holder: Holder | None = None
    effects: Effects = NOTHING
    line: Line = field(init=False)

    def __post_init__(self) -> None:
        """Begin the ledger's line."""
        headers = self.request.headers
        self.line = {
            "operation": self.operation,
            "at": self.began.isoformat(),
            "order_id": None,
            "service_code": None,
            "client_id": None,
            "user": None,
            "status": 0,
            "code": None,
            "headers": {name: headers[name] for name in _SHOWN if name in headers},
        }

    def known(self, holder: Holder) -> Holder:
        """Remember whose call it is."""
        self.holder = holder
        self.line["client_id"] = holder.system.client_id
        self.line["user"] = holder.user.oid
        return holder

    def reading(self) -> None:
        """Apply what is meant for the body while it is read. Raises CutError."""
        if self.scenarios.apply(self.operation, {}, reading=True).drop == "reading":
            raise CutError

    async def meet(
        self, *, order_id: int | None = None, service_code: str | None = None, chunk: int | None = None
    ) -> None:
        """Apply the rules for this call, now that it is known what it is about. Raises RefusedError, CutError."""
        if order_id is not None:
            self.line["order_id"] = order_id
        if service_code is not None:
            self.line["service_code"] = service_code
        about: dict[str, object] = {"order_id": order_id, "service_code": service_code, "chunk": chunk}
        self.effects = effects = self.scenarios.apply(self.operation, about)
        if effects.delay:
            await asyncio.sleep(effects.delay)
        if effects.drop == "before":
            raise CutError
        if effects.refuse is not None and self.operation in {"token", "renewal"}:
            raise refuse_esia(effects.refuse)
        if effects.refuse is not None:
            raise refuse(effects.refuse, effects.message, status=effects.status)
        if effects.status is not None:
            raise refuse_bare(effects.status, effects.text)
        if effects.redirect:
            raise RefusedError(302, code="redirect")
