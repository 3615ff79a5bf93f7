"""The doors that the ШЭП calls: ``/async`` for what it delivers and tells, ``/sync`` where we are asked.

Nothing is answered before it is durable. A message is taken once by its messageId, however often it comes; whoever asks
synchronously is held until upstream has had its word, on whichever worker, and hears a fault when it has not.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import orjson
import structlog
from aiohttp import web

from adapter.errors import Code, KnownError, SignerError
from adapter.gateways.shep.bringing import facts_of, rule_broken
from adapter.gateways.shep.bringing import message as delivered
from adapter.gateways.shep.calls import service_of, to_json
from adapter.gateways.shep.data import BusinessData
from adapter.gateways.shep.messages import MESSAGE_LIMIT, SEALED, MessageError, envelope, fault_payload, payload, read
from adapter.gateways.shep.messages import body as soap_body
from adapter.gateways.shep.operations import OPERATIONS, PUSH, PUSH_STATUS, SYNC_SEND
from adapter.gateways.shep.options import Level
from adapter.gateways.shep.security import refusal
from adapter.incoming import Incoming
from adapter.journal.writer import JournalUnavailableError
from adapter.web.shep_wsdl import describe

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import tzinfo
    from ipaddress import IPv4Network, IPv6Network

    from adapter.gateways.shep.messages import Message
    from adapter.gateways.shep.operations import Operation
    from adapter.gateways.shep.options import Profile
    from adapter.gateways.shep.points import Points
    from adapter.gateways.shep.security import TransportSecurity
    from adapter.incoming import Arrivals

log = structlog.get_logger(__name__)

_GUID: Final = re.compile(r"\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}")
#: Seconds for a body to arrive, for a message to become durable, and between two attempts to listen.
_ARRIVAL: Final = 30.0
_DURABLE: Final = 20.0
_LISTEN_AGAIN: Final = 5.0
#: Seconds that a caller's answer may wait until it is noted how the call went.
_NOTED: Final = 2.0
_INLINE_BYTES: Final = 256 * 1024
#: Which operations each door has.
DOORS: Final[Mapping[str, tuple[str, ...]]] = {"client": (PUSH, PUSH_STATUS), "sync": (SYNC_SEND,)}
PATHS: Final[Mapping[str, str]] = {"client": "/async", "sync": "/sync"}
#: What a message may be (MessageType of the XSD).
_ACTIONS: Final = {PUSH: "shep.message", PUSH_STATUS: "shep.status", SYNC_SEND: "shep.sync"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOptions:
    """``public_url`` is how the gateway reaches ``listen``; ``profile_of`` tells how a service is judged.

    ``known`` tells whether a synchronous service is ours to answer, ``registered`` whether there is a service of that
    name at all: messages of others are refused. With ``tls`` the listener speaks https; ``networks`` are those from
    which a service without signatures may be called, ``None`` being all. ``patience`` is how long, in seconds, a
    synchronous caller is held, ``in_time`` how long anybody else waits for an answer. ``points`` hears of every call
    that failed, ``told`` of the state of a message of ours.
    """

    listen: tuple[str, int]
    public_url: str
    profile_of: Callable[[str | None], Profile]
    known: Callable[[str], bool]
    registered: Callable[[str], bool] = lambda _: True
    zone: tzinfo = UTC
    tls: ssl.SSLContext | None = None
    networks: Sequence[IPv4Network | IPv6Network] | None = None
    patience: float = 50.0
    in_time: float = 30.0
    points: Points | None = None
    told: Callable[[str, str], Awaitable[None]] | None = None


class _FaultError(Exception):
    """What a caller is told instead of an answer; ``details`` are those of an ErrorInfo."""

    def __init__(self, side: str, code: str, text: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(code)
        self.side = side
        self.code = code
        self.text = text
        self.details = dict(details or {})


class ShepEndpoint:
    """Implements :class:`adapter.incoming.ArrivalSource`."""

    name = "shep"

    def __init__(self, options: EndpointOptions, security: TransportSecurity) -> None:
        """``security`` judges what comes in and signs what is answered."""
        self.options = options
        self._security = security

    async def run(self, arrivals: Arrivals) -> None:
        """Listen until cancelled; a port that another worker of this machine has is taken when that one ends."""
        runner = web.AppRunner(self.app(arrivals), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            while True:
                try:
                    await web.TCPSite(runner, *self.options.listen, ssl_context=self.options.tls).start()
                except OSError as error:
                    log.warning("the ШЭП cannot be heard yet", error=type(error).__name__, retry_in=_LISTEN_AGAIN)
                    await asyncio.sleep(_LISTEN_AGAIN)
                else:
                    break
            log.info("the ШЭП is heard")
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    def app(self, arrivals: Arrivals) -> web.Application:
        """Return both doors with their WSDLs."""
        app = web.Application(client_max_size=MESSAGE_LIMIT)
        for door, path in PATHS.items():
            app.router.add_get(path, describe(door, self.options.public_url.rstrip("/") + path))
            app.router.add_post(path, self._door(door, arrivals))
        return app

    def _door(self, door: str, arrivals: Arrivals) -> Callable[[web.Request], Any]:
        async def take(request: web.Request) -> web.Response:
            operation: Operation | None = None
            profile, service_id, incoming, sealed_for = self.options.profile_of(None), "", None, ""
            try:
                async with asyncio.timeout(None if door == "sync" else self.options.in_time):
                    message = await _read(request)
                    if message.part == SEALED:
                        message = await self._opened(message)
                        sealed_for = service_of(message.values) or ""
                    key = _operation_key(message, door)
                    operation = OPERATIONS[key]
                    service_id = service_of(message.values) or ""
                    profile = self.options.profile_of(service_id)
                    self._must_be_near(request.remote, profile)
                    _must_be_sealed(profile, sealed_for)
                    incoming = await self._judged(key, message, profile)
                    await _keep(arrivals, incoming)
                    values = await self._answered(key, message, incoming, arrivals)
                    content, status = _payload(operation, values), 200
            except (_FaultError, TimeoutError) as error:
                fault = error if isinstance(error, _FaultError) else _away()
                log.info("shep.call-refused", operation=operation.name if operation else "", code=fault.code)
                content, status = self._fault(operation, fault), 500
            except Exception as error:  # noqa: BLE001  — the last line of defence: whoever calls reads faults alone
                log.error("shep.call-failed", error=type(error).__name__)  # noqa: TRY400  — its text may hold values
                failed = _FaultError("Server", Code.INTERNAL.wire, Code.INTERNAL.sentence)
                content, status = self._fault(operation, failed), 500
            response = await self._signed(content, status, profile, sealed_for=sealed_for if status == 200 else "")
            if door == "client":
                await self._note(service_id, incoming if response.status == 200 else None)
            return response

        return take

    async def _opened(self, message: Message) -> Message:
        """Return what a sealed message says, once the signature over it is believed. Raises _FaultError."""
        profile = self.options.profile_of(service_of(message.values))
        if not profile.encrypted:
            raise _FaultError("Client", Code.GATEWAY_PROTOCOL.wire, "Messages of this service are not encrypted")
        try:
            doubt = refusal(await self._security.judge(message.raw, profile.level), profile)
            if doubt is not None:
                raise _FaultError("Client", doubt.code, doubt.description)
            return await self._security.opened(message)
        except SignerError as error:
            raise _FaultError("Server" if error.retryable else "Client", error.code, error.description) from None
        except MessageError as error:
            raise _FaultError("Client", Code.GATEWAY_PROTOCOL.wire, error.rule) from None

    def _must_be_near(self, caller: str | None, profile: Profile) -> None:
        """Refuse callers from elsewhere where nothing but the network speaks for them. Raises _FaultError."""
        networks = self.options.networks
        if profile.level is not Level.NONE or networks is None:
            return
        try:
            address = ip_address(caller or "")
        except ValueError:  # a unix socket has none
            address = None
        mapped = getattr(address, "ipv4_mapped", None) or address
        if mapped is None or not any(mapped in network for network in networks):
            raise _FaultError("Client", Code.GATEWAY_SIGNATURE.wire, "Вызов без подписи из этой сети не принимается")

    async def _note(self, service_id: str, incoming: Incoming | None) -> None:
        """Tell the watchers what became of a call, ``None`` for a failed one; no caller waits for them long."""
        points, told = self.options.points, self.options.told
        try:
            async with asyncio.timeout(_NOTED):
                if incoming is None and points is not None:
                    await points.failed(service_id)
                elif incoming is not None and incoming.action == _ACTIONS[PUSH] and points is not None:
                    await points.delivered(service_id)
                elif incoming is not None and incoming.action == _ACTIONS[PUSH_STATUS] and told is not None:
                    await told(incoming.subject, str(incoming.facts.get("message_state", "")))
        except TimeoutError:
            log.info("shep.call-not-noted")

    async def _judged(self, key: str, message: Message, profile: Profile) -> Incoming:
        """Return the message to be kept, once it is believed. Raises _FaultError."""
        try:
            judgement = await self._security.judge(message.raw, profile.level)
        except SignerError as error:
            raise _FaultError("Server", error.code, error.description) from None
        doubt = refusal(judgement, profile)
        if doubt is not None:
            raise _FaultError("Client", doubt.code, doubt.description)
        incoming = _incoming(key, message, judgement.signature, judgement.facts())
        ours = {SYNC_SEND: self.options.known, PUSH: self.options.registered}.get(key)
        if ours is not None and not ours(str(incoming.facts.get("service_id", ""))):
            raise _FaultError("Client", Code.UNKNOWN_REQUEST.wire, "Сервис здесь не обслуживается")
        return incoming

    async def _answered(self, key: str, message: Message, incoming: Incoming, arrivals: Arrivals) -> dict[str, Any]:
        """Return the fields of the answer to a message that is durable. Raises _FaultError."""
        session = _session(message.values, key)
        if key == PUSH_STATUS:
            return {"response_date": self._now(), "session_id": session}
        echoed = {name: incoming.facts[name] for name in ("message_id", "correlation_id") if name in incoming.facts}
        if key == PUSH:
            return {"correlation_id": "", **echoed, "response_date": self._now(), "session_id": session}
        try:
            word = await arrivals.word(incoming, self.options.patience)
        except JournalUnavailableError:
            raise _away() from None
        if word is None:
            raise _FaultError("Server", Code.EXPIRED.wire, "Поставщик не ответил за отведённое время")
        said = orjson.loads(word)
        if "error" in said:
            error = said["error"]
            raise _FaultError("Server", error.pop("error_code"), error.pop("error_message"), error)
        info = {**echoed, "response_date": self._now(), "status": said["status"], "session_id": session}
        data = said.get("data")
        return {"response_info": info, "response_data": {} if data is None else {"data": BusinessData.from_json(data)}}

    def _fault(self, operation: Operation | None, fault: _FaultError) -> bytes:
        """Return a SOAP fault, with an ErrorInfo where the operation is known."""
        if operation is None:
            return fault_payload(fault.side, fault.text)
        info = {"error_code": fault.code, "error_message": fault.text, "error_date": self._now(), **fault.details}
        return fault_payload(fault.side, fault.text, payload(operation, "fault", info))

    async def _signed(self, content: bytes, status: int, profile: Profile, *, sealed_for: str = "") -> web.Response:
        """Return an answer as the service's level wants it; what cannot be signed is a fault: it is asked again."""
        try:
            raw = (await self._security.outgoing(content, profile.level, sealed_for=sealed_for)).envelope
        except SignerError as error:
            log.warning("shep.answer-unsigned", code=error.code)
            raw, status = envelope(soap_body(fault_payload("Server", error.description))), 500
        return web.Response(body=raw, status=status, content_type="text/xml", charset="utf-8")

    def _now(self) -> datetime:
        return datetime.now(self.options.zone)


def _must_be_sealed(profile: Profile, sealed_for: str) -> None:
    if profile.encrypted and not sealed_for:
        raise _FaultError("Client", Code.GATEWAY_PROTOCOL.wire, "Messages of this service are encrypted")


async def _read(request: web.Request) -> Message:
    """Return the message of a request. Raises _FaultError for what is none."""
    try:
        async with asyncio.timeout(_ARRIVAL):
            raw = await request.read()
        return await asyncio.to_thread(read, raw) if len(raw) > _INLINE_BYTES else read(raw)
    except TimeoutError:
        raise _FaultError("Client", Code.GATEWAY_PROTOCOL.wire, "The message did not arrive in time") from None
    except web.HTTPRequestEntityTooLarge:
        raise _FaultError("Client", Code.GATEWAY_PROTOCOL.wire, "The message is over the limit") from None
    except MessageError as error:
        raise _FaultError("Client", Code.GATEWAY_PROTOCOL.wire, error.rule) from None


def _operation_key(message: Message, door: str) -> str:
    """Return which operation of a door this is. Raises _FaultError."""
    for key in DOORS[door]:
        operation = message.operation
        if operation is not None and message.part == "request" and operation.request == OPERATIONS[key].request:
            return key
    raise _FaultError("Client", Code.GATEWAY_PROTOCOL.wire, "This is no operation of this address")


def _incoming(key: str, message: Message, signature: str, verdicts: Mapping[str, Any]) -> Incoming:
    """Return what a message is to the journal. Raises _FaultError for one without an id."""
    values = orjson.loads(to_json(message.values))
    info = values.get({PUSH: "message_info", PUSH_STATUS: "notification", SYNC_SEND: "request_info"}[key]) or {}
    holder = values.get({PUSH: "message_data", SYNC_SEND: "request_data"}.get(key, "")) or {}
    number = info.get("notification_id" if key == PUSH_STATUS else "message_id") or ""
    message_id = str(info.get("message_id") or "")
    broken = rule_broken(info) if key == PUSH else "" if number and message_id else "The message has no id"
    if broken:
        raise _FaultError("Client", Code.REQUEST_UNREADABLE.wire, broken)
    data = holder.get("data")
    if key == PUSH:
        given: dict[str, Any] = {"signature": signature, "verdicts": (verdicts,), "warnings": message.warnings}
        return delivered(info, data, message.raw, **given)
    return Incoming(
        source="shep",
        key=f"{_ACTIONS[key]}:{number}",
        action=_ACTIONS[key],
        raw=message.raw,
        content=b"" if data is None else orjson.dumps(data),
        subject=message_id,
        facts=facts_of(info, signature, message.warnings),
        verdicts=(verdicts,),
    )


async def _keep(arrivals: Arrivals, incoming: Incoming) -> None:
    """Make a message durable. Raises _FaultError when it is not: it comes again."""
    try:
        async with asyncio.timeout(_DURABLE):
            await arrivals.receive(incoming)
    except (JournalUnavailableError, TimeoutError):
        raise _away() from None


def _payload(operation: Operation, values: Mapping[str, Any]) -> bytes:
    try:
        return payload(operation, "response", values)
    except MessageError as error:
        raise _FaultError("Server", KnownError(Code.INTERNAL).code, error.rule) from None


def _away() -> _FaultError:
    return _FaultError("Server", Code.GATEWAY_UNAVAILABLE.wire, "Сообщение сейчас нельзя сохранить, повторите позже")


def _session(values: Mapping[str, Any], key: str) -> str:
    """Return the session of a request; a new one where it has none, or none that the schema allows."""
    holder = {PUSH: "message_info", SYNC_SEND: "request_info"}.get(key)
    inner = values.get(holder, {}) if holder else values
    given = str(inner.get("session_id") or "")
    return given if _GUID.fullmatch(given) else f"{{{uuid4()}}}"
