"""HTTP to ЕПГУ: one call, one answer, and a record of both that an incident can be told from.

Redirects are never followed: they would lead out of the ГОСТ channel. The record has everything but the token.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import orjson
from yarl import URL

from adapter.errors import Code, KnownError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from adapter.gateways.epgu.options import EpguOptions
    from adapter.gateways.epgu.tokens import Bearer

#: Bytes of one answer that is no file; a dictionary may have tens of thousands of entries.
ANSWER_LIMIT: Final = 64 * 2**20
#: Bytes of an answer that its record keeps; of a longer one the beginning.
_RECORDED: Final = 2**20
#: What stands where the token was.
HIDDEN: Final = "[token]"
_USER_AGENT: Final = "state-gateway-adapter"


class UndeliveredError(Exception):
    """No readable answer came. ``maybe_taken`` is false when the request certainly did not arrive."""

    def __init__(self, error: KnownError, *, maybe_taken: bool, raw: bytes = b"") -> None:
        """``raw`` is what had come by then."""
        super().__init__(error.code)
        self.error = error
        self.maybe_taken = maybe_taken
        self.raw = raw


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer read whole; ``record`` tells of the call and of it."""

    status: int
    body: bytes
    content_type: str
    record: Mapping[str, Any]

    @property
    def json(self) -> Any:
        """The JSON of the body; ``None`` where there is none."""
        try:
            return orjson.loads(self.body.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError:
            return None


@dataclass(slots=True)
class Request:
    """One call to be made. ``target`` is path and query, percent-encoded. ``body`` may be streamed.

    ``told`` is what the record says of a body that is not repeated there.
    """

    method: str
    target: str
    body: bytes | aiohttp.Payload | None = None
    content_type: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)


def records(*told: Mapping[str, Any]) -> bytes:
    """Return the bytes that are journaled of calls: JSON, one object a call."""
    return b"\n".join(orjson.dumps(record) for record in told)


class Wire:
    """Makes calls to one ЕПГУ."""

    def __init__(
        self, options: EpguOptions, *, session: aiohttp.ClientSession, once: aiohttp.ClientSession | None = None
    ) -> None:
        """``once`` makes the calls that may never be repeated: it is to keep no connection open, so that none is stale.

        Both are closed by their owner.
        """
        self._options = options
        self._base = options.url.rstrip("/")
        self._session = session
        self._once = once or session
        self._timeout = aiohttp.ClientTimeout(
            total=options.timeout, connect=options.timeout / 4, sock_connect=options.timeout / 4
        )

    def open(self, request: Request, bearer: Bearer | None, *, once: bool = False) -> Exchange:
        """Return one call as a context: entering makes it, and its answer can then be read or streamed."""
        session = self._once if once else self._session
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT}
        if request.content_type:
            headers["Content-Type"] = request.content_type
        if self._options.host:
            headers["Host"] = self._options.host
        if once:
            headers["Connection"] = "close"
        url = URL(self._base + request.target, encoded=True)
        more: dict[str, Any] = {"server_hostname": self._options.sni} if self._options.sni else {}
        return Exchange(session, request, url, headers, bearer, self._timeout, more)


class Exchange:
    """One call and its answer."""

    def __init__(  # noqa: PLR0913, PLR0917  — the parts of one call
        self,
        session: aiohttp.ClientSession,
        request: Request,
        url: URL,
        headers: Mapping[str, str],
        bearer: Bearer | None,
        timeout: aiohttp.ClientTimeout,
        more: Mapping[str, Any],
    ) -> None:
        """Nothing is sent before it is entered."""
        self._request = request
        self._bearer = bearer
        self._sent_at = datetime.now(UTC)
        self._headers = headers
        self._url = url
        authorization = {"Authorization": f"Bearer {bearer.text}"} if bearer else {}
        self._context = session.request(
            request.method,
            url,
            data=request.body,
            headers={**headers, **authorization},
            timeout=timeout,
            allow_redirects=False,
            middlewares=(_Once(),),
            **more,
        )
        self._response: aiohttp.ClientResponse | None = None

    @property
    def response(self) -> aiohttp.ClientResponse:
        """The answer's head."""
        assert self._response is not None  # noqa: S101  — entered before
        return self._response

    async def __aenter__(self) -> Self:
        """Make the call up to the head of its answer. Raises UndeliveredError."""
        self._sent_at = datetime.now(UTC)
        try:
            self._response = await self._context.__aenter__()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._undelivered(error, maybe_taken=False) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._undelivered(error, maybe_taken=True) from None
        return self

    async def __aexit__(self, *error: object) -> None:
        """Let go of the connection."""
        await self._context.__aexit__(*error)  # type: ignore[arg-type]

    async def read(self) -> Reply:
        """Read the answer whole. Raises UndeliveredError."""
        body = bytearray()
        try:
            async for piece in self.response.content.iter_any():
                body += piece
                if len(body) > ANSWER_LIMIT:
                    self.response.close()
                    rule = KnownError(Code.GATEWAY_PROTOCOL, details={"rule": "answer is over the limit"})
                    raise UndeliveredError(rule, maybe_taken=True)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raw = records(self.record(self._without_token(bytes(body))))
            raise UndeliveredError(_unavailable(error), maybe_taken=True, raw=raw) from None
        content = self._without_token(bytes(body))
        return Reply(self.response.status, content, self.response.content_type or "", self.record(content))

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the answer's body as it comes. Raises UndeliveredError."""
        try:
            async for piece in self.response.content.iter_any():
                yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._undelivered(error, maybe_taken=True) from None

    def record(self, body: bytes | None, **more: Any) -> dict[str, Any]:
        """Return what is journaled of this call: all that Приложение 2 asks for, without the token."""
        answer: dict[str, Any] = {
            "status": self.response.status,
            "headers": {str(name): self._shown(value) for name, value in self.response.headers.items()},
            "received_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        return {"request": self._asked(), "answer": answer | _written(body) | more}

    def _asked(self) -> dict[str, Any]:
        """Return what is journaled of the request."""
        request, bearer = self._request, self._bearer
        headers = dict(self._headers)
        if bearer is not None:
            headers["Authorization"] = f"Bearer {HIDDEN}"
        told: dict[str, Any] = {
            "method": request.method,
            "host": headers.get("Host", self._url.host),
            "url": str(self._url),
            "headers": headers,
            "sent_at": self._sent_at.isoformat(timespec="milliseconds"),
            **request.told,
        }
        if isinstance(request.body, bytes):
            told["body"] = request.body.decode("utf-8", "replace")
        return told | bearer.told() if bearer is not None else told

    def _undelivered(self, error: BaseException, *, maybe_taken: bool) -> UndeliveredError:
        """Return the failure of a call without an answer, with the record of what was asked."""
        failed = {"reason": type(error).__name__, "at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        raw = records({"request": self._asked(), "answer": None, "failure": failed})
        return UndeliveredError(_unavailable(error), maybe_taken=maybe_taken, raw=raw)

    def _shown(self, value: str) -> str:
        return value.replace(self._bearer.text, HIDDEN) if self._bearer else value

    def _without_token(self, body: bytes) -> bytes:
        """Cut the token out of an answer that repeats it."""
        return body.replace(self._bearer.text.encode(), HIDDEN.encode()) if self._bearer else body


class _Once:
    """Lets a request through once: aiohttp by itself makes a GET again whose connection broke, past our limits."""

    def __init__(self) -> None:
        self._failure: Exception | None = None

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._failure is not None:
            raise self._failure
        try:
            return await handler(request)
        except (aiohttp.ClientError, OSError) as error:
            self._failure = error
            raise


def _written(body: bytes | None) -> dict[str, Any]:
    if body is None:
        return {}
    part = body[:_RECORDED]
    cut: dict[str, Any] = {"size": len(body)} if len(body) > _RECORDED else {}
    try:
        return {"body": part.decode()} | cut
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(part).decode()} | cut


def _unavailable(error: BaseException) -> KnownError:
    """Return the error of a call that failed on the way; of the failure its class alone is told."""
    return KnownError(Code.GATEWAY_UNAVAILABLE, details={"reason": type(error).__name__})
