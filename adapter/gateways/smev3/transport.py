"""One SOAP call over HTTP.

When it fails, one question matters: may the gateway have taken the request?
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from adapter.errors import AdapterError, Code, KnownError
from adapter.gateways.smev3.faults import SmevFault, error_of
from adapter.gateways.smev3.mtom import Parts, content_type
from adapter.gateways.smev3.reading import UnreadableError, open_envelope, read_soap_fault, root_part

if TYPE_CHECKING:
    from lxml.etree import _Element

    from adapter.gateways.smev3.options import Observe

#: Business data up to 5 MB and attachments up to 5 MB as base64, with signatures (facts, smev3.md, Attachments).
ANSWER_LIMIT = 16 * 2**20
#: From this size on the body is handed over in pieces, so that one write does not hold the event loop.
_STREAMED = 2**20


class TransportError(Exception):
    """A call ended without an answer in the protocol.

    ``maybe_taken`` is false only when it is certain that the gateway did not take the request: no connection, or a
    status of HTTP that says so. ``after`` is the gateway's own wish in seconds, ``raw`` what was received.
    """

    def __init__(self, error: AdapterError, *, maybe_taken: bool, raw: bytes = b"", after: float | None = None) -> None:
        """``error`` is what the one who asked would read."""
        super().__init__(error.code)
        self.error = error
        self.maybe_taken = maybe_taken
        self.raw = raw
        self.after = after


@dataclass(frozen=True, slots=True)
class SoapReply:
    """A readable answer: the envelope's exact bytes, the child of its Body, and the fault when it is one.

    ``parts`` is what stood beside the envelope.
    """

    raw: bytes
    payload: _Element | None
    fault: SmevFault | None
    parts: Parts


class SoapTransport:
    """Posts envelopes to one endpoint; each call ends within ``timeout`` seconds, answers are bounded."""

    def __init__(
        self,
        endpoint: str,
        *,
        session: aiohttp.ClientSession,
        timeout: float,
        observe: Observe,
        limit: int = ANSWER_LIMIT,
    ) -> None:
        """``observe`` hears of every call once; ``limit`` bounds an answer, in bytes."""
        self._url = URL(endpoint)
        self._session = session
        # Waiting for a free connection and connecting count apart: running out there means that nothing was sent.
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2, sock_connect=timeout / 2)
        self._observe = observe
        self._limit = limit

    async def call(self, operation: str, envelope: bytes, *, wish: str = "") -> SoapReply:
        """Post ``envelope`` for ``operation`` (``SendRequest``) and return the readable answer, faults included.

        ``wish`` are words to a simulator, sent as the header X-Sim (docs/simulator.md).
        Raises TransportError for everything else that may happen on the way.
        """
        began = time.perf_counter()
        outcome, received = "cancelled", 0
        try:
            status, after, body = await self._post(operation, envelope, wish)
            received = len(body)
            reply = _read(status, after, body)
            outcome = _outcome(operation, reply)
        except TransportError as failure:
            outcome, received = failure.error.code, len(failure.raw)
            raise
        finally:
            self._observe(operation, outcome, time.perf_counter() - began, len(envelope), received)
        return reply

    async def _post(self, operation: str, envelope: bytes, wish: str) -> tuple[int, float | None, bytes]:
        """Return status, wished delay and body of the HTTP answer."""
        body = bytearray()
        try:
            async with self._session.post(
                self._url,
                data=envelope if len(envelope) < _STREAMED else io.BytesIO(envelope),
                headers={
                    "Content-Type": content_type(envelope),
                    "SOAPAction": f'"urn:{operation}"',
                    "Accept-Encoding": "identity",
                    **({"X-Sim": wish} if wish else {}),
                },
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > self._limit:
                        response.close()
                        raise TransportError(_protocol("answer is over the limit"), maybe_taken=True)
                return response.status, _retry_after(response), bytes(body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise TransportError(_unavailable(error), maybe_taken=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TransportError(_unavailable(error), maybe_taken=True, raw=bytes(body)) from error


def _read(status: int, after: float | None, body: bytes) -> SoapReply:
    """Read an HTTP answer: a SOAP envelope speaks for itself, whatever the status; without one the status speaks.

    The gateway sends faults with status 500. An answer of HTTP 3xx or 4xx that is no SOAP comes from something in
    front of the gateway that did not let the request through. One of 5xx may come from a proxy that did pass it on,
    and one of 2xx certainly does: nobody knows what became of the request.
    """
    try:
        raw = root_part(body)
        payload = open_envelope(raw)
    except UnreadableError as error:
        raise _wordless(status, after, body, str(error)) from error
    fault = read_soap_fault(payload)
    if fault is None and not 200 <= status < 300:
        raise _wordless(status, after, body, "SOAP answer contradicts its HTTP status")
    return SoapReply(raw=raw, payload=payload, fault=fault, parts=Parts(body))


def _wordless(status: int, after: float | None, body: bytes, rule: str) -> TransportError:
    """Return what an answer without a usable SOAP envelope means."""
    if 200 <= status < 300:
        return TransportError(_protocol(rule, status), maybe_taken=True, raw=body)
    error = KnownError(Code.GATEWAY_UNAVAILABLE, details={"http_status": status})
    return TransportError(error, maybe_taken=status >= 500, raw=body, after=after)


def _outcome(operation: str, reply: SoapReply) -> str:
    """Return the outcome code that metrics count."""
    if reply.fault is not None:
        return error_of(reply.fault).code
    if operation.startswith("Get") and reply.payload is not None and len(reply.payload) == 0:
        return "empty"
    return "ok"


def _protocol(rule: str, status: int | None = None) -> KnownError:
    """Return the error of an answer that breaks the protocol; ``rule`` carries no values."""
    details: dict[str, object] = {"rule": rule}
    if status is not None:
        details["http_status"] = status
    return KnownError(Code.GATEWAY_PROTOCOL, details=details)


def _unavailable(error: BaseException) -> KnownError:
    """Return the error of a connection that failed; only the failure's class is told, its text names machines."""
    return KnownError(Code.GATEWAY_UNAVAILABLE, details={"reason": type(error).__name__})


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return Retry-After in seconds, when the gateway gave it so."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None
