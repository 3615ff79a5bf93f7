"""Requests put into a system's queue by hand, as if another system had sent them: ``POST /_sim/incoming``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal
from xml.sax.saxutils import escape

from lxml import etree
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from adapter.xml.parser import XmlError, parse
from simulators.smev3.attachments import headers_xml
from simulators.smev3.consumer import queue_request
from simulators.smev3.contents import Provided, standalone
from simulators.smev3.makings import WantedAttachment  # noqa: TC001  — pydantic reads the annotation at run time
from simulators.smev3.messages import reply_address, spoil
from simulators.smev3.office import Interaction, fresh_id
from simulators.smev3.registry import InformationType
from simulators.smev3.signatures import Sender, sender_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.smev3.messages import Signer
    from simulators.smev3.office import Office

KeyName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
_Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class TypeEntry(BaseModel):
    """An information type that the system with the key ``provider`` answers; see InformationType."""

    model_config = ConfigDict(extra="forbid")

    namespace: str
    request_root: str
    response_root: str = ""
    provider: KeyName = "ov"
    broadcast: bool = False


class Incoming(BaseModel):
    """A request for the system with the key ``recipient``, by the one with the key ``consumer``.

    ``content`` is the business root as XML; its type is registered for the recipient unless somebody did before.
    ``personal_signature`` adds an ЭП-СП by the key ``sp``. ``unsigned`` leaves the sender's ЭП-ОВ out. Wrong on
    purpose: ``bad_sender_signature``, ``bad_smev_signature``. ``delay`` is in seconds. ``business_process_metadata``
    is XML, ``eol`` an aware moment.
    """

    model_config = ConfigDict(extra="forbid")

    content: str
    recipient: KeyName = "ov"
    consumer: KeyName = "giszhkh"
    version: Literal["1.1", "1.2", "1.3"] = "1.2"
    message_id: _Uuid | None = None
    reference_message_id: _Uuid | None = None
    transaction_code: str = ""
    node_id: str = ""
    eol: AwareDatetime | None = None
    personal_signature: bool = False
    test: bool = False
    broadcast: bool = False
    business_process_metadata: str = ""
    attachments: tuple[WantedAttachment, ...] = Field((), max_length=100)
    delay: float = Field(0, ge=0)
    unsigned: bool = False
    bad_sender_signature: bool = False
    bad_smev_signature: bool = False


class Postbox:
    """Puts requests into queues."""

    def __init__(self, office: Office, signer_of: Callable[[str], Signer]) -> None:
        """``signer_of`` returns a key of the key folder by its name and raises OSError for one that is not there."""
        self._office = office
        self._signer_of = signer_of

    def register(self, entry: TypeEntry) -> InformationType:
        """Register an information type. Raises OSError when there is no such key."""
        provider = self._sender(entry.provider)
        kind = InformationType(
            entry.namespace,
            entry.request_root,
            entry.response_root,
            provider.party,
            identity=provider.identity,
            broadcast=entry.broadcast,
        )
        self._office.registry.add(kind)
        return kind

    def put(self, wanted: Incoming, now: datetime) -> Interaction:
        """Put one request into its recipient's queue.

        Raises OSError when a key is not there, ValueError for content that is no XML, that is registered for somebody
        else, or for an attachment that is too large.
        """
        root = parse(wanted.content.encode())
        if etree.QName(root).namespace is None:
            raise ValueError("content: the root has to be in a namespace")
        kind = self._kind(root, wanted)
        consumer, signer = self._sender(wanted.consumer), self._signer_of(wanted.consumer)
        identifier = wanted.message_id or fresh_id()
        made = self._office.maker.make(wanted.attachments, signer)
        author = self._office.authors[wanted.version]
        inner = self._inner(wanted, identifier, standalone(root), headers_xml(made, author.writer.version))
        provided = author.request(signer, inner)
        interaction = Interaction(
            original=identifier,
            version=wanted.version,
            kind=kind,
            party=consumer.party,
            reply_to="" if kind.broadcast else reply_address(identifier, consumer.party.mnemonic),
            reference=wanted.reference_message_id or "",
            transaction=wanted.transaction_code,
        )
        if not kind.broadcast:
            self._office.remember(interaction)
        signature = "" if wanted.unsigned else provided.signature
        queue_request(
            self._office,
            interaction,
            Provided(provided.element, spoil(signature) if wanted.bad_sender_signature else signature),
            now,
            attachments=made,
            expires_at=wanted.eol,
            delay=timedelta(seconds=wanted.delay),
            broken_signature=wanted.bad_smev_signature,
        )
        return interaction

    def _kind(self, root: etree._Element, wanted: Incoming) -> InformationType:
        """Return the type of a request; one that nobody registered is the recipient's from now on."""
        name = etree.QName(root)
        kind = self._office.registry.find(root.tag)
        if kind is None:
            entry = TypeEntry(
                namespace=name.namespace or "",
                request_root=name.localname,
                provider=wanted.recipient,
                broadcast=wanted.broadcast,
            )
            return self.register(entry)
        if kind.identity != self._sender(wanted.recipient).identity or kind.broadcast != wanted.broadcast:
            raise ValueError("this type is registered for another system, or as (no) broadcast")
        return kind

    def _inner(self, wanted: Incoming, identifier: str, business: str, headers: str) -> str:
        """Return the content of SenderProvidedRequestData, in the order of the schema."""
        parts = [f"<ns2:MessageID>{identifier}</ns2:MessageID>"]
        if wanted.reference_message_id:
            parts.append(f"<ns2:ReferenceMessageID>{wanted.reference_message_id}</ns2:ReferenceMessageID>")
        if wanted.transaction_code:
            parts.append(f"<ns2:TransactionCode>{escape(wanted.transaction_code)}</ns2:TransactionCode>")
        if wanted.node_id:
            parts.append(f"<ns2:NodeID>{escape(wanted.node_id)}</ns2:NodeID>")
        if wanted.eol:
            parts.append(f"<ns2:EOL>{wanted.eol.isoformat(timespec='milliseconds')}</ns2:EOL>")
        parts.append(f"<MessagePrimaryContent>{business}</MessagePrimaryContent>")
        if wanted.personal_signature:
            parts.append(f"<ns2:PersonalSignature>{self._signer_of('sp').sign(business)}</ns2:PersonalSignature>")
        parts.append(headers)
        if wanted.business_process_metadata:
            metadata = "".join(_elements(wanted.business_process_metadata))
            parts.append(f"<ns2:BusinessProcessMetadata>{metadata}</ns2:BusinessProcessMetadata>")
        if wanted.test:
            parts.append("<ns2:TestMessage/>")
        return "".join(parts)

    def _sender(self, name: str) -> Sender:
        return sender_of(self._signer_of(name).certificate)


def _elements(fragment: str) -> list[str]:
    """Return the elements of an XML fragment. Raises ValueError."""
    try:
        return [standalone(element) for element in parse(f"<x>{fragment}</x>".encode())]
    except XmlError as error:
        raise ValueError(f"business_process_metadata: {error.rule}") from None
