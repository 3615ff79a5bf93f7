"""The provider's queue of requests: GetRequest, verified, handed to whoever answers, confirmed when durable."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Protocol

from lxml import etree

from adapter.gateways.smev3.answers import SOURCE, business_root
from adapter.gateways.smev3.incoming import NOTHING, Collected
from adapter.gateways.smev3.messages import Names
from adapter.gateways.smev3.options import Clock, Observe, Smev3Options, observe_nothing, utc_now
from adapter.gateways.smev3.queue import MessageQueue
from adapter.gateways.smev3.reading import SignedPart, UnreadableError, message_id_of, optional_text, signed_part
from adapter.gateways.smev3.trust import verdict_facts
from adapter.xml.parser import serialize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import aiohttp
    from lxml.etree import _Element

    from adapter.errors import KnownError
    from adapter.exchange import StoredFile
    from adapter.gateways.smev3.incoming import Incoming
    from adapter.signing.client import SigningClient
    from adapter.xml.signature import SignatureVerdict

GET_REQUEST = "GetRequest"
_MOSCOW = timezone(timedelta(hours=3))


@dataclass(frozen=True, slots=True)
class ProvidedRequest:
    """A request that another system put to us through СМЭВ3, its СМЭВ signature verified.

    ``key`` is its MessageID (redelivered copies carry the same), ``raw`` the exact bytes of the envelope, ``content``
    the business root. ``reply_to`` is what an answer names; empty for a ``broadcast``, which wants none. ``sender`` is
    the consumer's mnemonic. ``test`` forbids changing data. ``end_of_life`` is when СМЭВ gives the request up.
    ``cancels`` names an earlier request that is taken back (schema 1.1 alone); such a message has no content.
    ``business_process`` are the elements of BusinessProcessMetadata. ``verdicts`` are those on every signature of the
    message, the sender's (``SenderInformationSystemSignature``) and the official's (``PersonalSignature``) among them:
    these decide nothing here. ``unreadable`` is the rule that the message breaks, an English sentence without values;
    such a message is to be kept with its bytes, because its redelivery would read the same. ``attachments`` are the
    files that came with it, fetched and checked; ``attachments_fault`` names those that are not what was signed and
    are left out.
    """

    source: str
    key: str
    raw: bytes = field(repr=False)
    content: bytes = field(default=b"", repr=False)
    reply_to: str = ""
    sender: str = ""
    broadcast: bool = False
    test: bool = False
    node_id: str = ""
    transaction_code: str = ""
    reference_id: str = ""
    cancels: str = ""
    end_of_life: datetime | None = None
    business_process: bytes = field(default=b"", repr=False)
    verdicts: Sequence[Mapping[str, Any]] = ()
    unreadable: str = ""
    attachments: Sequence[StoredFile] = ()
    attachments_fault: KnownError | None = None


class RequestIntake(Protocol):
    """The way in for requests from other systems."""

    async def take(self, request: ProvidedRequest) -> bool:
        """Make ``request`` durable; return true when it may be confirmed (also for repeats of its ``key``).

        Returns false or raises when it could not be made durable: it is not confirmed then, and comes again.
        """
        ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """One message of the queue of requests: ``element`` is a Request, or in schema 1.1 a Cancel.

    ``data`` is SenderProvidedRequestData, ``None`` when the message lacks it.
    """

    part: SignedPart
    message_id: str
    element: _Element
    metadata: _Element
    data: _Element | None


def read_request(payload: _Element | None, names: Names) -> Fetched | None:
    """Return the message that GetRequest brought, ``None`` for an empty queue. Raises UnreadableError."""
    if payload is None or payload.tag != names.type("GetRequestResponse"):
        raise UnreadableError("not a GetRequestResponse")
    message = payload.find(names.type("RequestMessage"))
    if message is None:
        return None
    name = "Request"
    element = message.find(names.type(name))
    if element is None:
        name = "Cancel"
        element = message.find(names.type(name))
    metadata = None if element is None else element.find(names.type("MessageMetadata"))
    if element is None or metadata is None:
        raise UnreadableError("RequestMessage without Request or without its metadata")
    data = element.find(names.type("SenderProvidedRequestData"))
    return Fetched(
        part=signed_part(element, name),
        message_id=message_id_of(metadata, element if data is None else data, names),
        element=element,
        metadata=metadata,
        data=data,
    )


def to_request(
    fetched: Fetched,
    raw: bytes,
    names: Names,
    *,
    verdicts: Sequence[Mapping[str, Any]],
    collected: Collected = NOTHING,
) -> ProvidedRequest:
    """Return the request that ``fetched`` is; what breaks the protocol inside is told in ``unreadable``."""
    bare = ProvidedRequest(
        SOURCE,
        fetched.message_id,
        raw,
        verdicts=verdicts,
        attachments=tuple(collected.files),
        attachments_fault=collected.fault,
    )
    try:
        known = replace(
            bare,
            sender=_mnemonic(fetched.metadata, names),
            broadcast=optional_text(fetched.metadata, names.type("MessageType")) == "BROADCAST",
        )
        if fetched.part.name == "Cancel":
            return replace(known, cancels=_cancelled(fetched.element, names))
        return _with_data(known, fetched, names)
    except UnreadableError as error:
        return replace(bare, unreadable=str(error))


def _with_data(request: ProvidedRequest, fetched: Fetched, names: Names) -> ProvidedRequest:
    """Return ``request`` with what its sender provided. Raises UnreadableError."""
    element, data = fetched.element, fetched.data
    primary = None if data is None else data.find(names.base("MessagePrimaryContent"))
    if data is None or primary is None:
        raise UnreadableError("Request without MessagePrimaryContent")
    reply_to = "" if request.broadcast else optional_text(element, names.type("ReplyTo")) or ""
    if not reply_to and not request.broadcast:
        raise UnreadableError("Request without ReplyTo")
    return replace(
        request,
        content=business_root(primary),
        reply_to=reply_to,
        test=data.find(names.type("TestMessage")) is not None,
        node_id=optional_text(data, names.type("NodeID")) or "",
        transaction_code=optional_text(data, names.type("TransactionCode")) or "",
        reference_id=optional_text(data, names.type("ReferenceMessageID")) or "",
        end_of_life=_moment(optional_text(data, names.type("EOL"))),
        business_process=_elements(data.find(names.type("BusinessProcessMetadata"))),
    )


def _cancelled(element: _Element, names: Names) -> str:
    """Return the MessageID of the request that a Cancel takes back. Raises UnreadableError."""
    reference = optional_text(element, names.base("MessageReference"))
    if not reference:
        raise UnreadableError("Cancel without MessageReference")
    return reference


def _elements(process: _Element | None) -> bytes:
    """Return the elements of BusinessProcessMetadata, without what the signature does not see."""
    if process is None:
        return b""
    etree.strip_tags(process, etree.Comment, etree.ProcessingInstruction)
    return b"".join(map(serialize, process))


def _mnemonic(metadata: _Element, names: Names) -> str:
    sender = metadata.find(names.type("Sender"))
    return "" if sender is None else optional_text(sender, names.type("Mnemonic")) or ""


def _moment(text: str | None) -> datetime | None:
    """Return an xs:dateTime; one without a zone is of Moscow, where СМЭВ stands. Raises UnreadableError."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableError("EOL is no moment") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=_MOSCOW)


class Smev3RequestSource:
    """Polls GetRequest for requests to this system; every fault of the gateway is survived."""

    name = "smev3-requests"

    def __init__(  # noqa: PLR0913  — the composition root names each
        self,
        options: Smev3Options,
        *,
        session: aiohttp.ClientSession,
        signer: SigningClient,
        incoming: Incoming | None = None,
        selects: tuple[str, str] | None = None,
        pollers: int = 1,
        on_pause: Callable[[str], None] | None = None,
        observe: Observe = observe_nothing,
        clock: Clock = utc_now,
    ) -> None:
        """``selects`` fetches requests of one вид сведений alone, by NamespaceURI and RootElementLocalName.

        A NodeID parts queues of answers and is left out here (facts, smev3.md, NodeID). ``incoming`` fetches the
        requests' attachments. ``on_pause`` hears the reason when the source pauses.
        """
        self._names = Names.of(options.version)
        self._queue = MessageQueue(
            replace(options, node_id=None, selects=selects),
            GET_REQUEST,
            read_request,
            session=session,
            signer=signer,
            incoming=incoming,
            pollers=pollers,
            on_pause=on_pause,
            observe=observe,
            clock=clock,
        )

    @property
    def paused(self) -> str | None:
        """Why the source pauses, ``None`` while it does not."""
        return self._queue.paused

    async def run(self, intake: RequestIntake) -> None:
        """Poll until cancelled."""

        async def take(
            fetched: Fetched, raw: bytes, verdicts: Sequence[SignatureVerdict], collected: Collected
        ) -> bool:
            facts = verdict_facts(verdicts)
            return await intake.take(to_request(fetched, raw, self._names, verdicts=facts, collected=collected))

        await self._queue.run(take)
