"""What the follower asks of ЕПГУ, by the operations that commands have; and what a no means to it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from adapter.errors import Code
from adapter.exchange import Accepted, Refused, TryLater
from adapter.gateways.epgu.door import StoppedError
from adapter.gateways.epgu.errors import ErrorClass, tables
from adapter.gateways.epgu.follow_news import status_key
from adapter.gateways.epgu.options import Observe, observe_nothing
from adapter.gateways.epgu.tokens import Who
from adapter.gateways.epgu.wire import UndeliveredError, records

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence
    from datetime import datetime, tzinfo

    from adapter.errors import AdapterError
    from adapter.exchange import Sent
    from adapter.gateways.epgu.follow_news import Followed
    from adapter.gateways.epgu.operations import Operations
    from adapter.gateways.epgu.options import EpguOptions
    from adapter.gateways.epgu.reading import Details

Result = TypeVar("Result")

#: Orders of a page of getUpdatedAfter.
_PAGE: Final = 100


class AwayFromGatewayError(Exception):
    """ЕПГУ, ЕСИА or the limits let nothing through now: nothing is asked for ``after`` seconds or a while."""

    def __init__(self, code: str, *, after: float | None = None) -> None:
        """``code`` is for the log."""
        super().__init__(code)
        self.code = code
        self.after = after


class NoTokenError(Exception):
    """There is no token for a holder, or it is not taken."""

    def __init__(self, error: AdapterError) -> None:
        """``error`` is what is told of it."""
        super().__init__(error.code)
        self.error = error


class RefusedByGatewayError(Exception):
    """ЕПГУ says no to this one question."""

    def __init__(self, error: AdapterError) -> None:
        """``error`` is what it said."""
        super().__init__(error.code)
        self.error = error


class Asking(Protocol):
    """What the follower asks. Every method raises AwayFromGatewayError, NoTokenError and RefusedByGatewayError."""

    @property
    def usual(self) -> Who | None:
        """Who asks for the system; ``None`` where no API-Key is configured."""
        ...

    async def changed(self, who: Who, since: datetime, overlap: float) -> Mapping[int, str]:
        """Return the current statuses of all orders that changed from ``overlap`` seconds before ``since`` on."""
        ...

    async def statuses(self, who: Who, orders: Sequence[int]) -> Mapping[int, str]:
        """Return the current statuses of at most 50 orders, of those that have one."""
        ...

    async def details(self, order: Followed) -> tuple[Details, bytes, tzinfo]:
        """Return the details of an order, the record of the call, and the zone of moments without an offset."""
        ...


class GatewayAsking:
    """Asks ЕПГУ."""

    def __init__(self, options: EpguOptions, operations: Operations, *, observe: Observe = observe_nothing) -> None:
        """``operations`` go through a door of their own, whose limits leave room for commands."""
        self._options = options
        self._operations = operations
        self._observe = observe

    @property
    def usual(self) -> Who | None:
        """Who asks for the system."""
        return Who() if self._options.esia.keys else None

    async def changed(self, who: Who, since: datetime, overlap: float) -> Mapping[int, str]:
        """Read every page of getUpdatedAfter."""
        after = (since - timedelta(seconds=overlap)).isoformat()
        return await self._page("updated-after", who, {"after": after, "page_size": _PAGE})

    async def statuses(self, who: Who, orders: Sequence[int]) -> Mapping[int, str]:
        """Read getOrdersStatus."""
        return await self._page("statuses", who, {"order_ids": list(orders)})

    async def details(self, order: Followed) -> tuple[Details, bytes, tzinfo]:
        """Read details, as the submitter."""
        wanted = order.profile or self._options.profile
        profile = wanted if wanted in self._options.profiles else self._options.profile
        manifest = {"order_id": order.order_id, "who": order.who.told(), "profile": profile}
        details, reply = await self._observed("follow-details", self._operations.details_of(manifest))
        return details, records(reply.record), self._options.profiles[profile].zone

    async def _page(self, operation: str, who: Who, more: Mapping[str, Any]) -> Mapping[int, str]:
        manifest = {"who": who.told(), "profile": self._options.profile, **more}
        made = self._operations.make(operation, manifest, 0)
        outcome = await self._observed(f"follow-{operation}", made)
        return {
            row["order_id"]: key for row in outcome.content["orders"] if (key := _status(row["status"])) is not None
        }

    async def _observed(self, name: str, work: Awaitable[Result]) -> Result:
        began, outcome = time.perf_counter(), "cancelled"
        try:
            result = await work
        except StoppedError as stopped:
            outcome = _code(stopped.sent)
            raise _meaning(stopped.sent) from None
        except UndeliveredError as failure:
            outcome = failure.error.code
            raise AwayFromGatewayError(failure.error.code) from None
        else:
            outcome = "ok"
            return result
        finally:
            self._observe(name, outcome, time.perf_counter() - began, 0, 0)


def _status(status: Any) -> str | None:
    """Return the identity of a page's status, ``None`` of one that says too little."""
    number, updated = (status or {}).get("status_id"), (status or {}).get("updated")
    if not isinstance(number, int) or isinstance(number, bool) or not isinstance(updated, str):
        return None
    return status_key(number, updated)


def _code(sent: Sent) -> str:
    return "ok" if isinstance(sent, Accepted) else sent.error.code


def _meaning(sent: Sent) -> Exception:
    """Return what a failed call is to the follower: about everything, about a token, or about one question."""
    if isinstance(sent, Accepted):
        return AwayFromGatewayError(Code.INTERNAL.wire)
    code = sent.error.code
    if isinstance(sent, Refused):
        row = tables().errors.get(code)
        token = code == Code.TOKEN_REFUSED.wire or (row is not None and row.kind is ErrorClass.TOKEN)
        # A refusal that nothing was received for is that of a token which is not to be had.
        return NoTokenError(sent.error) if token or not sent.raw else RefusedByGatewayError(sent.error)
    if code in {"internal_error", Code.GATEWAY_PROTOCOL.wire}:
        return RefusedByGatewayError(sent.error)
    return AwayFromGatewayError(code, after=sent.after if isinstance(sent, TryLater) else None)
