"""The МФЦ portal's locker API as the pipeline sees it: one GET that changes a case, sent once and never again.

The token is in the query, where the API wants it, and nowhere else: what is journaled before the call has none, and
where the portal repeats it in an answer it is cut out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus
from uuid import uuid4

import aiohttp
import orjson
import structlog
from yarl import URL

from adapter.errors import AdapterError, Code, FieldFault, InvalidCommandError, KnownError
from adapter.exchange import (
    Accepted,
    Answer,
    AnswerKind,
    Prepared,
    Refused,
    Repeat,
    Sent,
    TryLater,
    Unanswered,
)
from adapter.gateways.postamat.api import TOKEN, LockerCall, Operation, call_faults

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from adapter.exchange import Call

GATEWAY: Final = "postamat"
#: Bytes of an answer; the described ones have some hundred.
ANSWER_LIMIT: Final = 64 * 1024
#: What stands where the portal repeated the token.
HIDDEN: Final = "[token]"

#: A connection of its own for each call: one that the portal closed meanwhile would make a call look like a lost one.
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
_CHECK_FIRST: Final = "Портал сообщил о внутренней ошибке: перед новой командой проверьте состояние дела на портале"

_log = structlog.get_logger(__name__)

#: ``(operation, outcome code, seconds, bytes out, bytes in)``, once per call.
Observe = Callable[[str, str, float, int, int], None]


@dataclass(frozen=True, slots=True)
class PostamatOptions:
    """Where the portal is: ``url`` is its address without ``/rest-api``; ``timeout`` is seconds for one call."""

    url: str
    token: str = field(repr=False)
    timeout: float = 10.0


class PostamatGateway:
    """Calls put-case, issue and back of an external portal."""

    name = GATEWAY
    #: ARCHITECTURE, Repeat rules: the API has no id by which a copy could be told.
    repeat_rules: Mapping[str, Repeat] = dict.fromkeys(map(str, Operation), Repeat.NEVER)
    id_lifetime: timedelta | None = None

    def __init__(
        self,
        options: PostamatOptions,
        *,
        session: aiohttp.ClientSession,
        observe: Observe = lambda *_: None,
    ) -> None:
        """``session`` is closed by its owner."""
        self._options = options
        self._session = session
        self._observe = observe
        self._timeout = aiohttp.ClientTimeout(
            total=options.timeout, connect=options.timeout / 2, sock_connect=options.timeout / 2
        )

    async def prepare(self, call: Call) -> Prepared:
        """Return path and query without the token; ``call.content`` is a JSON object of the parameters.

        Raises InvalidCommandError, before anything is called, for what would end as an error of the portal's database.
        """
        request = _read_call(call)
        return Prepared(
            operation=call.operation,
            gateway_id=str(uuid4()),
            body=request.target().encode("ascii"),
            minted_at=datetime.now(UTC),
        )

    async def send(self, prepared: Prepared, *, earlier_attempts: int) -> Sent:  # noqa: ARG002  — no copy is ever sent
        """Make the call once. Only cancellation is raised."""
        began, outcome, received = time.perf_counter(), "cancelled", 0
        try:
            sent = await self._send(prepared)
            outcome = "ok" if isinstance(sent, Accepted) else sent.error.code
            received = len(sent.raw)
        finally:
            self._observe(prepared.operation, outcome, time.perf_counter() - began, len(prepared.body), received)
        if not isinstance(sent, Accepted):
            _log.warning(
                "postamat.call-failed",
                operation=prepared.operation,
                gateway_id=prepared.gateway_id,
                outcome=type(sent).__name__,
            )
        return sent

    async def _send(self, prepared: Prepared) -> Sent:
        token = self._options.token
        address = f"{self._options.url.rstrip('/')}{prepared.body.decode('ascii')}&{TOKEN}={quote(token, safe='')}"
        body = bytearray()
        try:
            async with self._session.get(
                URL(address, encoded=True),
                headers=_HEADERS,
                timeout=self._timeout,
                allow_redirects=False,
                middlewares=(_Once(),),
            ) as response:
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > ANSWER_LIMIT:
                        response.close()
                        return Unanswered(_nonsense("answer is over the limit", response.status))
                return _judged(response.status, _without(token, bytes(body)), prepared)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return TryLater(_unavailable(type(error).__name__))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Unanswered(_unavailable(type(error).__name__), raw=_without(token, bytes(body)))


class _Once:
    """Lets a request through once: aiohttp by itself makes a GET again whose connection broke."""

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


def _read_call(call: Call) -> LockerCall:
    """Return what a call asks for. Raises InvalidCommandError."""
    try:
        operation = Operation(call.operation)
        given: Any = orjson.loads(call.content)
    except ValueError:
        raise KnownError(Code.INTERNAL, details={"operation": call.operation}) from None
    if not isinstance(given, dict):
        raise InvalidCommandError([FieldFault("body", "ожидается объект JSON")])
    faults = list(call_faults(given))
    if faults:
        raise InvalidCommandError(faults)
    return LockerCall(
        operation=operation,
        casenum=given["casenum"],
        postamatid=given["postamatid"],
        timestamp=given["timestamp"],
        userid=given["userid"],
        cellid=given["cellid"],
    )


def _judged(status: int, raw: bytes, prepared: Prepared) -> Sent:
    """Return what an HTTP answer is: one that the API describes, or nobody knows what became of the call.

    A refusal keeps the portal's name and words. An exception of the portal (500) is an answer too; that it undid what
    it had begun is likely and not promised.
    """
    said = _object(raw)
    if status == 200 and said.get("status") == "ok" and isinstance(said.get("message"), str):
        answer = Answer(
            source=GATEWAY,
            key=prepared.gateway_id,
            reference=prepared.gateway_id,
            kind=AnswerKind.ANSWER,
            raw=raw,
            content=raw,
        )
        return Accepted(raw, answer)
    refusal = _refusal(said)
    if refusal is None or not 400 <= status <= 500:
        return Unanswered(_nonsense("answer is none of the described ones", status), raw=raw)
    advice = _CHECK_FIRST if status == 500 else None
    return Refused(AdapterError(*refusal, details={"http_status": status}, recommendation=advice), raw)


def _refusal(said: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return name and message of a refusal, ``None`` for anything else."""
    name, message = said.get("name"), said.get("message")
    if isinstance(name, str) and name.strip() and isinstance(message, str):
        return name.strip(), message
    return None


def _object(raw: bytes) -> dict[str, Any]:
    """Return a JSON object, an empty one for anything else; PHP may put a BOM before it."""
    try:
        said = orjson.loads(raw.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _without(token: str, raw: bytes) -> bytes:
    """Return ``raw`` with the token cut out, however a page that shows its own address wrote it."""
    escaped = token.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    spellings = {token, quote(token, safe=""), quote(token), quote_plus(token), escaped}
    for inner in (json.dumps(token)[1:-1], json.dumps(token, ensure_ascii=False)[1:-1]):
        spellings |= {inner, inner.replace("/", "\\/")}
    for spelling in sorted(spellings, key=len, reverse=True):
        raw = raw.replace(spelling.encode(), HIDDEN.encode())
    return raw


def _unavailable(reason: str) -> KnownError:
    """Return the error of a call that failed on the way; only the failure's class is told, its text has the URL."""
    return KnownError(Code.GATEWAY_UNAVAILABLE, details={"reason": reason})


def _nonsense(rule: str, status: int) -> KnownError:
    """Return the error of an answer that cannot be read; ``rule`` carries no values."""
    code = Code.GATEWAY_UNAVAILABLE if status >= 500 else Code.GATEWAY_PROTOCOL
    return KnownError(code, details={"rule": rule, "http_status": status})
