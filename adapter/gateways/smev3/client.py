"""The gateway СМЭВ3 as the pipeline sees it: prepare a signed message once, send exactly those bytes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from adapter.errors import Code, KnownError
from adapter.exchange import Accepted, Answer, AnswerKind, Prepared, Refused, Repeat, Sent, TryLater, Unanswered
from adapter.gateways.smev3.faults import Outcome, error_of, rule_of
from adapter.gateways.smev3.message_id import MessageIdMint, minted_at
from adapter.gateways.smev3.messages import Names, envelope, request_data
from adapter.gateways.smev3.mtom import pack
from adapter.gateways.smev3.options import Clock, Observe, Smev3Options, observe_nothing, utc_now
from adapter.gateways.smev3.outgoing import Laid, Outgoing
from adapter.gateways.smev3.reading import UnreadableError, read_acceptance
from adapter.gateways.smev3.responses import PrimaryContent, Word, response_data, word_of
from adapter.gateways.smev3.transport import SoapReply, SoapTransport, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import aiohttp

    from adapter.exchange import Attachment, Call
    from adapter.signing.client import SigningClient

SEND_REQUEST = "SendRequest"
SEND_RESPONSE = "SendResponse"
#: Business data above this belong into an attachment (facts, smev3.md, Protocol facts).
CONTENT_LIMIT = 5 * 2**20

_log = structlog.get_logger(__name__)


class Smev3Gateway:
    """Sends requests as a consumer and answers as a provider; what comes in comes through the sources."""

    name = "smev3"
    #: ARCHITECTURE, Repeat rules. The gateway recognises a copy by its MessageID; everything else changes nothing.
    repeat_rules: Mapping[str, Repeat] = {
        SEND_REQUEST: Repeat.SAME_ID,
        SEND_RESPONSE: Repeat.SAME_ID,
        "GetRequest": Repeat.SAFE,
        "GetResponse": Repeat.SAFE,
        "GetStatus": Repeat.SAFE,
        "GetIncomingQueueStatistics": Repeat.SAFE,
        "Ack": Repeat.SAFE,
    }
    #: The gateway takes ids for 24 h (facts, smev3.md, MessageID); the margin is for clocks and for the way there.
    id_lifetime: timedelta | None = timedelta(hours=24) - timedelta(minutes=30)

    def __init__(  # noqa: PLR0913  — the composition root names each
        self,
        options: Smev3Options,
        *,
        session: aiohttp.ClientSession,
        signer: SigningClient,
        outgoing: Outgoing | None = None,
        clock: Clock = utc_now,
        observe: Observe = observe_nothing,
        on_accepted: Callable[[], None] | None = None,
    ) -> None:
        """``outgoing`` moves attachments; without it a call that has some is refused.

        ``on_accepted`` is called when a request was taken: an answer will come, ``Smev3Source.nudge`` suits.
        """
        self._options = options
        self._names = Names.of(options.version)
        self._signer = signer
        self._outgoing = outgoing
        self._mint = MessageIdMint(clock)
        self._transport = SoapTransport(options.endpoint, session=session, timeout=options.timeout, observe=observe)
        self._on_accepted = on_accepted

    async def prepare(self, call: Call) -> Prepared:
        """Mint the MessageID, sign, and return the body that will be sent as it is.

        Attachments are moved and signed first, so that the id is not older than it has to be. Raises SignerError,
        FileError for an attachment, or another KnownError when this gateway cannot carry the call.
        """
        if call.operation == SEND_RESPONSE:
            return await self.prepare_response(call.reply_to, word_of(call), rehearse=call.rehearsed)
        if call.operation != SEND_REQUEST:
            raise KnownError(Code.INTERNAL, details={"operation": call.operation})
        _check_content(call.content)
        laid = await self._laid(call.attachments, official=call.official, rehearse=call.rehearsed)
        personal, signed_by = await self._official(call.content, wanted=call.official)
        message_id = self._mint.mint()
        data = request_data(
            self._names,
            message_id=message_id,
            content=call.content,
            node_id=self._options.node_id,
            end_of_life=None if self._options.life is None else minted_at(message_id) + self._options.life,
            personal_signature=personal,
            attachments=laid.headers,
            business_process=self._options.business_process,
            test_message=self._options.test_message,
        )
        return await self._prepared(SEND_REQUEST, message_id, data, signed_by, laid)

    async def prepare_response(self, reply_to: str, word: Word, *, rehearse: bool = False) -> Prepared:
        """Mint the MessageID, sign, and return the envelope of a provider's ``word`` to the request from ``reply_to``.

        A request may get any number of RequestStatus before its last word. Raises SignerError, FileError for an
        attachment, or another KnownError when the schema of this version does not allow the word.
        """
        personal, laid = b"", Laid()
        signed_by: tuple[str, ...] = ()
        if isinstance(word, PrimaryContent):
            _check_content(word.content)
            laid = await self._laid(word.attachments, official=word.official, rehearse=rehearse)
            personal, signed_by = await self._official(word.content, wanted=word.official)
        message_id = self._mint.mint()
        data = response_data(
            self._names,
            message_id=message_id,
            reply_to=reply_to,
            word=word,
            personal_signature=personal,
            attachments=laid.headers,
        )
        return await self._prepared(SEND_RESPONSE, message_id, data, signed_by, laid)

    async def _laid(self, attachments: Sequence[Attachment], *, official: bool, rehearse: bool) -> Laid:
        """Return attachments as they go into a message, moved and signed."""
        if not attachments:
            return Laid()
        if self._outgoing is None:
            raise KnownError(Code.INTERNAL, details={"rule": "attachments are not configured"})
        return await self._outgoing.lay(attachments, self._names, official=official, rehearse=rehearse)

    async def _official(self, content: bytes, *, wanted: bool) -> tuple[bytes, tuple[str, ...]]:
        """Return the official's signature over a business root and its certificate, where wanted."""
        if not wanted:
            return b"", ()
        official = await self._signer.sign_xml(content, key=self._options.official_key)
        return official.signature, (official.certificate_sha256,)

    async def _prepared(
        self, operation: str, message_id: str, data: bytes, signed_by: tuple[str, ...], laid: Laid
    ) -> Prepared:
        """Sign ``data`` as the information system, lay it into its envelope and this beside what came along."""
        system = await self._signer.sign_xml(data, key=self._options.system_key)
        soap = envelope(self._names, operation, signed=data, signature=system.signature, beside=laid.contents)
        return Prepared(
            operation=operation,
            gateway_id=message_id,
            body=pack(soap, laid.parts),
            minted_at=minted_at(message_id),
            signed_by=tuple(dict.fromkeys((*laid.signed_by, *signed_by, system.certificate_sha256))),
            files=tuple(laid.files),
        )

    async def send(self, prepared: Prepared, *, earlier_attempts: int) -> Sent:
        """Send ``prepared.body`` once. Only cancellation is raised."""
        try:
            reply = await self._transport.call(prepared.operation, prepared.body, wish=prepared.wish)
        except TransportError as failure:
            sent = _undelivered(failure)
        else:
            sent = (
                self._accepted(prepared, reply)
                if reply.fault is None
                else _judged(reply, earlier_attempts=earlier_attempts)
            )
        if isinstance(sent, Accepted):
            if prepared.operation == SEND_RESPONSE:
                return _answered(prepared, sent.raw)
            if self._on_accepted is not None:
                self._on_accepted()
        else:
            _log.warning(
                "smev3.send-failed",
                operation=prepared.operation,
                message_id=prepared.gateway_id,
                outcome=type(sent).__name__,
                code=sent.error.code,
                earlier_attempts=earlier_attempts,
            )
        return sent

    def _accepted(self, prepared: Prepared, reply: SoapReply) -> Sent:
        """Read an acceptance: it must speak of our MessageID.

        Its SMEVSignature is not verified here, on purpose. An acceptance only moves the exchange to ``waiting``: no
        verdict on it may lead to another send, none would end the exchange, and the answer that does end it is
        verified in full. Verifying would put one more call to the signing service between the send and the moment
        it is journaled. The exact bytes are journaled, so that the signature can be verified whenever it matters.
        """
        try:
            confirmed = read_acceptance(reply.payload, prepared.operation, self._names)
        except UnreadableError as error:
            return _nonsense(str(error), reply)
        if confirmed is not None and confirmed != prepared.gateway_id:
            return _nonsense("acceptance names another MessageId", reply)
        return Accepted(reply.raw)


def _answered(prepared: Prepared, raw: bytes) -> Accepted:
    """Return what the acceptance of a provider's word is: its end, because nobody answers an answer.

    A rejection of it that comes later is told by its MessageID, like one of a request.
    """
    key = f"{prepared.gateway_id}:accepted"
    return Accepted(raw, Answer(Smev3Gateway.name, key, prepared.gateway_id, AnswerKind.ANSWER, raw))


def _check_content(content: bytes) -> None:
    """Refuse what could not be laid into an envelope as it is. Raises KnownError."""
    if len(content) > CONTENT_LIMIT:
        raise KnownError(Code.INVALID_COMMAND, "Бизнес-данные запроса больше 5 МБ")
    if not content.startswith(b"<") or content.startswith((b"<?", b"<!")):
        raise KnownError(Code.INTERNAL, details={"rule": "content is no standalone element"})


def _nonsense(rule: str, reply: SoapReply) -> Unanswered:
    """Return what an answer is that cannot be the answer to our request."""
    return Unanswered(KnownError(Code.GATEWAY_PROTOCOL, details={"rule": rule}), raw=reply.raw)


def _undelivered(failure: TransportError) -> Sent:
    """Return what a call without a readable answer is to the pipeline."""
    if failure.maybe_taken:
        return Unanswered(failure.error, raw=failure.raw)
    return TryLater(failure.error, raw=failure.raw, after=failure.after)


def _judged(reply: SoapReply, *, earlier_attempts: int) -> Sent:
    """Return what a fault is to the pipeline, by the table of faults.

    "Already sent" is success only if an earlier attempt with this id is recorded. A refused id asks for a new one; the
    pipeline mints it only where no earlier copy may have got through, and calls the exchange uncertain otherwise: the
    same bytes would be refused for ever, and a new id could be a second request.
    """
    assert reply.fault is not None  # noqa: S101  — the caller asked; this tells the type checker
    rule = rule_of(reply.fault)
    error = error_of(reply.fault)
    if rule.outcome is Outcome.DUPLICATE and earlier_attempts > 0:
        return Accepted(reply.raw)
    if rule.outcome is Outcome.LATER:
        return TryLater(error, raw=reply.raw, after=rule.after)
    if rule.outcome is Outcome.REMINT:
        return TryLater(error, raw=reply.raw, remint=True)
    return Refused(error, reply.raw)
