"""The way to ЕПГУ for every call: its limits first, then a token, one fresh token after a 401, and what a no means."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.errors import Code, KnownError
from adapter.exchange import Refused, Sent, TryLater, Unanswered
from adapter.gateways.epgu.errors import ErrorClass, Failure, known, of_answer
from adapter.gateways.epgu.limits import periods
from adapter.gateways.epgu.options import Clock, utc_now
from adapter.gateways.epgu.profiles import MOSCOW
from adapter.gateways.epgu.statements import AwayError
from adapter.gateways.epgu.tokens import TokenError
from adapter.gateways.epgu.wire import UndeliveredError, records

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.gateways.epgu.limits import Limits
    from adapter.gateways.epgu.tokens import Tokens, Who
    from adapter.gateways.epgu.wire import Exchange, Reply, Request, Wire

#: Longest wait in seconds for a limit that is spent here; a longer one is left to the journal.
_PATIENCE: Final = 3.0
#: Seconds after which orders of a user and service are tried again.
_ORDERS_PAUSE: Final = 60.0
#: Attempts after which an internal error is told to the one who asked.
_INTERNAL_ATTEMPTS: Final = 3

__all__ = ["Door", "ErrorClass", "StoppedError"]


class StoppedError(Exception):
    """A call goes no further: ``sent`` is what the pipeline is told."""

    def __init__(self, sent: Sent) -> None:
        """Keep it."""
        super().__init__(type(sent).__name__)
        self.sent = sent


class Door:
    """Makes calls as somebody, inside the limits."""

    def __init__(self, wire: Wire, *, tokens: Tokens, limits: Limits, clock: Clock = utc_now) -> None:
        """Each part is its owner's to close."""
        self._wire = wire
        self._tokens = tokens
        self._limits = limits
        self._clock = clock

    async def call(
        self,
        request: Callable[[], Request],
        who: Who | None,
        *,
        once: bool = False,
        leaves: Callable[[], None] | None = None,
    ) -> Reply:
        """Make a call, again with a fresh token after a 401. ``request`` is made anew for each; ``leaves`` is told.

        Without ``who`` it goes without a token. Raises UndeliveredError, or StoppedError when nothing was sent.
        """
        for renewable in (True, False):
            exchange, drop = await self._next(request, who, once=once)
            if leaves is not None:
                leaves()
            async with exchange as answer:
                reply = await answer.read()
            if reply.status != 401 or not drop() or not renewable:
                break
        return reply

    async def open(self, request: Callable[[], Request], who: Who) -> Exchange:
        """Return an entered call whose answer is to be streamed, by :meth:`call`'s rules; leave it as a context."""
        exchange, drop = await self._next(request, who, once=False)
        answer = await exchange.__aenter__()
        if answer.response.status == 401 and drop():
            await answer.__aexit__(None, None, None)
            exchange, _ = await self._next(request, who, once=False)
            answer = await exchange.__aenter__()
        return answer

    async def order(self, who: Who, service_code: str) -> None:
        """Count an order of an account. Raises StoppedError when the window is full, before anything is sent."""
        try:
            bearer = await self._tokens.get(who)
        except TokenError as error:
            raise _no_token(error) from None
        account = bearer.account or "/".join(who.told().values())
        try:
            wait = await self._limits.take_order(account, service_code)
        except AwayError:
            raise _away() from None
        if wait:
            raise _limited("orders", wait)

    def failure(self, reply: Reply, *, order_id: int | None = None, cancelling: bool = False) -> Failure:
        """Return what an answer that is none of the good ones says."""
        details = {} if order_id is None else {"order_id": order_id}
        return of_answer(reply.status, reply.body, details, cancelling=cancelling)

    def judged(self, reply: Reply, failure: Failure, *, safe: bool, earlier_attempts: int = 0) -> Sent:
        """Return what a failure is to the pipeline; ``safe`` says that the call changes nothing."""
        raw = records(reply.record)
        if failure.kind is ErrorClass.LIMITS:
            return TryLater(failure.error, raw=raw, after=self.pause(reply))
        unclear = failure.kind is ErrorClass.RETRY or (200 <= reply.status < 300 and reply.status != 204)
        if unclear and not safe:
            return Unanswered(failure.error, raw=raw)
        if failure.kind is ErrorClass.RETRY and not _given_up(failure, earlier_attempts):
            return TryLater(failure.error, raw=raw)
        return Refused(failure.error, raw)

    def pause(self, reply: Reply) -> float:
        """Return how many seconds to wait after a limit: of requests to the end of the minute, of orders a minute."""
        if reply.status != 429:
            return _ORDERS_PAUSE
        moment = self._clock().astimezone(MOSCOW)
        return (periods(moment)[0][2] - moment).total_seconds() + 0.5

    async def _next(
        self, request: Callable[[], Request], who: Who | None, *, once: bool
    ) -> tuple[Exchange, Callable[[], bool]]:
        """Return a call to be entered, and what after a 401 drops its token and tells whether another can be had."""
        await self._admit()
        if who is None:
            return self._wire.open(request(), None, once=once), lambda: False
        try:
            bearer = await self._tokens.get(who)
        except TokenError as error:
            raise _no_token(error) from None
        return self._wire.open(request(), bearer, once=once), lambda: self._tokens.drop(who, bearer)

    async def _admit(self) -> None:
        """Count a request, waiting for a moment where that helps. Raises StoppedError."""
        try:
            while wait := await self._limits.take_request():
                if wait > _PATIENCE:
                    raise _limited("requests", wait)
                await asyncio.sleep(wait)
        except AwayError:
            raise _away() from None


def undelivered(failure: UndeliveredError) -> Sent:
    """Return what a call without a readable answer is to the pipeline."""
    if failure.maybe_taken:
        return Unanswered(failure.error, raw=failure.raw)
    return TryLater(failure.error, raw=failure.raw)


def _given_up(failure: Failure, earlier_attempts: int) -> bool:
    return failure.error.code == "internal_error" and earlier_attempts >= _INTERNAL_ATTEMPTS


def _limited(what: str, wait: float) -> StoppedError:
    """Return our own no: the limit would be broken. What is journaled says which, since nothing was received."""
    raw: dict[str, Any] = {"limit": what, "wait": round(wait, 3)}
    return StoppedError(TryLater(known("limitation_exception", details={"limit": what}), orjson.dumps(raw), after=wait))


def _away() -> StoppedError:
    """Return what a call is that cannot be counted: it waits for the database as everything else does."""
    error = KnownError(Code.INTERNAL, "Ограничения ЕПГУ сейчас не подсчитать: база данных недоступна")
    return StoppedError(TryLater(error, orjson.dumps({"limit": "away"})))


def _no_token(error: TokenError) -> StoppedError:
    return StoppedError(TryLater(error.error) if error.retryable else Refused(error.error, b""))
