"""One SOAP call to the ШЭП over HTTP.

When it fails, one question matters: may the gateway have taken the request?
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from adapter.errors import AdapterError, Code, KnownError
from adapter.gateways.shep.faults import error_of
from adapter.gateways.shep.messages import MESSAGE_LIMIT, SEALED, Message, MessageError, read

if TYPE_CHECKING:
    from adapter.gateways.shep.options import Observe

#: A larger answer is read in a thread: it would hold the loop for tens of milliseconds.
_INLINE_BYTES: Final = 256 * 1024
#: SOAPAction is empty in every WSDL of the ШЭП.
HEADERS: Final = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""', "Accept-Encoding": "identity"}


class CallError(Exception):
    """A call ended without an answer in the protocol.

    ``maybe_taken`` is false only when it is certain that the gateway did not take the request: no connection, or a
    status of HTTP that says so. ``raw`` is what was received.
    """

    def __init__(self, error: AdapterError, *, maybe_taken: bool, raw: bytes = b"", after: float | None = None) -> None:
        """``error`` is what the one who asked would read; ``after`` the gateway's own wish in seconds."""
        super().__init__(error.code)
        self.error = error
        self.maybe_taken = maybe_taken
        self.raw = raw
        self.after = after


@dataclass(frozen=True, slots=True)
class _Received:
    status: int
    after: float | None
    body: bytes


class ShepTransport:
    """Posts envelopes; each call ends within its timeout, answers are bounded."""

    def __init__(self, session: aiohttp.ClientSession, *, observe: Observe, limit: int = MESSAGE_LIMIT) -> None:
        """``observe`` hears of every call once; ``limit`` bounds an answer, in bytes."""
        self._session = session
        self._observe = observe
        self._limit = limit

    async def call(self, url: str, operation: str, envelope: bytes, timeout: float) -> Message:  # noqa: ASYNC109  — given to aiohttp
        """Post ``envelope`` and return the readable answer, faults included. Raises CallError for everything else."""
        began = time.perf_counter()
        outcome, received = "cancelled", 0
        try:
            answer = await self._post(url, envelope, timeout)
            received = len(answer.body)
            message = await asyncio.to_thread(_read, answer) if received > _INLINE_BYTES else _read(answer)
            outcome = "ok" if message.fault is None else error_of(message.fault).code
        except CallError as failure:
            outcome, received = failure.error.code, len(failure.raw)
            raise
        finally:
            self._observe(operation, outcome, time.perf_counter() - began, len(envelope), received)
        return message

    async def _post(self, url: str, envelope: bytes, timeout: float) -> _Received:  # noqa: ASYNC109  — same
        body = bytearray()
        # Waiting for a free connection and connecting count apart: running out there means that nothing was sent.
        limits = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2, sock_connect=timeout / 2)
        try:
            async with self._session.post(
                URL(url), data=envelope, headers=HEADERS, timeout=limits, allow_redirects=False
            ) as response:
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > self._limit:
                        response.close()
                        raise CallError(protocol("the answer is over the limit"), maybe_taken=True)
                wished = response.headers.get("Retry-After", "")
                after = float(wished) if wished.isascii() and wished.isdigit() else None
                return _Received(response.status, after, bytes(body))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise CallError(_unavailable(error), maybe_taken=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CallError(_unavailable(error), maybe_taken=True, raw=bytes(body)) from error


def protocol(rule: str, status: int | None = None) -> KnownError:
    """Return the error of an answer that breaks the protocol; ``rule`` carries no values."""
    details: dict[str, object] = {"rule": rule}
    if status is not None:
        details["http_status"] = status
    return KnownError(Code.GATEWAY_PROTOCOL, details=details)


def _read(answer: _Received) -> Message:
    """Read an HTTP answer: a SOAP envelope speaks for itself, whatever the status; without one the status speaks.

    An answer of HTTP 3xx or 4xx that is no SOAP comes from something in front of the gateway that did not let the
    request through. One of 5xx may come from a proxy that did pass it on, and one of 2xx certainly does.
    """
    try:
        message = read(answer.body)
    except MessageError as error:
        raise _wordless(answer, error.rule) from error
    if message.fault is None and (message.part not in {"response", SEALED} or not 200 <= answer.status < 300):
        raise _wordless(answer, "the answer is none, or contradicts its HTTP status")
    return message


def _wordless(answer: _Received, rule: str) -> CallError:
    if 200 <= answer.status < 300:
        return CallError(protocol(rule, answer.status), maybe_taken=True, raw=answer.body)
    error = KnownError(Code.GATEWAY_UNAVAILABLE, details={"http_status": answer.status, "rule": rule})
    return CallError(error, maybe_taken=answer.status >= 500, raw=answer.body, after=answer.after)


def _unavailable(error: BaseException) -> KnownError:
    """Return the error of a connection that failed; only the failure's class is told, its text names machines."""
    return KnownError(Code.GATEWAY_UNAVAILABLE, details={"reason": type(error).__name__})
