"""The gateway ШЭП as the pipeline sees it: prepare a signed message once, send exactly those bytes."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from xml.sax.saxutils import unescape

import orjson
import structlog

from adapter.errors import Code, KnownError, SignerError
from adapter.exchange import (
    Accepted,
    Answer,
    AnswerKind,
    Event,
    Prepared,
    Refused,
    Repeat,
    Sent,
    TryLater,
    Unanswered,
)
from adapter.gateways.shep.calls import request_values, service_of, taken_apart, to_json
from adapter.gateways.shep.data import BusinessData
from adapter.gateways.shep.faults import error_of
from adapter.gateways.shep.messages import SEALED, Message, MessageError, payload
from adapter.gateways.shep.operations import (
    ASYNC_SEND,
    ASYNC_SEND_ANSWERED,
    OPERATIONS,
    SYNC_SEND,
    SYNC_SEND_REPEATABLE,
)
from adapter.gateways.shep.options import (
    Clock,
    Observe,
    Profile,
    ShepOptions,
    count_nothing,
    observe_nothing,
    utc_now,
)
from adapter.gateways.shep.security import TransportSecurity, refusal
from adapter.gateways.shep.transport import CallError, ShepTransport, protocol
from adapter.shep_chains import SENT, ties
from adapter.xml.parser import XmlError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    import aiohttp

    from adapter.exchange import Call
    from adapter.gateways.shep.pacing import Pacing
    from adapter.signing.kz_signer import KzSigner

#: What is shown instead of the password when a message is prepared to be shown and never sent.
_HIDDEN = "***"
_SERVICE_ID = re.compile(rb"<serviceId>([^<]*)</serviceId>")
_ROUTE_ID = re.compile(rb"<routeId>([^<]*)</routeId>")
_SENDS = frozenset({SYNC_SEND, SYNC_SEND_REPEATABLE, ASYNC_SEND, ASYNC_SEND_ANSWERED})
#: Rule 15 of order № 104: seconds of a synchronous exchange.
SYNC_IN_TIME = 60.0

_log = structlog.get_logger(__name__)


class ShepGateway:
    """One contour of the gateway: every operation on it, and those that it has on a participant's side."""

    #: ARCHITECTURE, Repeat rules. The gateway knows no id of ours by which it could recognise a copy.
    repeat_rules: Mapping[str, Repeat] = {key: operation.repeat for key, operation in OPERATIONS.items()}
    id_lifetime: timedelta | None = None

    def __init__(  # noqa: PLR0913  — the composition root names each
        self,
        options: ShepOptions,
        *,
        session: aiohttp.ClientSession,
        signer: KzSigner,
        clock: Clock = utc_now,
        observe: Observe = observe_nothing,
        client_url: str = "",
        pacing: Pacing | None = None,
        count: Callable[[str], None] = count_nothing,
    ) -> None:
        """``client_url`` is a participant's PUSH endpoint, for the operations that the gateway itself has there.

        ``pacing`` holds sends to throttled delivery points back; ``count`` hears of calls that take too long.
        """
        self.name = options.name
        self._options = options
        self._clock = clock
        self._signer = signer
        self._security = TransportSecurity(
            signer,
            key=options.system_key,
            expected_bin=options.gateway_bin,
            certificates=options.gateway_certs,
            cipher=options.cipher,
        )
        self._transport = ShepTransport(session, observe=observe)
        self._pacing = pacing
        self._count = count
        self._urls = {"sync": options.sync_url, "async": options.async_url, "client": client_url}

    async def prepare(self, call: Call) -> Prepared:
        """Build, check by the schema and sign the request; ``call.content`` is JSON (:mod:`.calls`).

        Its id is the messageId of a synchronous request; asynchronous ones get theirs from the gateway, so the id of
        those is ours alone. Raises SignerError, or KnownError when this gateway cannot carry the call.
        """
        operation = OPERATIONS.get(call.operation)
        if operation is None:
            raise KnownError(Code.INTERNAL, details={"operation": call.operation})
        message_id, now = str(uuid4()), self._clock()
        wanted, stamped, given = taken_apart(call.content)
        values = request_values(
            call.operation,
            given,
            message_id=message_id,
            now=now.astimezone(self._options.zone),
            sender_id=self._options.sender_id,
            password=_HIDDEN if call.rehearsed else self._options.password,
        )
        await self._sign_data(wanted, values, tsp=stamped)
        try:
            content = payload(operation, "request", values)
        except MessageError as error:
            raise KnownError(Code.INVALID_COMMAND, details={"rule": error.rule}) from None
        service = service_of(values) or ""
        profile = self._options.profile_of(service)
        sealed_for = service if profile.encrypted else ""
        outgoing = await self._security.outgoing(content, profile.level, sealed_for=sealed_for)
        return Prepared(call.operation, message_id, outgoing.envelope, now, outgoing.signed_by)

    async def _sign_data(self, wanted: str, values: dict[str, Any], *, tsp: bool) -> None:
        """Put an enveloped signature of the system or the official into business data that want one."""
        if not wanted:
            return
        key = self._options.official_key if wanted == "official" else self._options.system_key
        for holder in ("request_data", "message_data"):
            data = values.get(holder, {}).get("data")
            if isinstance(data, BusinessData):
                try:
                    signed = await self._signer.sign_document(data.content, key=key, tsp=tsp)
                except XmlError:
                    raise KnownError(Code.INVALID_COMMAND, details={"rule": "data to be signed are no XML"}) from None
                values[holder]["data"] = replace(data, content=signed.document)

    async def send(self, prepared: Prepared, *, earlier_attempts: int) -> Sent:
        """Send ``prepared.body`` once. Only cancellation is raised."""
        sent = await self._send(prepared)
        if not isinstance(sent, Accepted):
            _log.warning(
                "shep.send-failed",
                operation=prepared.operation,
                message_id=prepared.gateway_id,
                outcome=type(sent).__name__,
                code=sent.error.code,
                earlier_attempts=earlier_attempts,
            )
        return sent

    async def _send(self, prepared: Prepared) -> Sent:
        operation = OPERATIONS[prepared.operation]
        wait = await self._held(prepared)
        if wait:
            told = orjson.dumps({"wait": round(wait, 3)})  # what is journaled of a call that was not made
            return TryLater(KnownError(Code.THROTTLED), told, after=wait)
        is_sync = operation.port == "sync"
        began = time.perf_counter()
        timeout = self._options.sync_timeout if is_sync else self._options.async_timeout
        try:
            message = await self._transport.call(self._urls[operation.port], prepared.operation, prepared.body, timeout)
        except CallError as failure:
            if failure.maybe_taken:
                return Unanswered(failure.error, raw=failure.raw)
            return TryLater(failure.error, raw=failure.raw, after=failure.after)
        finally:
            if is_sync and time.perf_counter() - began > SYNC_IN_TIME:
                _log.warning("shep.sync-slow", message_id=prepared.gateway_id)
                self._count("shep-sync-slow")
        return await self._judged(prepared, message)

    async def _held(self, prepared: Prepared) -> float:
        """Return how many seconds a send has to wait for its delivery point's throttling; 0 sends it."""
        if self._pacing is None or prepared.operation not in _SENDS:
            return 0.0
        route = _ROUTE_ID.search(prepared.body)
        return await self._pacing.take(
            self._service(prepared) or "", "" if route is None else unescape(route[1].decode())
        )

    async def _judged(self, prepared: Prepared, message: Message) -> Sent:
        """Believe the answer or not by the service's profile, then read what it says."""
        profile = self._profile(prepared)
        try:
            judgement = await self._security.judge(message.raw, profile.level)
            doubt = refusal(judgement, profile)
            if doubt is None:
                message, doubt = await self._unsealed(message, profile, self._service(prepared) or "")
        except SignerError as error:  # the signing service is away: nobody knows what the answer is worth
            return Unanswered(error, raw=message.raw)
        if message.fault is not None:
            if doubt is not None and not (profile.unsigned_faults and judgement.signature == "none"):
                claimed = {"claimed_code": error_of(message.fault).code, **doubt.details}
                return Unanswered(KnownError(doubt.known, details=claimed), raw=message.raw)
            return self._faulted(prepared, message)
        expected = OPERATIONS[prepared.operation].response
        if doubt is None and (message.operation is None or message.operation.response != expected):
            doubt = protocol("the answer is to another operation")
        if doubt is not None:
            return Unanswered(doubt, raw=message.raw)
        if prepared.operation == ASYNC_SEND_ANSWERED:
            return self._received(prepared, message, profile)
        return self._answered(prepared, message, judgement.facts())

    async def _unsealed(self, message: Message, profile: Profile, service: str) -> tuple[Message, KnownError | None]:
        """Return what a believed answer says, and why it is none: encrypted where it should be, a fault never.

        Raises SignerError.
        """
        is_sealed = message.part == SEALED
        if message.fault is None and is_sealed != profile.encrypted:
            return message, protocol("the answer is encrypted or not, against its service")
        if is_sealed and message.values["service_id"] not in {"", service}:
            return message, protocol("the answer is of another service")
        try:
            return (await self._security.opened(message) if is_sealed else message), None
        except MessageError as error:
            return message, protocol(error.rule)

    def _answered(self, prepared: Prepared, message: Message, verdicts: Mapping[str, Any]) -> Accepted:
        """Return the answer of a call, believed."""
        warned = {"warnings": list(message.warnings)} if message.warnings else {}
        answer = Answer(
            source=self.name,
            key=prepared.gateway_id,
            reference=prepared.gateway_id,
            kind=AnswerKind.ANSWER,
            raw=message.raw,
            content=to_json({**message.values, **warned}),
            verdicts=(verdicts,),
        )
        return Accepted(message.raw, answer)

    def _received(self, prepared: Prepared, message: Message, profile: Profile) -> Accepted:
        """Return a receipt that ends no command: it is told of, and the business answer has a deadline of its own."""
        receipt = orjson.loads(to_json(message.values))
        within = profile.answer_within
        return Accepted(
            message.raw,
            events=(Event(SENT, receipt),),
            ties=ties(receipt, self._service(prepared) or "", begins=True),
            until=None if within is None else self._clock() + within,
        )

    def _faulted(self, prepared: Prepared, message: Message) -> Sent:
        """Return what a believed fault is: a considered no, or a hiccup of which nobody knows what it left behind."""
        assert message.fault is not None  # noqa: S101  — the caller asked; this tells the type checker
        error = error_of(message.fault)
        if message.fault.is_considered:
            return Refused(error, message.raw)
        if OPERATIONS[prepared.operation].repeat is Repeat.NEVER:
            return Unanswered(error, raw=message.raw)
        return TryLater(error, raw=message.raw)

    def _profile(self, prepared: Prepared) -> Profile:
        """Return the profile of the service that a prepared message names."""
        return self._options.profile_of(self._service(prepared))

    @staticmethod
    def _service(prepared: Prepared) -> str | None:
        """Return the service that a prepared message names: the bytes are ours, business data last."""
        named = _SERVICE_ID.search(prepared.body)
        return None if named is None else unescape(named[1].decode())
