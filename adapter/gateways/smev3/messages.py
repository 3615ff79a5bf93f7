"""The envelopes we send, put together from bytes.

What was signed is what is sent: a fragment is built once as a standalone element, signed, and laid into the envelope
byte for byte. Nothing is parsed or serialised again, so nothing can change on the way (facts, smev3.md, Pitfalls 3).
Templates use prefixes only and no default namespace: a business root in no namespace stays in none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from datetime import datetime

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
CONSUMER_ID = "SIGNED_BY_CONSUMER"
CALLER_ID = "SIGNED_BY_CALLER"

# The Header is empty and yet obligatory: PoorSOAPEnvelopeFormat means "no soap:Header" (faults schema).
_ENVELOPE = (
    b'<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Header/><S:Body>'
    b'<t:%(operation)b xmlns:t="%(types)b">%(ahead)b%(signed)b%(beside)b<t:CallerInformationSystemSignature>'
    b"%(signature)b</t:CallerInformationSystemSignature></t:%(operation)b></S:Body></S:Envelope>"
)


@dataclass(frozen=True, slots=True)
class Names:
    """Namespaces of one schema version."""

    version: str
    types: str
    basic: str
    faults: str

    @staticmethod
    @lru_cache(maxsize=8)
    def of(version: str) -> Names:
        """Return the names of schema ``version``, for example ``1.2``."""
        root = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types"
        return Names(
            version=version,
            types=f"{root}/{version}",
            basic=f"{root}/basic/{version}",
            faults=f"{root}/faults/{version}",
        )

    def type(self, local: str) -> str:
        """Return the ``{namespace}local`` tag of the types schema."""
        return _tag(self.types, local)

    def base(self, local: str) -> str:
        """Return the ``{namespace}local`` tag of the basic schema."""
        return _tag(self.basic, local)


@cache
def _tag(namespace: str, local: str) -> str:
    return f"{{{namespace}}}{local}"


def request_data(  # noqa: PLR0913  — one argument per element of the schema
    names: Names,
    *,
    message_id: str,
    content: bytes,
    reference_id: str | None = None,
    transaction_code: str | None = None,
    node_id: str | None = None,
    end_of_life: datetime | None = None,
    personal_signature: bytes = b"",
    attachments: bytes = b"",
    business_process: bytes = b"",
    test_message: bool = False,
) -> bytes:
    """Return SenderProvidedRequestData as a standalone element, ready to be signed.

    ``content`` is the business root, ``personal_signature`` its ds:Signature or empty, ``attachments`` both lists of
    their headers. ``reference_id`` is the message this one belongs to, ``business_process`` the elements of
    BusinessProcessMetadata. The order is the schema's.
    """
    parts = [
        b'<t:SenderProvidedRequestData xmlns:t="%b" xmlns:b="%b" Id="%b"><t:MessageID>%b</t:MessageID>'
        % (names.types.encode(), names.basic.encode(), CONSUMER_ID.encode(), text(message_id)),
    ]
    if reference_id is not None:
        parts.append(b"<t:ReferenceMessageID>%b</t:ReferenceMessageID>" % text(reference_id))
    if transaction_code is not None:
        parts.append(b"<t:TransactionCode>%b</t:TransactionCode>" % text(transaction_code))
    if node_id is not None:
        parts.append(b"<t:NodeID>%b</t:NodeID>" % text(node_id))
    if end_of_life is not None:
        parts.append(b"<t:EOL>%b</t:EOL>" % _moment(end_of_life))
    parts += (b"<b:MessagePrimaryContent>", content, b"</b:MessagePrimaryContent>")
    if personal_signature:
        parts += (b"<t:PersonalSignature>", personal_signature, b"</t:PersonalSignature>")
    parts.append(attachments)
    if business_process:
        parts += (b"<t:BusinessProcessMetadata>", business_process, b"</t:BusinessProcessMetadata>")
    if test_message:
        parts.append(b"<t:TestMessage></t:TestMessage>")
    parts.append(b"</t:SenderProvidedRequestData>")
    return b"".join(parts)


def message_type_selector(
    names: Names, *, timestamp: datetime, node_id: str | None = None, selects: tuple[str, str] | None = None
) -> bytes:
    """Return a MessageTypeSelector as a standalone element, ready to be signed.

    The same NodeID that went with the request selects its reply queue (facts, smev3.md, NodeID). ``selects`` is
    NamespaceURI and RootElementLocalName of one вид сведений; without it every one is selected.
    """
    wanted = b""
    if selects is not None:
        wanted = b"<b:NamespaceURI>%b</b:NamespaceURI><b:RootElementLocalName>%b</b:RootElementLocalName>" % (
            text(selects[0]),
            text(selects[1]),
        )
    node = b"" if node_id is None else b"<b:NodeID>%b</b:NodeID>" % text(node_id)
    return b'<b:MessageTypeSelector xmlns:b="%b" Id="%b">%b<b:Timestamp>%b</b:Timestamp>%b</b:MessageTypeSelector>' % (
        names.basic.encode(),
        CALLER_ID.encode(),
        wanted,
        _moment(timestamp),
        node,
    )


def timestamp_element(names: Names, *, timestamp: datetime) -> bytes:
    """Return the Timestamp of GetStatus and GetIncomingQueueStatistics as a standalone element, ready to be signed."""
    return b'<b:Timestamp xmlns:b="%b" Id="%b">%b</b:Timestamp>' % (
        names.basic.encode(),
        CALLER_ID.encode(),
        _moment(timestamp),
    )


def queue_node(node_id: str | None) -> bytes:
    """Return the NodeID that stands unsigned in GetIncomingQueueStatistics, inside an envelope of ours."""
    return b"" if node_id is None else b"<t:NodeID>%b</t:NodeID>" % text(node_id)


def ack_target(names: Names, *, message_id: str, accepted: bool) -> bytes:
    """Return AckTargetMessage for the message ``message_id`` as a standalone element, ready to be signed.

    ``accepted`` is false only when the СМЭВ signature is mathematically wrong: the gateway then drops the message.
    """
    return b'<b:AckTargetMessage xmlns:b="%b" Id="%b" accepted="%b">%b</b:AckTargetMessage>' % (
        names.basic.encode(),
        CALLER_ID.encode(),
        b"true" if accepted else b"false",
        text(message_id),
    )


def envelope(  # noqa: PLR0913  — one argument per place in the envelope
    names: Names, operation: str, *, signed: bytes, signature: bytes, ahead: bytes = b"", beside: bytes = b""
) -> bytes:
    """Return the SOAP envelope of ``operation`` (``SendRequest``, ``GetResponse``, ``Ack``) around a signed element.

    ``signature`` is the ds:Signature over ``signed``; both are laid in unchanged, and so are ``ahead`` before them and
    ``beside`` (what no signature covers) between them.
    """
    return _ENVELOPE % {
        b"operation": operation.encode() + b"Request",
        b"types": names.types.encode(),
        b"ahead": ahead,
        b"signed": signed,
        b"beside": beside,
        b"signature": signature,
    }


def _moment(moment: datetime) -> bytes:
    """Return ``moment`` as xs:dateTime with milliseconds and its zone."""
    return moment.isoformat(timespec="milliseconds").encode()


def text(value: str) -> bytes:
    """Return ``value`` as character data."""
    return escape(value).encode()
